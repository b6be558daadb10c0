"""The run contract: what is asked for, what was decided, and the container group that follows.

Both sides render the same contract on their own: the requester to launch it, every authority to know
which HOST_DATA to expect. Therefore this room lies below both (``docs/decisions/0001``).
"""

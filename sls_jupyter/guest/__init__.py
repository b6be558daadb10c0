"""What runs inside the container group: input, program, output and audit.

Data moves one way: owner → *input* → *program* → *output* → recipient, with *audit* listening on the
side. Each container is ``python -m sls_jupyter.guest.<name>``; the code of this folder, and of the rooms
below it, is what the measurement of a local group covers.
"""

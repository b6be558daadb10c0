"""The agent: one process for each user and home that goes on when a kernel, a shell or a notebook server ends.

It serves the authorities of the home's personas, waits for approvals and drives runs, each by the ordinary session of
its persona. It is started on demand (:mod:`.starting`), reached over a Unix socket that only this user can open, and
ends by itself when nothing needs it (:mod:`.life`).
"""

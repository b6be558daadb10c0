"""Where a container group runs: places that implement :class:`sls_jupyter.safestream.host.Host`.

``local`` is this machine. Read it from the top: ``local`` launches, ``firmware`` admits, ``starting`` builds
each container's command line from ``sandbox`` and ``seccomp``, ``process`` starts and ends it, ``running`` is
what the caller holds. ``judge`` says what a confidential utility VM would admit; ``firmware`` asks it.
"""

"""What every test has, wherever the suite is started: no terminal, and interrupts.

A shell starts its background jobs with SIGINT ignored, and whatever they start inherits that.
"""

from __future__ import annotations

import os
import signal

os.environ.pop("COLUMNS", None)  # workers of the suite are given the width of a terminal
os.environ.pop("LINES", None)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

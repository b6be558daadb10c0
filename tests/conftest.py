"""What every test has: no terminal, whatever terminal the suite is started from and however many processes it has."""

from __future__ import annotations

import os

os.environ.pop("COLUMNS", None)  # workers of the suite are given the width of a terminal
os.environ.pop("LINES", None)

"""``sls`` on the command line: one file for each group of commands, and no logic that a script could want."""

from sls_jupyter.cli.entry import main

__all__ = ["main"]

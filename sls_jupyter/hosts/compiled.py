"""The guest's bytecode, made before the first container starts.

A container sees this package read-only, so what is not compiled there is compiled anew at every start. An
installation from a wheel has all of its bytecode; an editable one has that of the modules which this process
has loaded, and those of a program are not among them.

Source: PEP 3147; documentation of the module :mod:`compileall`.
"""

from __future__ import annotations

import compileall
import functools
import sys

from sls_jupyter.contract.image import guest_files


@functools.cache
def compile_guest() -> None:
    """Compile what is not compiled yet. Once for the life of this process, and nothing where that is switched off.

    A folder that cannot be written to is left as it is: containers then start more slowly.
    """
    if sys.dont_write_bytecode:
        return
    for path in guest_files():
        if path.suffix == ".py":
            compileall.compile_file(path, quiet=2)

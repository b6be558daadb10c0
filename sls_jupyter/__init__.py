"""Confidential analytics in a notebook cell.

``%load_ext sls_jupyter`` gives the magics; :func:`connect` gives the same calls as a plain object. Importing
the package loads nothing: the containers of a group import it too, and they need little of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sls_jupyter.errors import SlsError
    from sls_jupyter.receipt.verdict import ReceiptVerdict
    from sls_jupyter.session import Session

    __version__: str

__all__ = ["Session", "SlsError", "__version__", "connect", "load_ipython_extension", "read_output", "verify"]


def connect(persona: str | None = None, *, new: bool = False) -> Session:
    """The session of one persona of this user, the same one that the magics use.

    Args:
        persona: its name; ``SLS_PERSONA``, or else ``me``, by default.
        new: make it also where its name is almost that of another one.

    Raises:
        UnknownName: there is none, and one whose name is almost the same.
        BadInput: not a persona's name. Unavailable: its folder cannot be used.
    """
    from sls_jupyter.notebook.sessions import session_for

    return session_for(persona, new=new)


def verify(source: Any, **pins: Any) -> ReceiptVerdict:
    """Verify a receipt offline: :func:`sls_jupyter.receipt.files.verify_file`.

    Args:
        source: a file's path, its bytes, or a receipt.
        pins: ``owners``, ``logs``, ``images``, ``witnesses``, ``needed``, ``accept_simulated``, ``anchors``.

    Returns:
        The verdict with every check; its ``require()`` raises if one failed.
    """
    from sls_jupyter.receipt.files import verify_file

    return verify_file(source, **pins)


def read_output(path: str) -> Any:
    """Exactly what a cell had, from a table's file that ``%sls result RUN --to FOLDER`` wrote.

    Raises:
        BadInput: it cannot be read. MalformedDocument: it is no such file.
    """
    from sls_jupyter.session.outputs_to import read_output

    return read_output(path)


def load_ipython_extension(ipython: Any) -> None:
    """What ``%load_ext sls_jupyter`` calls."""
    from sls_jupyter.notebook.magics import register

    register(ipython)


def unload_ipython_extension(ipython: Any) -> None:
    """What ``%unload_ext sls_jupyter`` calls; runs that go on are not touched."""
    from sls_jupyter.notebook.magics import unregister

    unregister(ipython)


# --- JupyterLab -------------------------------------------------------------------------------------


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    """Where the prebuilt half for the browser lies."""
    return [{"src": "labextension", "dest": "sls-jupyter"}]


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    """This module is the half for the Jupyter server."""
    return [{"module": "sls_jupyter"}]


def _load_jupyter_server_extension(server: Any) -> None:
    """What a Jupyter server calls that has this extension enabled."""
    from sls_jupyter.lab.extension import load

    load(server)


def __getattr__(name: str) -> Any:
    if name == "Session":
        from sls_jupyter.session import Session

        return Session
    if name == "SlsError":
        from sls_jupyter.errors import SlsError

        return SlsError
    if name == "__version__":
        from importlib.metadata import version

        return version("sls-jupyter")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

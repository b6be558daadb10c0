"""``sls open``: the panel in a browser, for somebody who has no notebook."""

from __future__ import annotations

import argparse
import importlib.util

from sls_jupyter.cli.words import say
from sls_jupyter.errors import Unavailable


def open_panel(options: argparse.Namespace) -> int:
    """Serve the panel on this machine until it is interrupted.

    Raises:
        Unavailable: Jupyter's server is not installed. UnknownName: there is no such persona.
    """
    if importlib.util.find_spec("jupyter_server") is None:
        raise Unavailable(
            "The panel is shown by a Jupyter server, which is not installed here.",
            expected="the package jupyter_server",
            hint='pip install "sls-jupyter[lab]"',
        )
    from sls_jupyter.identity import Home
    from sls_jupyter.lab.desk import require_known
    from sls_jupyter.lab.standalone import run

    persona = require_known(Home.find_root(), options.persona) if options.persona else ""
    run(persona=persona, port=options.port, browser=options.browser, tell=_announce)
    return 0


def _announce(url: str) -> None:
    say(
        "The panel, for you alone: whoever has this address can do what you can do.",
        f"  {url}",
        "  Interrupt (Ctrl-C) ends it.",
    )

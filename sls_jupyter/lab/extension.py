"""What a Jupyter server loads."""

from __future__ import annotations

import atexit
from typing import Any

from sls_jupyter.identity import Home
from sls_jupyter.lab import handlers, page_handler, stream
from sls_jupyter.lab.desk import Desk


def load(server: Any) -> None:
    """Add the panel's API to a server. Nothing is started, no persona is made and no folder is touched by that.

    Args:
        server: a ``jupyter_server.serverapp.ServerApp``.
    """
    desk, watches = Desk(Home.find_root()), stream.Watches()
    atexit.register(desk.close)
    atexit.register(watches.close)
    base_url = server.web_app.settings["base_url"]
    ours = [
        stream.handler(base_url, desk, watches),
        *handlers.handlers(base_url, desk),
        *page_handler.handlers(base_url),
    ]
    server.web_app.add_handlers(".*$", ours)

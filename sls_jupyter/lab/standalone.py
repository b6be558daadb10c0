"""A Jupyter server with the panel and nothing else: no kernels, no terminals, no files.

It listens on this machine only, with a token of its own, and reads no configuration of Jupyter: what somebody enabled for
their notebooks is not enabled here.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable
from urllib.parse import quote

from jupyter_server.auth.identity import IdentityProvider
from jupyter_server.serverapp import ServerApp
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from traitlets.config import Config

from sls_jupyter.lab.page_handler import PATH


class _NoFiles(AsyncLargeFileManager):  # type: ignore[misc]
    """The server has to have a manager of files; this one has no address."""

    def get_extra_handlers(self) -> list[object]:
        return []


class PanelServer(ServerApp):  # type: ignore[misc]
    """The server behind ``sls open``."""

    name = "sls-open"
    default_services = ("auth", "security")  # not: api, config, contents, files, kernels, sessions, shutdown, view, …

    def load_config_file(self, suppress_errors: bool = True) -> None:
        """Nothing: neither this user's files nor the system's."""

    def write_server_info_file(self) -> None:
        """Nothing: the token stays in this process, and in the page that opens the browser."""

    def running_server_info(self, kernel_count: bool = True) -> str:
        return ""


def run(*, persona: str, port: int, browser: bool, tell: Callable[[str], None]) -> None:
    """Serve the panel until SIGINT or SIGTERM.

    Args:
        persona: that the page begins with; "" for the usual one.
        port: 0 for a free one.
        browser: open the user's browser on it.
        tell: is told the address, with the token in it.
    """
    PanelServer.clear_instance()
    runtime = tempfile.mkdtemp(prefix="sls-open-")  # mode 0700: the page that hands the token to the browser lies there
    token, query = secrets.token_urlsafe(32), f"?persona={quote(persona, safe='')}" if persona else ""
    server = PanelServer(config=_config(token, port, browser))
    try:
        server.runtime_dir, server.no_browser_open_file = runtime, not browser
        server.default_url = f"/{PATH}{query}"
        server.initialize(argv=[], find_extensions=False)
        tell(f"http://127.0.0.1:{server.port}/{PATH}?{f'{query[1:]}&' if query else ''}token={token}")
        server.start()
    finally:
        shutil.rmtree(runtime, ignore_errors=True)
        PanelServer.clear_instance()


def _config(token: str, port: int, browser: bool) -> Config:
    config = Config()
    config.Application.log_level = "WARN"
    config.IdentityProvider.token = token
    server = config.ServerApp
    server.identity_provider_class = IdentityProvider  # a token, and no password that could be set
    server.contents_manager_class = _NoFiles
    server.jpserver_extensions = {"sls_jupyter": True}
    server.ip, server.port, server.port_retries = "127.0.0.1", port, 0
    server.base_url, server.root_dir = "/", os.getcwd()  # noqa: PTH109  # results may be saved in this folder
    server.allow_unauthenticated_access = False
    server.allow_root = True  # nothing can be run here
    server.answer_yes = True  # Ctrl-C ends it without a question
    server.open_browser = browser
    server.cookie_secret = secrets.token_bytes(32)  # in this process only: a cookie ends with it
    server.terminals_enabled = False
    config.IdentityProvider.cookie_options = {"samesite": "Lax"}  # not every browser takes that for granted
    return config

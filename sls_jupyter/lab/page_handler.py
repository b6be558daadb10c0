"""``sls_jupyter/page``: the panel as a page of its own, for somebody who has no notebook."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jupyter_server.base.handlers import JupyterHandler
from tornado import web

from sls_jupyter.agent.place import version

PATH = "sls_jupyter/page"
FILES = Path(__file__).parent / "page"  # made from labextension/ by "make bundle"
KINDS = {"panel.js": "text/javascript; charset=utf-8", "panel.css": "text/css; charset=utf-8"}
MAX_PERSONA = 100
# Scripts are ours alone. Styles may be inline: a report that is shown for printing brings its own, and nobody's text
# gets into the page as markup.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; img-src 'self' data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class _Handler(JupyterHandler):  # type: ignore[misc]
    @property
    def content_security_policy(self) -> str:
        return POLICY

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.set_header("Cache-Control", "no-store")
        self.set_header("Referrer-Policy", "same-origin")  # the server takes it as a sign of its own pages
        self.set_header("X-Content-Type-Options", "nosniff")


class PageHandler(_Handler):
    """The page; all that it shows it asks of the API."""

    @web.authenticated
    def get(self) -> None:
        persona = self.get_query_argument("persona", "")[:MAX_PERSONA]
        if self.get_query_arguments("token"):
            # the cookie has been set: the token stays neither in the bar nor in a history
            self.redirect(f"{self.base_url}{PATH}" + (f"?persona={quote(persona, safe='')}" if persona else ""))
            return
        assert self.xsrf_token  # noqa: S101  # asking for it sets the cookie that each POST needs
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(page(self.base_url, persona))


class FileHandler(_Handler):
    """The script and the style sheet."""

    @web.authenticated
    def get(self, name: str) -> None:
        try:
            data = (FILES / name).read_bytes()
        except OSError:
            raise web.HTTPError(404, "The panel is not built: make bundle") from None
        self.set_header("Content-Type", KINDS[name])
        self.finish(data)


def page(base_url: str, persona: str) -> str:
    """The document, without a script or a style in it."""
    base, folder = escape(base_url), escape(f"{base_url}{PATH}")
    return f"""<!DOCTYPE html>
<html lang="en" data-base-url="{base}" data-version="{escape(version())}" data-persona="{escape(persona)}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>sls_jupyter</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{folder}/panel.css">
<script src="{folder}/panel.js" defer></script>
</head>
<body>
<noscript>The panel needs JavaScript. The same calls are there without it: sls help.</noscript>
</body>
</html>
"""


def handlers(base_url: str) -> list[tuple[str, type[_Handler], dict[str, Any]]]:
    """The page and its two files below ``base_url``."""
    names = "|".join(name.replace(".", r"\.") for name in KINDS)
    return [(f"{base_url}{PATH}", PageHandler, {}), (f"{base_url}{PATH}/({names})", FileHandler, {})]

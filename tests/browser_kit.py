"""A real Chromium for the tests of what people see: how large a page is at a width, and what axe-core says of it.

No driver and no port: Chromium opens one local file, a script in it measures, and ``--dump-dom`` prints what it found.
"""

from __future__ import annotations

import html
import importlib.util
import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--hide-scrollbars",
    "--virtual-time-budget=20000",
]
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium to look with")

_MEASURE = """
const found = [];
for (const frame of document.querySelectorAll("iframe")) {
  const page = frame.contentDocument, root = page.documentElement;
  const heard = one => [one, one.parentElement, one.closest("thead")].some(it => it && getComputedStyle(it).clipPath !== "none");
  const all = [...page.querySelectorAll("body *")].filter(one => !heard(one));  // not what only a screen reader gets
  const wide = all.filter(one => one.clientWidth > 1 && one.scrollWidth > one.clientWidth + 1
    && getComputedStyle(one).overflowX !== "visible");
  const out = all.filter(one => one.getBoundingClientRect().right > frame.clientWidth + 1);
  const name = one => `${one.tagName.toLowerCase()}.${one.className}: ${one.textContent.trim().slice(0, 60)}`;
  found.push({width: frame.clientWidth, height: root.scrollHeight, across: root.scrollWidth,
              scrolling: wide.map(name), outside: out.map(name)});
}
tell(found);
"""
_AXE = """
axe.run(document, {resultTypes: ["violations"]}).then(result => tell(result.violations.map(one => ({
  id: one.id, help: one.help, nodes: one.nodes.map(node => `${node.html.slice(0, 160)} ${node.failureSummary}`)}))));
"""
_TELL = """
function tell(found) {
  const place = document.createElement("script");
  place.type = "application/json"; place.id = "found"; place.text = encodeURIComponent(JSON.stringify(found));
  document.body.append(place);
}
"""


def as_page(*bodies: str, dark: bool = False) -> str:
    """Outputs one below the other as a page of their own, outside JupyterLab."""
    ground = "<style>html{background:#16181c;color:#eee}</style>" if dark else ""
    start = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Cards</title>{ground}</head>'
    return f"{start}<body><main><h1>A notebook</h1><h2>Its outputs</h2>{''.join(bodies)}</main></body></html>"


def measure(page: str, widths: Sequence[int], folder: Path) -> dict[int, dict[str, Any]]:
    """For each width in CSS pixels: ``height``, ``across``, what scrolls sideways and what stands outside."""
    frames = "".join(
        f'<iframe title="{width}" style="border:0;width:{width}px;height:10px" srcdoc="{html.escape(page)}"></iframe>'
        for width in widths
    )
    outer = f'<!doctype html><meta charset="utf-8"><body>{frames}<script>{_TELL}onload = () => {{{_MEASURE}}}</script>'
    return {one["width"]: one for one in _look(outer, folder)}


def axe(page: str, folder: Path, *, dark: bool = False) -> list[dict[str, Any]]:
    """What axe-core finds wrong with a page, as somebody sees it who prefers light or dark pages."""
    page = re.sub("<meta[^>]*Content-Security-Policy[^>]*>", "", page)  # a policy that would forbid to look
    script = f"<script>{axe_source()}</script><script>{_TELL}{_AXE}</script>"
    return _look(page.replace("</body>", f"{script}</body>"), folder, dark=dark)


def axe_source() -> str:
    spec = importlib.util.find_spec("axe_core_python")
    assert spec is not None, "axe-core is missing: pip install -e '.[test]'"
    assert spec.origin is not None
    return (Path(spec.origin).parent / "axe.min.js").read_text(encoding="utf-8")


def _look(page: str, folder: Path, *, dark: bool = False) -> Any:
    assert CHROMIUM is not None
    path = folder / "page.html"
    path.write_text(page, encoding="utf-8")
    scheme = ["--blink-settings=preferredColorScheme=0"] if dark else []
    command = [CHROMIUM, *FLAGS, *scheme, f"--user-data-dir={folder / 'profile'}", "--window-size=1200,1000"]
    done = subprocess.run([*command, "--dump-dom", path.as_uri()], capture_output=True, text=True, timeout=90)
    found = re.search(r'<script type="application/json" id="found">(.*?)</script>', done.stdout, re.DOTALL)
    assert found, "the script did not end"
    return json.loads(unquote(found[1]))

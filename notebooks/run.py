"""Execute an example notebook with papermill, in a home of its own, and say what happened.

``make demo`` runs this on ``quickstart``. Nothing outside the output folder is written: keys, assets and
authorities of the example's personas live in ``<out>/home`` and can be deleted with it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent

_ALONE = """{%- extends 'index.html.j2' -%}
{%- block html_head_js -%}
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:" />
{%- endblock -%}
{%- block html_head_css -%}
<style>
.jp-Notebook pre{white-space:pre-wrap!important;overflow-wrap:anywhere}
.jp-Notebook{--jp-mirror-editor-number-color:#006b00;--jp-mirror-editor-comment-color:#35696b}
.jp-Notebook{--jp-mirror-editor-operator-color:#8a10d9}
.jp-Notebook .jp-InputArea-prompt,.jp-Notebook .jp-OutputArea-prompt{color:#616161!important;opacity:1!important}
</style>
{%- endblock -%}
{%- block jupyter_widgets -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
"""
# nbconvert's page without what it would load from elsewhere: require.js, MathJax, Mermaid, the manager of widgets
_SHOWN = ("text/html", "text/markdown", "image/svg+xml", "image/png", "image/jpeg", "text/latex", "text/plain")


def execute(name: str, out: Path) -> Path:
    """Run one notebook to its end; returns the executed notebook.

    Raises:
        papermill.PapermillExecutionError: a cell raised what it was not expected to raise.
    """
    import papermill
    from jupyter_client.manager import AsyncKernelManager

    class Kernel(AsyncKernelManager):
        """The plain hospital's frame passes over this socket: encrypted, where the kernel can."""

        transport_encryption = "auto"

    shutil.rmtree(out / "home", ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    os.environ["SLS_HOME"] = str(out / "home")
    executed = out / f"{name}.ipynb"
    with contextlib.chdir(HERE):
        papermill.execute_notebook(
            f"{name}.ipynb",
            str(executed),
            kernel_name="python3",
            progress_bar=sys.stderr.isatty(),
            kernel_manager_class=Kernel,
        )
    return executed


def to_html(executed: Path) -> Path:
    """The executed notebook as one HTML file that runs nothing and loads nothing: it can be read without a network."""
    from nbconvert import HTMLExporter
    from traitlets.config import Config

    config = Config({"NbConvertBase": {"display_data_priority": list(_SHOWN)}})
    html, _ = HTMLExporter(config=config, embed_images=True, raw_template=_ALONE).from_filename(str(executed))
    path = executed.with_suffix(".html")
    path.write_text(html, encoding="utf-8")
    return path


def summary(executed: Path) -> list[str]:
    """What a newcomer should know: the first line of each step, from the outputs themselves."""
    import nbformat

    lines = []
    for cell in nbformat.read(executed, as_version=4).cells:
        title = cell.metadata.get("sls", {}).get("step")
        if title is None:
            continue
        lines.append(f"  {title}")
        wanted = cell.metadata["sls"].get("show", "")
        text = "\n".join(_texts(cell.get("outputs", [])))
        lines += [f"      {line.strip()}" for line in text.splitlines() if wanted and wanted in line][:1]
    return lines


def _texts(outputs: list) -> list[str]:
    found = []
    for output in outputs:
        found.append(output.get("text", ""))
        found.append(output.get("data", {}).get("text/plain", ""))
        found += output.get("traceback", [])
    return ["".join(text) for text in found]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(path.stem for path in HERE.glob("*.ipynb")))
    parser.add_argument("--out", type=Path, default=Path("build") / "notebooks")
    options = parser.parse_args()
    out = options.out.absolute()
    print(f"Running notebooks/{options.name}.ipynb, cell by cell; that takes less than a minute …", flush=True)
    start = time.monotonic()
    executed = execute(options.name, out)
    print("Writing what came of it as a page …", flush=True)
    page = to_html(executed)
    print(f"Done in {time.monotonic() - start:.0f} s. What happened:\n")
    print("\n".join(summary(executed)))
    print(f"\n  executed notebook  {_shown(executed)}\n  as a page          {_shown(page)}")
    print("\n  The TEE was SIMULATED: the evidence is real in form, and signed by a key on this machine.")
    print("  Next: make lab opens JupyterLab on the same notebooks. README.md has the magics.")
    return 0


def _shown(path: Path) -> str:
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


if __name__ == "__main__":
    sys.exit(main())

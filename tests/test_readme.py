"""The README's code is run as it stands, in order: a newcomer who copies it gets what it promises."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from e2e import needs_sandbox
from notebook_kit import Kernel, Outcome

from sls_jupyter.agent import starting

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [(found[1], found[2]) for found in FENCE.finditer(README)]
NOTEBOOK = re.compile(r"# the (\w+)'s notebook\n")
TRIAL = next(place for place, (_, text) in enumerate(BLOCKS) if "SLS_HOME=" in text)
DECIDES = re.compile(r"^%sls requests$", re.MULTILINE)
PRESS = """
import gc, ipywidgets
for _one in [one for one in gc.get_objects() if isinstance(one, ipywidgets.Button)]:
    if _one.description == "Approve" and not _one.disabled: _one.click()
del _one
"""


@dataclass
class Reader:
    """Somebody who runs block after block in one folder: shell blocks in a shell, cells in the notebook they are of."""

    folder: Path
    homes: dict[str, str]  # variables of the environment that a home is found by
    kernels: dict[str, Kernel] = field(default_factory=dict)
    shells: list[subprocess.Popen[str]] = field(default_factory=list)
    notebook: str = ""
    seen: list[Outcome] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SLS_")}
        path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
        return {**kept, **self.homes, "PATH": path, "IPYTHONDIR": str(self.folder / "ipython")}

    def do(self, language: str, text: str) -> None:
        {"python": self._cell, "sh": self._shell}[language](text)

    def _cell(self, text: str) -> None:
        named = NOTEBOOK.match(text)
        self.notebook = named[1] if named else self.notebook
        if self.notebook not in self.kernels:
            self.kernels[self.notebook] = Kernel(self.environment)
            assert self.kernels[self.notebook].run(f"%cd -q {self.folder}").error == ""
        kernel = self.kernels[self.notebook]
        outcome = kernel.run(text)
        assert outcome.error == "", f"{text}\n{outcome.error}"
        self.seen.append(outcome)
        if DECIDES.search(text):  # the reader presses the button that stands there
            assert "Approved" in kernel.run(PRESS).plain

    def _shell(self, text: str) -> None:
        """A block of a terminal; what it leaves in the background goes on."""
        with (self.folder / "shell.txt").open("a+") as told:
            shell = subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", text],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=told,
                stderr=told,
                start_new_session=True,
            )
            self.shells.append(shell)
            assert shell.wait(timeout=60) == 0, (self.folder / "shell.txt").read_text()

    def value(self, expression: str) -> str:
        """What an expression prints in the notebook that was used last."""
        return self.kernels[self.notebook].run(f"print({expression})").stdout.strip()

    def stop(self) -> None:
        for kernel in self.kernels.values():
            kernel.stop()
        for shell in self.shells:
            try:
                os.killpg(shell.pid, signal.SIGTERM)
            except ProcessLookupError:
                continue  # it left nothing behind
        for socket in self.folder.glob("**/agent/socket"):
            starting.stop(socket.parent.parent, force=True)


def is_run(language: str, text: str) -> bool:
    """Cells, and what a terminal does with ``sls``; the targets of make install and test, and are looked up instead."""
    return language == "python" or (language == "sh" and bool(re.search(r"^(SLS_\w+=\S+ )?sls ", text, re.MULTILINE)))


@pytest.fixture
def reader(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Reader]:
    homes = {"HOME": str(tmp_path)} | request.param
    made = Reader(tmp_path, {name: value.format(tmp_path) for name, value in homes.items()})
    yield made
    made.stop()


@needs_sandbox
@pytest.mark.parametrize("reader", [{"SLS_HOME": "{}/home"}], indirect=True)
def test_the_snippets_run_in_order_in_one_home(reader: Reader) -> None:
    """From the first line to the auditor's command, and the last line of a run is the one that is printed there."""
    for language, text in BLOCKS[:TRIAL]:
        if is_run(language, text):
            reader.do(language, text)
    promised = next(text for language, text in BLOCKS if language == "text").strip()
    waited = next(one for one in reader.seen if "checks passed" in one.stdout)
    line = next(line for line in waited.stdout.splitlines() if "checks passed" in line)
    assert _form(line) == _form(promised)
    assert [one for one in waited.bundles if "image/png" in one]
    assert reader.value("list(risk.columns)") == "['sex', 'age', 'outcome']"
    assert reader.value("len(run.outputs['risk'])") == "2"
    assert "ACCEPTED" in (reader.folder / "shell.txt").read_text().upper()


def _form(line: str) -> str:
    """The line without what is another's in each run; the number of checks is not."""
    return re.sub(r"(?<=entry )\d+", "N", re.sub(r"\b[0-9a-f]{8,12}\b", "X", line))


@needs_sandbox
@pytest.mark.parametrize("reader", [{}], indirect=True)
def test_the_trial_with_two_homes_works_as_written(reader: Reader) -> None:
    """Two organisations on one machine: another's processor is believed because its root was handed over."""
    for language, text in BLOCKS[TRIAL:]:
        if is_run(language, text):
            reader.do(language, text)
    assert reader.notebook == "analyst"
    assert reader.value("ages.index.tolist()") == "['f', 'm']"
    preflight = next(one for one in reader.seen if "Preflight" in one.plain)
    assert "this run needs approval" in preflight.plain
    homes = [reader.folder / f"{name}-home" for name in ("analyst", "hospital")]
    assert len({(home / "machine" / "development-chain.json").read_bytes() for home in homes}) == 2


@pytest.mark.parametrize(("language", "text"), BLOCKS, ids=range(len(BLOCKS)))
def test_every_block_says_what_it_is_and_none_has_a_gap(language: str, text: str) -> None:
    """What stands in a block of code can be pasted; what cannot is a sentence."""
    assert language in ("python", "sh", "text")
    if language == "text":
        return
    assert "…" not in text
    assert is_run(language, text) or all(line.startswith("make ") for line in text.splitlines())


def test_the_commands_of_make_exist() -> None:
    """The first two lines that a newcomer types."""
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake (\w+)", README)) <= targets

"""Shift+Tab on a magic's line: its options, wherever the cursor stands, and everything else as before."""

from types import SimpleNamespace

import pytest

from sls_jupyter.notebook import tooltip
from sls_jupyter.notebook.magics import SlsMagics
from sls_jupyter.notebook.parsers import command_parsers, safestream_parser, seal_parser

STREAM = "%%safestream -i patients:age --purpose 'risk study'\npatients.age.mean()\n"


@pytest.mark.parametrize("cursor", [0, 5, 14, 20, STREAM.index("\n")])
def test_the_whole_line_has_the_help(cursor):
    """On the magic's name, on an asset, on a word of the purpose, at its end."""
    assert tooltip.help_at(STREAM, cursor) == safestream_parser().format_help()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("%seal patients", seal_parser(False).format_help()),
        ("%%seal model", seal_parser(True).format_help()),
        ("  %safestream", safestream_parser().format_help()),
        ("%sls audit abc", command_parsers()["audit"].format_help()),
        ("%sls audit report abc", command_parsers()["audit report"].format_help()),
        ("%sls log check x", command_parsers()["log"].within(["check"]).format_help()),
        ("%sls", tooltip.command_help()),
        ("%sls nothing 'unclosed", tooltip.command_help()),
    ],
)
def test_each_magic_and_command_has_its_own(line, expected):
    """It is the text of ``--help``; ``%sls`` alone lists its commands."""
    assert tooltip.help_at("x = 1\n" + line + "\ny = 2", 6 + len(line)) == expected


@pytest.mark.parametrize("line", ["patients.age", "x % seal", "%sealed x", "%safestream?", "'%seal x'", ""])
def test_other_lines_are_none_of_our_business(line):
    """A name that only looks like ours, and IPython's own question mark."""
    assert tooltip.help_at(line, len(line)) == ""
    assert tooltip.help_at(STREAM, STREAM.index("\n") + 3) == ""


def test_docstrings_have_the_options():
    """``%safestream?`` and ``%seal?`` show them where there is no kernel to ask."""
    assert "--purpose" in SlsMagics.safestream.__doc__
    assert "--min-group" in SlsMagics.seal.__doc__
    assert "--confidential" in SlsMagics.seal.__doc__
    assert "preflight" in SlsMagics.sls.__doc__


class Kernel:
    """Answers with what it was asked."""

    def do_inspect(self, code, cursor_pos, detail_level=0, omit_sections=()):
        return (code, cursor_pos, detail_level, omit_sections)


def test_a_kernel_answers_as_before_elsewhere_and_after_us(monkeypatch):
    """The hook passes on what is not ours, fails into what was there, and is gone when the extension is unloaded."""
    shell = SimpleNamespace(kernel=Kernel())
    tooltip.install(shell)
    assert "--purpose" in shell.kernel.do_inspect(STREAM, 20, 0, set())["data"]["text/plain"]
    assert shell.kernel.do_inspect("x", 1, 1, omit_sections=("a",)) == ("x", 1, 1, ("a",))
    monkeypatch.setattr(tooltip, "help_at", lambda *_: 1 / 0)
    assert shell.kernel.do_inspect(STREAM, 20) == (STREAM, 20, 0, ())
    tooltip.uninstall(shell)
    assert "do_inspect" not in vars(shell.kernel)
    for without in (SimpleNamespace(), SimpleNamespace(kernel=None)):
        tooltip.install(without)
        tooltip.uninstall(without)

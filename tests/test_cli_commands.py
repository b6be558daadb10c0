"""What a notebook can do, a shell can do, by the same name and with the same options; and back."""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Iterator

import pandas as pd
import pytest
from e2e import World, world
from notebook_kit import run_magic, shell_with_magics

from sls_jupyter.cli import main
from sls_jupyter.cli.parser import parser
from sls_jupyter.cli.values import COLUMNS, LINE, ROWS, value_lines
from sls_jupyter.cli.words import in_shell
from sls_jupyter.errors import BadInput, SlsError, Unavailable
from sls_jupyter.notebook.commands import COMMANDS
from sls_jupyter.notebook.complete_line import Here, complete_line
from sls_jupyter.notebook.known import Names
from sls_jupyter.notebook.parsers import command_parsers
from sls_jupyter.notebook.sessions import close_all

__all__ = ["world"]

ONLY_IN_A_NOTEBOOK = {
    "as": "--persona names one for each command",
    "cosign": "sls log cosign",
    "edit": "it is about a variable of the notebook",
}
ONLY_IN_A_SHELL = {
    "authority": "a notebook serves its persona's own",
    "attest": "%sls verify takes the same files",
    "export": "a template is deployed from a shell",
    "host": "%sls hosts adds and removes; a machine is examined and swept from a shell",
    "image": "an image is built and pushed from a shell",
    "open": "JupyterLab has the panel at its left side",
}
OTHER_OPTIONS = {
    "whoami": {"--new"},  # %sls as NAME --new
    "preflight": {"--file"},  # %%sls preflight takes a cell
    "audit": {"--report"},  # of old; audit report is in both
}
ANY_FILE = {"verify"}  # of %sls takes evidence too, which is sls attest verify


def shell_parsers() -> dict[str, argparse.ArgumentParser]:
    """Every command of ``sls`` with all of its options."""
    action = next(one for one in parser()._actions if isinstance(one, argparse._SubParsersAction))
    for command in action.choices.values():
        if command.fill is not None:
            command.fill(command)
    return dict(action.choices)


def words_of(command: argparse.ArgumentParser) -> set[str]:
    return {action.option_strings[-1] if action.option_strings else action.dest for action in command._actions}


# --- the same commands ----------------------------------------------------------------------------


def test_both_doors_have_the_same_commands():
    """Somebody would find a command in a notebook and miss it where notebooks are not, or the other way round."""
    notebook, shell = set(command_parsers()), set(shell_parsers())
    assert notebook - shell == set(ONLY_IN_A_NOTEBOOK)
    assert shell - notebook == set(ONLY_IN_A_SHELL)
    assert notebook == set(COMMANDS)


@pytest.mark.parametrize("name", sorted(set(command_parsers()) - set(ONLY_IN_A_NOTEBOOK) - ANY_FILE))
def test_a_command_has_the_same_options_in_both(name):
    """An option that is there in one place only is one that somebody looks for in vain."""
    different = words_of(shell_parsers()[name]) ^ words_of(command_parsers()[name])
    assert different - {"--persona"} == OTHER_OPTIONS.get(name, set())


def test_log_has_the_same_actions_with_the_same_options():
    """An owner who works in a notebook need not open a terminal to be witnessed."""
    (shell, notebook) = (
        next(one for one in log._actions if isinstance(one, argparse._SubParsersAction)).choices
        for log in (shell_parsers()["log"], command_parsers()["log"])
    )
    assert list(shell) == list(notebook)
    for name, action in notebook.items():
        assert words_of(shell[name]) - words_of(action) <= {"--persona", "--database"}, name
        assert words_of(action) <= words_of(shell[name]), name


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - set(ONLY_IN_A_NOTEBOOK)))
def test_a_hint_about_a_command_can_be_typed_in_a_shell(name):
    """A hint that begins with a percent sign is one that no shell knows."""
    hint = in_shell(f"Try %sls {name} X.", "hospital")
    assert "%" not in hint
    assert f"{name} X." in hint


def test_a_hint_about_a_host_is_for_the_persona_who_has_it():
    """Hosts are a persona's: another one's doctor would not know the name."""
    said = in_shell("Try sls host sweep azure-eu, or sls host doctor azure-eu.", "hospital")
    assert said == "Try sls --persona hospital host sweep azure-eu, or sls --persona hospital host doctor azure-eu."


# --- a persona with a run -------------------------------------------------------------------------


@pytest.fixture
def sls(world: World, capsys, monkeypatch) -> Callable[..., tuple[int, str, str]]:
    """The command line as the analyst types it, beside the notebook of the hospital."""
    monkeypatch.setenv("SLS_HOME", str(world.root))
    monkeypatch.setenv("SLS_PERSONA", "analyst")

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        return code, *capsys.readouterr()

    return call


def test_sls_alone_is_the_overview(sls, world: World) -> None:
    """Who types the program's name and nothing else sees how things stand, not a list of words."""
    code, out, err = sls()
    assert (code, err) == (0, "")
    assert out.startswith("sls · analyst")
    assert "sls help lists what there is." in out
    assert "%" not in out
    assert sls("--persona", "hospital")[1].startswith("sls · hospital")


def test_a_result_is_shown_where_no_notebook_is(sls, world: World) -> None:
    """A long table is told by its first rows and its size, and every value by its name."""
    code = "t = free[['age']].assign(word='a\\x1b[31mb')\nn = 41 + 1"
    run = world.do(code, outputs=["t", "n"]).run
    assert run.error is None
    code, out, err = sls("result", run.id)
    assert (code, err) == (0, "")
    assert "300 × 2" in out
    assert "\nn\n  42\n" in out
    assert "… 290 more rows" in out
    assert "\x1b" not in out
    code, out, err = sls("result", "nothing")
    assert (code, out) == (1, "")
    assert "sls runs lists them" in err


def test_help_is_a_command_too(sls) -> None:
    """Who knows the notebook's word for it types it here, and the overview names it."""
    code, out, err = sls("help")
    assert (code, err) == (0, "")
    assert "preflight" in out


def test_what_is_over_cannot_be_cancelled(sls, world: World) -> None:
    """The hint names what can be typed next."""
    run = world.do("x = 1", outputs=["x"]).run
    code, out, err = sls("cancel", run.id)
    assert (code, out) == (1, "")
    assert f"sls audit {run.id} shows how it went" in err


def test_preflight_takes_a_file_or_standard_input(sls, world: World, tmp_path, monkeypatch) -> None:
    """Owners decide about this very code, from wherever it comes; a script reads the answer from the exit status."""
    file = tmp_path / "cell.py"
    file.write_bytes(b"x = 1\r\ny = 2\n")
    code, out, err = sls("preflight", "-i", "free", "-p", "n=3", "-p", "word=three", "-f", str(file))
    assert (code, err) == (0, "")
    assert "this run may start" in out
    assert "No code was given" not in out
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"x = 1")))
    assert "No code was given" not in sls("preflight", "-i", "free", "-f", "-")[1]
    out = sls("preflight", "-i", "free")[1]
    assert "sls preflight -f FILE takes it" in " ".join(out.split())
    assert "%" not in out
    code, out, _ = sls("preflight", "-i", "free", "--host", "local")
    assert code == 0
    assert "sls host doctor" in out
    assert sls("preflight", "-i", "free", "--host", "nowhere")[0] == 1
    code, out, _ = sls("preflight", "-i", "free:name", "--kinds", "table", "--tee", "sev-snp")
    assert code == 1
    assert "no key" in out or "denied" in out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-f", "no-such-file"], "No such file"),
        (["-f", "/dev/zero"], "too long"),
        (["-f", "\0"], "ValueError"),
        (["-p", "n"], "NAME=VALUE"),
        (["-p", "n=1", "-p", "n=2"], "each name once"),
        (["-p", 'x={"a":1,"a":2}'], "parameter x has a member twice"),
        (["-p", 'x=[{"a":{"b":1,"b":1}}]'], "'b'"),
        (["-p", "a b=1"], "NAME=VALUE"),
    ],
)
def test_what_preflight_cannot_read_says_why(sls, words, says) -> None:
    """A wrong file or value ends neither in a traceback nor in a machine without memory."""
    code, out, err = sls("preflight", "-i", "free", *words)
    assert (code, out) == (1, "")
    assert says in err
    assert "Traceback" not in err


def test_a_value_that_an_option_cannot_have_is_2(sls) -> None:
    """A script can tell a wrong call from a failed one."""
    code, out, err = sls("preflight", "-i", "free", "--cpu", "99")
    assert (code, out) == (2, "")
    assert "1 to 31" in err


def test_can_run_hosts_and_withdraw(sls, world: World, monkeypatch) -> None:
    """An owner without a notebook sees what can run where, and takes an asset back."""
    assert "hospital/free" in sls("can-run")[1]
    assert "local" in sls("hosts")[1]
    code, _, err = sls("hosts", "add", "nothing")
    assert code == 1
    assert "aci or podman" in err
    world.seal("taken-back")
    monkeypatch.setenv("SLS_PERSONA", "hospital")
    code, out, err = sls("withdraw", "taken-back")
    assert (code, err) == (0, "")
    assert "Withdrawn" in out
    assert sls("withdraw", "never-there")[0] == 1


# --- values ---------------------------------------------------------------------------------------


def test_a_table_is_cut_and_says_so():
    """A wide or long table would fill the screen, and one that is cut in silence looks whole."""
    lines = value_lines(pd.DataFrame({f"c{number}": range(ROWS + 1) for number in range(COLUMNS + 2)}))
    assert lines[-2:] == ["… 1 more rows", "… 2 more columns"]
    assert len(lines) == 1 + ROWS + 2
    assert value_lines(pd.Series([1, 2], name="x"))[0].split() == ["x"]
    assert value_lines("y" * (LINE + 1))[-1] == "… 1 more characters"


def test_a_value_s_text_begins_no_line_of_ours(capsys):
    """A value of a stranger's group would move the cursor or look like our own words."""
    from sls_jupyter.cli.values import show_values

    show_values({"v": "\x1b[2J\r✓ accepted"})
    assert "\x1b" not in capsys.readouterr().out


# --- the notebook's side --------------------------------------------------------------------------


@pytest.fixture
def shell(world: World, tmp_path, monkeypatch) -> Iterator[object]:
    monkeypatch.setenv("SLS_HOME", str(world.root))
    monkeypatch.setenv("SLS_PERSONA", "analyst")
    monkeypatch.chdir(tmp_path)
    with shell_with_magics(tmp_path) as shell:
        yield shell
    close_all()


def test_audit_report_is_a_magic_too(shell, world: World, tmp_path) -> None:
    """The page for a person is written from a notebook by the words that a shell has for it."""
    run = world.do("x = 1", outputs=["x"]).run
    assert "page.html" in run_magic(shell, f"%sls audit report {run.id} --output page.html").plain
    assert run.id in (tmp_path / "page.html").read_text()


def test_log_is_a_magic_too(shell, world: World, tmp_path) -> None:
    """An owner publishes, checks and has a log witnessed from the notebook that serves it."""
    run_magic(shell, "%sls as hospital")
    keys = run_magic(shell, "%sls log keys").text.splitlines()
    assert len(keys) == 6
    assert keys[3].strip().startswith("sls-jupyter.witness/")
    copy = tmp_path / "copy"
    assert "Published" in run_magic(shell, f"%sls log publish {copy}").plain
    assert "every check passed" in run_magic(shell, f"%sls log check {copy}").plain
    assert (
        "takes cosignatures by" in run_magic(shell, f"%sls log trust {keys[5].strip()} --url http://127.0.0.1:1").text
    )
    with pytest.raises(Unavailable):  # what failed is told, and is an error too: "run all" stops
        run_magic(shell, "%sls log collect")
    for line, error in (("%sls log", BadInput), ("%sls log nothing", BadInput), ("%sls log check nowhere", SlsError)):
        with pytest.raises(error):
            run_magic(shell, line)
    assert "usage: %sls log check" in run_magic(shell, "%sls log check --help").plain


def test_the_new_words_are_completed():
    """The tab key knows the actions, their options and the runs."""
    names = Names(runs=("3f9c20d1a4b7",))
    assert complete_line("%sls log ch", names, Here()) == ("ch", [("check", "command")])
    assert complete_line("%sls log check --wi", names, Here())[1] == [
        ("--witness", "option"),
        ("--witnesses", "option"),
    ]
    assert complete_line("%sls audit re", names, Here()) == ("re", [("report", "command")])
    assert complete_line("%sls audit report ", names, Here())[1] == [("3f9c20d1a4b7", "run")]
    assert complete_line("%sls audit report --o", names, Here())[1] == [("--output", "option")]
    assert complete_line("%sls log check ", names, Here())[1] == []

"""The magics' lines: words, variables, options, values, and errors that name the fix."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sls_jupyter.errors import BadInput, SlsError, UnknownName
from sls_jupyter.notebook.args import HelpWanted, duration, limits_from, size, split
from sls_jupyter.notebook.parsers import command_parsers, safestream_parser, seal_parser
from sls_jupyter.policy.options import policy_from_options

OWNER = "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"


def test_quotes_are_taken_away():
    """A purpose of two words reaches the policy without its quotation marks."""
    assert split("--purpose 'risk study' -o x", {}) == ["--purpose", "risk study", "-o", "x"]


def test_an_open_quotation_is_named():
    """A forgotten quotation mark is no ValueError of shlex."""
    with pytest.raises(BadInput, match="Close the quotation"):
        split("--purpose 'risk", {})


def test_variables_stand_for_text_paths_and_whole_numbers():
    """papermill's parameters reach a magic, and a value with spaces stays one word."""
    known = {"name": "patients", "least": 5, "why": "a b --tee x", "file": Path("a b.json")}
    found = split("-i $name --min-group {least} --purpose $why $file", known)
    assert found == ["-i", "patients", "--min-group", "5", "--purpose", "a b --tee x", "a b.json"]


def test_a_doubled_sign_is_the_sign():
    """A dollar or a brace can still be written."""
    assert split("--purpose '$$x {{y}} costs $5'", {}) == ["--purpose", "$x {y} costs $5"]


@pytest.mark.parametrize("line", ["-i $patient", "-i {patient}"])
def test_an_unknown_variable_is_an_error_with_the_nearest(line):
    """A misspelt variable is not sent as raw text."""
    with pytest.raises(UnknownName, match="Did you mean patients"):
        split(line, {"patients": "x"})


@pytest.mark.parametrize(("line", "value"), [("$x", 1.5), ("$x", True), ("$x", [1]), ("{x.y}", 1), ("{x + 1}", 1)])
def test_only_plain_names_of_text_and_numbers_are_put_in(line, value):
    """Expressions and objects do not become text in silence."""
    with pytest.raises(BadInput):
        split(line, {"x": value})


def test_an_unknown_option_names_the_nearest():
    """A misspelt option is found again in the error."""
    with pytest.raises(BadInput, match="Did you mean --purpose"):
        safestream_parser().parse(["-i", "a", "--purposes", "x"])


@pytest.mark.parametrize(
    "words", [["-o", "a b"], ["--cpu", "0"], ["--memory", "lots"], ["--time", "1y"], ["--tee", "snp"], ["--kinds", ""]]
)
def test_unfit_values_are_refused(words):
    """Each value is checked where it is read, in our own words."""
    with pytest.raises(BadInput):
        safestream_parser().parse(["-i", "a", *words])


@pytest.mark.parametrize("parser", [seal_parser(False), seal_parser(True), safestream_parser()])
def test_missing_arguments_neither_exit_nor_print(parser, capsys):
    """argparse's SystemExit would end a notebook's kernel cell without an error output."""
    with pytest.raises(SlsError):
        parser.parse(["--no-such-option"])
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("name", list(command_parsers()))
def test_every_command_has_help(name):
    """--help works although required words are missing."""
    with pytest.raises(HelpWanted, match=f"usage: %sls {name}"):
        command_parsers()[name].parse(["--help"])


@pytest.mark.parametrize(
    ("text", "count"), [("512M", 512 * 2**20), ("2G", 2 * 2**30), ("1.5GiB", 3 * 2**29), ("100", 100), ("4kb", 4096)]
)
def test_sizes(text, count):
    """A size is read in powers of 1024."""
    assert size(text) == count


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("45s", 45), ("30m", 1800), ("2h", 7200)])
def test_durations(text, seconds):
    """A duration is read in seconds."""
    assert duration(text) == seconds


def test_limits_out_of_range_name_the_range():
    """Too little memory is no pydantic error."""
    with pytest.raises(BadInput, match="memory_bytes"):
        limits_from(1, 5, None)
    assert limits_from(2, None, 60).cpu_seconds == 120


def test_the_options_of_seal_are_the_policy_s():
    """What %seal reads is what the policy room takes."""
    line = (
        "x --allow-code any --min-group 5 --kinds table --expires 30d --tee simulated-snp --max-bytes 5MB --full-errors"
    )
    options = seal_parser(False).parse(line.split())
    from sls_jupyter.notebook.parsers import POLICY_FIELDS

    policy = policy_from_options(OWNER, now=0, **{name: getattr(options, name) for name in POLICY_FIELDS})
    assert (policy.code, policy.min_group, policy.kinds, policy.full_errors) == ("any", 5, ("table",), True)


@given(line=st.text(max_size=60))
def test_any_line_ends_in_words_or_in_our_error(line):
    """No line a person can type ends in a foreign traceback."""
    for parser in (seal_parser(False), seal_parser(True), safestream_parser(), command_parsers()["preflight"]):
        with contextlib.suppress(SlsError, HelpWanted):
            parser.parse(split(line, {"x": 1}))

"""A line that somebody is typing: its words are the shell's, and what is not finished stays what it is."""

import shlex

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from sls_jupyter.notebook.args import split
from sls_jupyter.notebook.parsers import safestream_parser
from sls_jupyter.notebook.unfinished import OpenWord, given, words_of, written


@for_all(st.text(alphabet="ab '\"\\,:=-\n\t", max_size=30))
def test_finished_words_are_those_of_shlex(line):
    """Whatever quotes and blanks it has: a line that can be split is split alike."""
    try:
        expected = shlex.split(line)
    except ValueError:
        words_of(line)  # not finished, and no error
        return
    words, last = words_of(line)
    assert words + ([last.text] if last.raw else []) == expected
    assert line.endswith(last.raw)


@pytest.mark.parametrize(
    ("line", "words", "raw", "text", "piece"),
    [
        ("", [], "", "", ""),
        ("-i pat", ["-i"], "pat", "pat", "pat"),
        ("-i patients ", ["-i", "patients"], "", "", ""),
        ("--purpose 'risk st", ["--purpose"], "'risk st", "risk st", "risk st"),
        ("-i patients:age,'wei", ["-i"], "patients:age,'wei", "patients:age,wei", "wei"),
        (r"-i a\ b", ["-i"], r"a\ b", "a b", r"a\ b"),
        ("x \\", ["x"], "\\", "\\", "\\"),
    ],
)
def test_the_word_at_the_cursor(line, words, raw, text, piece):
    """As it stands, what it means, and the name in it that is being typed."""
    found, last = words_of(line)
    assert (found, last, last.piece) == (words, OpenWord(raw, text), piece)


def test_options_so_far():
    """By argparse's names, in every spelling; what there is not is left out, and nothing is refused."""
    words = ["-i", "a", "--input=b", "-ic", "--no-wait", "--nothing", "--cpu", "many", "left", "--host"]
    found = given(safestream_parser(), words)
    assert found.of("input") == ["a", "b", "c"]
    assert found.of("cpu", "host") == ["many"]
    assert found.others == ["left"]


@for_all(st.text(min_size=1, max_size=20).filter(lambda text: "\0" not in text), st.sampled_from(["", "'", '"']))
def test_what_is_written_is_that_text_alone(text, mark):
    """Whatever somebody called it: the line has one word more, which means it, and takes no variable in."""
    assert split("x " + written(text, OpenWord(mark, ""), ""), {}) == ["x", text]
    assert written(text, OpenWord("'", ""), "'") + "'" == written(text, OpenWord("'", ""), "")

"""Released text: what a person reads, without what steers or deceives the screen."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sls_jupyter.contract.grants import Obligations
from sls_jupyter.guest.gate import Gate
from sls_jupyter.guest.plain_text import released_text, released_value

STEERING = "\x1b[]P^_X0;19mhHJK\x07\x08\r\u009b\u009d\u0090\u009c\\ab \u202e\u2066\u200f\u061c\ud800\u2028\ufeff"
BIDIRECTIONAL = {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}


def is_plain(text: str) -> bool:
    """Whether no character of a text is a control (but tab and line end), reorders, or is half a character."""
    return all(
        character in "\t\n"
        or (
            unicodedata.category(character) not in ("Cc", "Cs")
            and unicodedata.bidirectional(character) not in BIDIRECTIONAL
        )
        for character in text
    )


@settings(deadline=None, max_examples=400)
@given(st.one_of(st.text(alphabet=STEERING, max_size=40), st.text(max_size=40)))
def test_no_control_leaves_in_any_text(text: str) -> None:
    """Streams, displays, errors: a sequence can write to a terminal's clipboard, an override forges a line."""
    plain = released_text(text)
    assert is_plain(plain)
    assert not set(plain) & set("\u200b\u200e\u200f\u061c\ufeff\u2028\u2029\u0085")
    assert released_text(plain) == plain
    gate = Gate(Obligations(full_errors=True))
    left = [gate.text(text), gate.display({"text/plain": text}), gate.error(text, text, [text])]
    for value in (left[0], *(left[1] or {}).values(), left[2]["name"], left[2]["value"], *left[2]["traceback"]):  # type: ignore[index]
        assert is_plain(value)


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=60))
def test_honest_text_stays_as_it_is(text: str) -> None:
    """Names in every script, numbers and tables of lines come through unchanged."""
    gate = Gate(Obligations())
    honest = "".join(letter for letter in text if letter not in "\u115f\u1160\u3164\uffa0")
    assert gate.text(honest + "\n\tx") == honest + "\n\tx"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07shown", "shown"),
        ("\x1b]52;c;c2VjcmV0\x1b\\shown", "shown"),
        ("\u009b31mred", "red"),
        ("10%\r20%\r\n", "10%\n20%\n"),
        ("a\x1b", "a"),
        ("\ud800", "\ufffd"),
        ("invoice \u202egpj.exe", "invoice gpj.exe"),
    ],
)
def test_sequences_leave_no_rest(text: str, plain: str) -> None:
    """A sequence goes as a whole; half of one would be text that nobody wrote."""
    assert released_text(text) == plain


def test_json_is_plain_in_names_and_values() -> None:
    """A JSON view prints both."""
    value: Any = {"a\u202e": ["\x1b[1mb", 1, None, {"c": "\u0085"}]}
    assert released_value(value) == {"a": ["b", 1, None, {"c": "\n"}]}

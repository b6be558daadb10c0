"""Every text of the framework has a meaning and a next step, and a text finds one rule only."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sls_jupyter.hosts.judge import rules
from sls_jupyter.hosts.judge.deciding import INVALID_POLICY, NO_REASON
from sls_jupyter.hosts.judge.words import MAX_TEXT, WORDS, explain, meaning


@pytest.mark.parametrize(
    ("text", "rule", "what"),
    [
        ("invalid env list: IDENTITY_HEADER,X", "environment", "IDENTITY_HEADER,X"),
        ("invalid env list", "environment", ""),
        ("invalid mount list: /etc/resolv.conf", "mounts", "/etc/resolv.conf"),
        ("deviceHash not found", "layer", ""),
        ("capabilities don't match", "capabilities", ""),
        ("framework_version is ahead of the current version: 9.0.0 is greater than 0.5.0", "framework_version", None),
        ("rule for dump_stacks is missing from policy", "missing_rule", "dump_stacks"),
        ("enforcement point rule new_point does not exist", "missing_rule", "new_point"),
        ("missing receipt from ledger", "fragment_receipt", "ledger"),
        (NO_REASON, "invalid_policy", None),
        (INVALID_POLICY, "invalid_policy", None),
        ("something new", "unknown", ""),
    ],
)
def test_a_text_finds_its_rule(text: str, rule: str, what: str | None) -> None:
    """The reader gets the rule, the names in the text, the meaning and the next step."""
    found = explain(text)
    assert (found.rule, found.text) == (rule, text)
    assert what is None or found.what == what
    assert found.means.endswith(".")
    assert found.fix.endswith(".")


def test_every_text_that_the_judge_can_say_is_in_the_table() -> None:
    """A new reason without words would reach users as a riddle."""
    folder = Path(str(rules.__file__)).parent
    source = "".join((folder / name).read_text(encoding="utf-8") for name in ("reasons.py", "start_reasons.py"))
    said = re.findall(r'f?"([^"\n]{12,})"(?=:|\)|$)', source, flags=re.MULTILINE)
    said = [text.replace("{what}", "framework_version") for text in said]
    texts = [re.sub(r"\{[^}]*\}", "1.0.0", text) for text in said if " " in text and not text.endswith(".")]
    assert len(texts) > 30
    assert [text for text in texts if explain(text).rule == "unknown"] == []


def test_rules_are_named_once_and_fit_their_own_texts_only() -> None:
    """Two rules for one text would make the words depend on their order."""
    assert len({words.rule for words in WORDS}) == len(WORDS)
    for words in WORDS:
        for sample in re.sub(r"\(\?.*?\)\)?\??", "", words.text).split("|"):
            fitting = [one.rule for one in WORDS if re.fullmatch(one.text, sample, re.DOTALL)]
            assert fitting in ([words.rule], [])


def test_a_rule_has_a_meaning() -> None:
    """Also one that is not known."""
    assert meaning("command").startswith("The command")
    assert meaning("new") == explain("new").means


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_explained(text: str) -> None:
    """Whatever a newer platform says is shown as it is."""
    assert explain(text).text == text


def test_a_long_text_is_cut() -> None:
    """A stranger's text does not fill a screen."""
    assert len(explain("x" * 10_000).text) == MAX_TEXT

"""Completion on a magic's line: the right names at the cursor, and none that adds anything but itself."""

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from names_kit import NAMES

from sls_jupyter.notebook.args import split
from sls_jupyter.notebook.complete_line import Here, complete_line, labels_of
from sls_jupyter.notebook.known import Names
from sls_jupyter.session.column_types import ColumnType

FRAME = pd.DataFrame({"age": [1], "sex": ["f"], "two words": [0], 7: [0]})
HERE = Here(tables={"frame": FRAME}, values=("frame", "threshold"), made=("risk", "table"))


def offered(line, here=HERE):
    return [text for text, _ in complete_line(line, NAMES, here)[1]]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("%%safestream -i ", ["patients", "clinic/day-visits"]),
        ("%%safestream --input cl", ["clinic/day-visits"]),
        ("%%safestream -i patients:", ["age", "sex", "smoker", "count", "visit"]),
        ("%%safestream -i hospital/patients:s", ["sex", "smoker"]),
        (f"%%safestream -i sha256:{'a' * 64}:a", ["age"]),
        ("%%safestream -i patients=p:age,s", ["sex", "smoker"]),
        ("%%safestream -i patients:age,sex,a", []),
        ("%%safestream -i patients:age,'weight, kg',s", ["sex", "smoker"]),
        ("%%safestream -i 'patients:age,s", ["sex", "smoker"]),
        ("%%safestream -i patients:age,'s", ["sex", "smoker"]),
        ("%%safestream -i patients=", []),
        ("%%safestream --input=pat", ["patients"]),
        ("%%safestream -c ", ["risk_model"]),
        ("%%safestream --tee ", ["sev-snp", "tdx", "sgx", "simulated-snp"]),
        ("%%safestream --tee sev-snp,s", ["sgx", "simulated-snp"]),
        ("%%safestream --tee=sev-snp,t", ["tdx"]),
        ("%%safestream --kinds ", ["table", "text", "figure"]),
        ("%%safestream --kinds table,", ["text", "figure"]),
        ("%%safestream --kinds 'table,t", ["text"]),
        ("%%safestream --fragment a", ["aci-infrastructure"]),
        ("%%safestream --to ", ["analyst", "hospital"]),
        ("%%safestream -p t", ["threshold"]),
        ("%%safestream -o ", ["risk", "table"]),
        ("%%safestream --session ", ["study"]),
        ("%%safestream --purpose ", []),
        ("%%safestream --host ", ["local"]),
        ("%%safestream -i patients --no", ["--no-wait"]),
        ("%%seal model --conf", ["--confidential"]),
        ("%seal fr", ["frame"]),
        ("%seal frame --min-g", ["--min-group"]),
        ("%seal frame --min-group ", []),
        ("%seal frame --allow-code ", ["any", "reviewed"]),
        ("%seal frame --requester h", ["hospital"]),
        ("%seal frame --recipient a", ["analyst"]),
        ("%seal frame --columns ", ["age", "sex"]),
        ("%seal frame --columns age,", ["sex"]),
        ("%seal other --columns ", []),
        ("%seal frame --group demo", []),
        ("%seal frame --group demo=age,", ["sex"]),
        ("%seal frame --kinds table,f", ["figure"]),
        ("%seal frame --tee sim", ["simulated-snp"]),
        ("%%seal model --tee t", ["tdx"]),
        ("%sls a", ["as", "assets", "approve", "attach", "agent", "audit"]),
        ("%sls as ", ["analyst", "hospital"]),
        ("%sls audit d", ["def456"]),
        ("%sls approve ", ["abc123"]),
        ("%sls deny abc123 --re", ["--reason"]),
        ("%sls edit ", ["frame"]),
        ("%sls edit frame --columns s", ["sex"]),
        ("%sls preflight -i pa", ["patients"]),
        ("%sls preflight -i patients:age,s", ["sex", "smoker"]),
        ("%sls preflight --tee td", ["tdx"]),
        ("%sls verify --profile ", ["hardware", "aci"]),
        ("%sls requests --from h", ["hospital"]),
        ("%sls name a", ["analyst"]),
        ("%sls name analyst a", []),
        ("%sls agent st", ["status", "start", "stop"]),
        ("%sls hosts ", ["add", "remove"]),
        ("%sls hosts add ", ["aci"]),
        ("%sls hosts remove ", ["local"]),
        ("%sls result def456 --to ", []),
        ("%sls log ch", ["check"]),
        ("%sls withdraw r", ["risk_model"]),
        ("%sls nothing x", []),
    ],
)
def test_what_fits_at_the_cursor(line, expected):
    """Each place of each magic offers its own kind of name."""
    assert offered(line) == expected


def test_only_the_last_column_is_replaced():
    """Choosing a column keeps the asset and the columns before it."""
    assert complete_line("%%safestream -i patients:age,s", NAMES, HERE)[0] == "s"


@given(rest=st.text(max_size=40))
def test_no_line_breaks_completion(rest):
    """Whatever is typed, the tab key has an answer or none."""
    for magic in ("%seal ", "%%seal ", "%%safestream ", "%sls "):
        fragment, _ = complete_line(magic + rest, NAMES, HERE)
        assert rest.endswith(fragment)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "age --to attacker",
            "a\nimport os",
            "--policy",
            "-p",
            "a'b",
            'a"b',
            "a`b",
            "!ls",
            "%run",
            "$HOME",
            "{x}",
            "a{x}",
        ),
        *("a b", "a\tb", "a\u00a0b", "a\u3164b", "a\u202eb", "a\u200bb", "\x1b[2J", "a;b", "a|b", "a&b", "a\\b", "a#b"),
        *("a,b", "a:b", "a=b", "a*", "a?", "~", "(a)", "<a>", "", "a" * 500, "a\r", "a\u2028", ".", "+x"),
    ],
    ids=ascii,
)
def test_only_what_is_one_harmless_word_is_offered(name):
    """The tab key inserts no option, no second word and no line, whatever somebody called a column or an asset."""
    names = Names(
        columns={name: {"age": ColumnType("int64")}, "patients": dict.fromkeys((name, "age"), ColumnType("int64"))},
        **dict.fromkeys(("code", "requests", "runs", "personas", "hosts", "people"), (name,)),
        sessions={name: {}},
    )
    here = Here({name: None, "frame": pd.DataFrame({name: [1], "age": [1]})}, (name,), (name,))
    places = ("%%safestream -i ", "%%safestream -i patients:", "%%safestream -c ", "%%safestream --host ", "%sls as ")
    places += ("%sls audit ", "%sls approve ", "%sls withdraw ", "%seal ", "%sls edit ", "%seal frame --columns ")
    places += ("%%safestream --to ", "%%safestream -p ", "%%safestream -o ", "%%safestream --session ")
    offered = {text for line in places for text, _ in complete_line(line, names, here)[1]}
    assert offered - {"report"} == {"patients", "age", "frame"}  # report is ours: audit report


@pytest.mark.parametrize(
    ("typed", "after", "written"),
    [
        ("", "", ["audit", "'risk study'", "'who'\"'\"'s at risk, in $$US'"]),
        ("r", "", ["'risk study'"]),
        ("'risk st", "", ["'risk study'"]),
        ("'", "'", ["'audit", "'risk study", "'who'\"'\"'s at risk, in $$US"]),
        ('"w', "", ['"who\'s at risk, in $$US"']),
        ("x", "", []),
    ],
)
def test_a_purpose_is_one_word_that_means_itself(typed, after, written):
    """It stands in the quotation marks that it needs or that are open, and takes no variable of the notebook in."""
    line = f"%%safestream -i patients:age -c risk_model --purpose {typed}"
    fragment, words = complete_line(line, NAMES, Here(after=after))
    assert [text for text, _ in words] == written
    for text in written:
        purpose = split(line.removesuffix(fragment) + text + after, {})[-1]
        assert purpose in NAMES.purposes["patients"]


def test_only_a_purpose_that_every_owner_accepts_is_offered():
    """What one of them would deny is no help."""
    assert offered("%%safestream -i patients -i clinic/day-visits=v --purpose ") == ["'risk study'"]
    hidden = Names(purposes={"patients": ("a\u202eb", "a\nb", "x" * 300)})
    assert complete_line("%%safestream -i patients --purpose ", hidden, HERE)[1] == []


def test_a_column_s_type_is_told():
    """It is what a front end shows beside the name."""
    assert complete_line("%%safestream -i patients:age,s", NAMES, HERE)[1] == [("sex", "category"), ("smoker", "bool")]


def test_every_kind_of_table_tells_its_labels():
    """Whatever can be sealed; a lazy frame would have to compute them, and is left alone."""
    assert labels_of(FRAME) == ["age", "sex", "two words"]
    assert labels_of(pa.table({"a": [1]})) == labels_of(pl.DataFrame({"a": [1]})) == ["a"]
    assert labels_of(pl.DataFrame({"a": [1]}).lazy()) == labels_of(None) == []

"""A misspelt column is told before anybody is asked; an input that may have it after all is never judged."""

from __future__ import annotations

import textwrap

import pytest

from sls_jupyter.errors import UnknownName
from sls_jupyter.session.cell_columns import require_columns

NAMED = {"patients": ("age", "id", "outcome", "sex"), "wide": ("('a', 'x')", "('b', 'y')")}  # with the index
COLUMNS = {"patients": ("age", "outcome", "sex"), "wide": ("('a', 'x')", "('b', 'y')")}


@pytest.mark.parametrize(
    ("code", "found", "hint"),
    [
        ("x = patients['agee'].mean()", "agee in line 1", "Did you mean age?"),
        ("\n\nx = 1\ny = patients[['age', 'sx']]", "sx in line 4", "Did you mean sex?"),
        ("x = patients[patients['outcom'] > 1].groupby('sex')", "outcom in line 1", "outcome"),
        (
            "x = len(patients)\npatients['new'] = 1\ny = patients['new'] + patients['old']",
            "old in line 3",
            "-i ASSET",
        ),
        ("x = patients.groupby('sxe').age.mean()", "sxe in line 1", "Did you mean sex?"),
        ("x = patients.sort_values(by=['sex', 'agee'])", "agee in line 1", "Did you mean age?"),
        ("def f():\n    return patients['zip']\nx = f()", "zip in line 2", "Nobody was asked"),
    ],
)
def test_a_column_that_is_not_there_is_told_with_its_line_and_the_nearest(code: str, found: str, hint: str) -> None:
    """A slip of the pen costs a sentence, not a review and a launch."""
    with pytest.raises(UnknownName) as raised:
        require_columns(code, COLUMNS, NAMED)
    assert found in (raised.value.found or "")
    assert hint in raised.value.hint


@pytest.mark.parametrize(
    "code",
    [
        "x = patients['age'] + patients.agee",
        "patients['n'] = 1\nx = patients['n']",
        "x = patients.groupby('id').age.mean()",
        "x = patients.groupby(lambda row: row).size(); y = patients.groupby(patients.age)",
        "x = patients.agg('zip')",
        "for name in ['n', 'm']: patients[name] = 1\nx = patients['n']",
        "patients.insert(0, 'n', 1)\nx = patients['n']",
        "patients.loc[:, 'n'] = 1\nx = patients['n']",
        "patients.columns = list('abc')\nx = patients['a']",
        "patients.rename(columns={'age': 'n'}, inplace=True)\nx = patients['n']",
        "add_columns(patients)\nx = patients['n']",
        "other = patients\nother['n'] = 1\nx = patients['n']",
        "patients = patients.assign(n=1)\nx = patients['n']",
        "if 'n' in patients: x = patients['n']",
        "try:\n    x = patients['n']\nexcept KeyError:\n    x = 0",
        "%time x = patients['n']",
        "exec('patients[\"n\"] = 1')\nx = patients['n']",
        "def f(patients): return patients['n']",
        "x = [patients['n'] for patients in []]",
        "x = wide['a']",
        "x = patients[0:2]; y = patients[patients.age > 3]",
        "not python",
    ],
)
def test_what_may_be_there_is_not_judged(code: str) -> None:
    """A refusal of a cell that would have run is worse than one that comes late."""
    require_columns(textwrap.dedent(code), COLUMNS, NAMED)

"""Every kind of column, index and label comes back equal to the last object, or is refused by name and row.

Runs under each supported pandas: ``make test`` runs it in a second environment too.
"""

import pandas as pd
import pytest
from frame_kinds import INDEXES, KEPT, LABELS, REFUSED, REFUSED_INDEXES, REFUSED_LABELS, grid
from frames_kit import same_frame, through_arrow

from sls_jupyter.assets.frames import prepared
from sls_jupyter.errors import UnsealableData


@pytest.mark.parametrize("name", KEPT)
def test_a_column_comes_back_to_the_last_object(name):
    """What a cell gets is what was sealed, wherever in the column it stands."""
    before = pd.DataFrame({"x": KEPT[name], "n": range(len(KEPT[name]))})
    same_frame(through_arrow(before), before)
    late = pd.DataFrame({"x": pd.concat([KEPT[name]] * 9, ignore_index=True).astype(KEPT[name].dtype)})
    same_frame(through_arrow(late), late)


@pytest.mark.parametrize("name", INDEXES)
def test_an_index_comes_back(name):
    """Levels, names, gaps, frequencies."""
    before = grid(INDEXES[name], ["a", "b"])
    same_frame(through_arrow(before), before)


@pytest.mark.parametrize("name", LABELS)
def test_labels_come_back(name):
    """Labels that are no text are what pivots and cross tables have."""
    before = grid(columns=LABELS[name])
    same_frame(through_arrow(before), before)
    part = before.iloc[:, :1]
    same_frame(through_arrow(part), part)


@pytest.mark.parametrize("name", REFUSED)
def test_a_column_is_refused_by_name_and_row(name):
    """What would come back as something else is refused, with the row it begins in and the way out."""
    values = REFUSED[name]
    with pytest.raises(UnsealableData, match="odd one") as caught:
        prepared(pd.DataFrame({"fine": range(len(values)), "odd one": values}))
    assert caught.value.hint
    if len(values) > 3 and values.dtype == object:
        assert f"row {len(values) - 1} " in caught.value.found


@pytest.mark.parametrize("name", REFUSED_INDEXES)
def test_an_index_is_refused_as_the_index(name):
    """Nobody looks for the fault in the labels."""
    with pytest.raises(UnsealableData, match="index") as caught:
        prepared(grid(REFUSED_INDEXES[name], ["a", "b"]))
    assert caught.value.hint


@pytest.mark.parametrize("name", REFUSED_LABELS)
def test_labels_are_refused_as_labels(name):
    """The columns are named, or their labels."""
    with pytest.raises(UnsealableData, match=r"labels|columns") as caught:
        prepared(grid(columns=REFUSED_LABELS[name]))
    assert caught.value.hint

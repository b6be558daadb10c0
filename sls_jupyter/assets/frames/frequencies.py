"""Frequencies of moments and spans: a word, or a refusal where no word says all of it."""

from __future__ import annotations

from typing import Any

import pandas as pd
from pandas.tseries.frequencies import to_offset

from sls_jupyter.assets.frames.refusals import CONVERSION_ERRORS, Inexact

_FREQUENCY_HINT = "Take the frequency away: frame.index.freq = None. Or make it a column first: frame.reset_index()"


def frequency_of(index: pd.Index[Any]) -> str | None:
    """The word for the frequency of moments or spans, which has to say all of it.

    Raises:
        Inexact: there is more to it, for instance holidays.
    """
    if not isinstance(index, pd.DatetimeIndex | pd.TimedeltaIndex) or index.freq is None:
        return None
    try:
        again = to_offset(index.freqstr)
    except CONVERSION_ERRORS:
        again = None
    if again != index.freq or type(again) is not type(index.freq):
        raise Inexact(f"a frequency that no word says ({type(index.freq).__name__})", _FREQUENCY_HINT)
    return str(index.freqstr)


def with_frequency(index: pd.Index[Any], frequency: str | None) -> pd.Index[Any]:
    """The index with its frequency; a ``ValueError`` if it has another."""
    if frequency is None or not isinstance(index, pd.DatetimeIndex | pd.TimedeltaIndex):
        return index
    return type(index)(index, freq=frequency)

"""Sizes of groups: which honest results know them, and which must not claim to."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import pandas as pd
from sls_jupyter.guest import groups
groups.install()
df = pd.DataFrame({"sex": ["f", "m", "f", "f"], "ill": [1, 0, 1, 0], "age": [20, 30, 40, 50], "name": list("abcd")})
g = df.groupby("sex")
mean = g.age.mean().reset_index()
def sizes(value):
    frame = value.to_frame("v").rename_axis(value.index.names) if isinstance(value, pd.Series) else value
    frame.attrs = dict(value.attrs)
    return groups.sizes_of(frame)
F, M = 3, 1
known = {
    "plain": (mean, [F, M]),
    "sorted": (mean.sort_values("age"), [M, F] if mean.age[0] > mean.age[1] else [F, M]),
    "renamed column": (mean.rename(columns={"age": "years"}), [F, M]),
    "rounded": (mean.round(1), [F, M]),
    "head": (mean.head(1), [F]),
    "filtered": (mean[mean.sex == "m"], [M]),
    "reversed": (mean.iloc[::-1], [M, F]),
    "as_index": (df.groupby("sex", as_index=False).age.mean(), [F, M]),
    "several keys": (df.groupby(["sex", "ill"]).age.mean().reset_index(), [1, 2, 1]),
    "cut": (df.groupby(pd.cut(df.age, [0, 35, 60]), observed=True).ill.mean().reset_index(), [2, 2]),
    "agg dict": (g.agg({"age": "mean", "ill": "sum"}), [F, M]),
    "agg names": (g.agg(mean=("age", "mean")), [F, M]),
    "size": (g.size(), [F, M]),
    "counts of values, which are their own sizes": (g.ill.value_counts(), [2, 1, 1]),
    "series": (g.age.mean(), [F, M]),
}
for name, (value, expected) in known.items():
    found = sizes(value)
    assert found == expected, (name, found)
unknown = {
    "the data itself": df,
    "its head": df.head(),
    "a merge": mean.merge(df, on="sex"),
    "a join": mean.set_index("sex").join(df.set_index("sex")["name"]),
    "an own frame": pd.DataFrame({"sex": ["f"]}),
    "a lost key": mean[["age"]],
    "one person of each group": g.first(),
    "the person with the most": g.age.idxmax(),
    "a transform": g.age.transform("mean").to_frame(),
    "concat of two": pd.concat([mean, df.groupby("ill").age.mean().reset_index()]),
}
for name, value in unknown.items():
    found = sizes(value)
    assert found is None, (name, found)
changed = mean.assign(sex=["x", "m"])
assert sizes(changed) == [0, M]
again = mean.groupby("sex").age.max().reset_index()
assert sizes(again) in ([1, 1], [F, M], None), sizes(again)
assert groups.ATTRIBUTE not in groups.without_sizes(mean).attrs
"""


def test_aggregations_know_their_groups_and_the_rest_does_not() -> None:
    """An honest result of groups leaves without ceremony; anything that lost its groups does not pass as one."""
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]

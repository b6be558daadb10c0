"""Results of groups and of persons, in a process of its own where pandas writes down what it counts. Run as a script.

Each line of ``HONEST`` has large groups only and leaves whole; of ``PERSONAL`` no row leaves; of ``SMALL`` the rows
about few records stay behind.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np
import pandas as pd

from sls_jupyter.guest import groups
from sls_jupyter.guest.counted import LEDGER, Ledger, Uncounted

MINIMUM = 10

HONEST = """
x.groupby("sex").income.mean()
x.groupby("sex").income.mean().reset_index()
x.groupby("sex", as_index=False).income.mean()
x.groupby(["sex","city"]).income.mean()
x.groupby(["sex","city"]).income.mean().unstack()
x.groupby(["sex","city"]).income.mean().unstack().reset_index()
x.groupby(["sex","city"]).size().unstack(fill_value=0)
x.groupby(["sex","city"]).size().reset_index(name="n")
x.groupby(["sex","city"])[["income","age"]].mean().stack()
x.groupby("sex")[["income","age"]].mean().T
x.groupby("sex").agg(m=("income","mean"), n=("income","size"))
x.groupby("sex").agg({"income":["mean","std"],"age":"sum"})
x.groupby("sex").income.agg(["mean","std","count"]).round(2)
x.groupby("sex").income.agg(np.mean)
x.groupby("sex").income.agg(len)
x.groupby("sex").agg(n=("name", len))
x.groupby("sex").income.agg(lambda s: s.mean())
x.groupby("sex").apply(lambda g: g.income.mean())
x.groupby("sex").income.describe()[["count","mean","std"]]
pd.crosstab(x.sex, x.city)
pd.crosstab(x.sex, x.city, margins=True)
pd.crosstab(x.sex, x.age > 50)
pd.crosstab(x.sex, x.city, normalize="index")
pd.crosstab(x.sex, x.city, normalize=True, margins=True)
pd.crosstab(x.sex, x.city, normalize="columns").round(3) * 100
pd.crosstab([x.sex, x.ill], x.city)
pd.crosstab(x.sex, x.city, values=x.income, aggfunc="mean")
x.pivot_table(index="sex", columns="city", values="income")
x.pivot_table(index="sex", columns="city", values="income", aggfunc="sum", margins=True)
x.pivot_table(index="sex", columns="city", values=["income","age"], aggfunc=["mean","std"])
x.pivot_table(index="sex", values="income", aggfunc="count")
pd.pivot_table(x, index="sex", columns="ill", values="income", aggfunc="mean").reset_index()
x.city.value_counts()
x.city.value_counts(normalize=True)
x.city.value_counts(normalize=True).mul(100).round(1)
x[["sex","city"]].value_counts()
x[["sex","city"]].value_counts().reset_index()
x.groupby("sex").city.value_counts()
x.groupby("sex").city.value_counts(normalize=True).unstack()
x.groupby(pd.cut(x.age,[0,40,60,100]), observed=True).income.mean()
x.groupby(pd.cut(x.age,[0,40,60,100],labels=["young","mid","old"]), observed=False).income.mean().reset_index()
x.assign(g=pd.cut(x.age,[0,40,60,100])).groupby(["g","sex"],observed=True).income.mean().unstack()
x.set_index("when").resample("MS").income.mean()
x.set_index("when").resample("30D")[["income","age"]].mean()
x.set_index("when").resample("30D").size()
x.set_index("when").groupby(pd.Grouper(freq="30D")).income.sum()
x.groupby(x.when.dt.to_period("M")).income.mean()
x.groupby("sex").income.mean().rename("mean income")
x.groupby("sex").income.mean().rename(index={"f":"women","m":"men"})
x.groupby("code").income.mean().reset_index().assign(code=lambda d: d.code.map({0:"women",1:"men"}))
x.groupby("code").income.mean().reset_index().assign(code=lambda d: d.code.replace({0:7,1:9}))
x.groupby("sex").income.mean().sort_values(ascending=False).reset_index(drop=True)
x.groupby("sex").income.mean().sort_values(ascending=False).to_frame("v").reset_index()
x.groupby("sex").income.mean().astype("float32")
x.groupby("sex").size().sort_values().reset_index(drop=True)
pd.concat([x.groupby("sex").income.mean(), x.groupby("sex").income.std()], axis=1, keys=["mean","std"])
pd.concat([x[x.city=="A"].groupby("sex").income.mean(), x[x.city=="B"].groupby("sex").income.mean()], axis=1, keys=["A","B"])
pd.concat([x[x.city=="A"].groupby("sex").income.mean(), x[x.city=="B"].groupby("sex").income.mean()], keys=["A","B"], names=["city","sex"])
pd.concat([x.groupby("sex").income.mean(), x.groupby("city").income.mean()])
pd.DataFrame({"mean": x.groupby("sex").income.mean(), "n": x.groupby("sex").size()})
x.groupby("sex").income.mean().reset_index().merge(x.groupby("sex").size().reset_index(name="n"), on="sex")
x.groupby(["sex","city"]).size().reset_index(name="n").merge(x.groupby("sex").income.mean().reset_index(), on="sex")
x.groupby("sex").income.mean().to_frame().join(x.groupby("sex").age.std())
x.groupby("sex").income.sum() / x.groupby("sex").age.sum()
x.groupby("sex").income.mean() - x.groupby("sex").income.mean().mean()
x.groupby("sex").size() / len(x) * 100
(lambda t: t.div(t.sum(axis=1), axis=0))(pd.crosstab(x.sex, x.city))
(lambda t: t / t.sum())(x.groupby(["sex","city"]).size().unstack())
(lambda t: t.assign(total=t.sum(axis=1)))(pd.crosstab(x.sex, x.city))
(lambda t: t.assign(share=t.n / t.n.sum()))(x.groupby("sex").size().reset_index(name="n"))
(lambda t: t.assign(ci=1.96 * t["std"] / np.sqrt(t["count"])))(x.groupby("sex").income.agg(["mean","std","count"]))
x[["income","age"]].mean()
x[["income","age"]].agg(["mean","std"])
x.agg({"income":["mean","std"]})
x.assign(dec=x.age//20*20).groupby("dec").income.mean()
x.groupby("ill").income.mean()
x.groupby(["sex","ill"]).income.mean().unstack().add_prefix("ill_")
x.groupby("sex").ill.mean().mul(100).round(1).astype(str)
x.groupby("sex").income.mean().nlargest(1)
x.groupby("sex").income.mean().loc[["m","f"]]
x.groupby(["sex","city"]).income.mean().swaplevel().sort_index()
x.groupby(["sex","city"]).income.mean().xs("A", level="city")
x.groupby("sex")[["income","age"]].mean().reset_index().melt(id_vars="sex")
x.groupby(["sex","city"]).income.mean().reset_index().pivot(index="sex", columns="city", values="income")
x.groupby("sex").income.mean().loc[["m"]]
x.groupby(["city","sex"]).size().groupby("city").sum()
x.groupby("name").income.sum().to_frame().join(x.set_index("name").sex).groupby("sex").income.mean()
np.log(x.groupby("sex").income.mean())
x.groupby("sex").income.mean().to_frame().style.data
x.groupby("sex").income.transform("mean").groupby(x.sex).mean()
x.groupby("sex").nunique()
x.groupby("sex").income.mean().reset_index().set_axis(["group","value"], axis=1)
x.groupby("sex").income.mean().rename_axis("s").reset_index(name="m")
x.groupby("sex").age.mean().to_frame().T
(lambda t: t.set_axis(["no", "yes"], axis=1))(pd.crosstab(x.sex, x.ill))
(lambda t: t.rename(columns={True: "yes", False: "no"}).reset_index())(pd.crosstab(x.sex, x.ill))
x.groupby("sex").income.mean().pipe(lambda s: s / s.max())
x.groupby(["sex", "city", "ill"]).size().unstack(["city", "ill"])
x.groupby(["sex", "city"])[["income", "age"]].mean().unstack().stack()
x.groupby("sex").income.agg(m="mean", s="std")
x.groupby(["sex", "city"], as_index=False).agg(n=("age", "size"), m=("income", "mean")).sort_values(["n", "m"])
x.groupby(["sex", "city"], as_index=False).agg(n=("age", "size"), m=("income", "mean")).query("m > 0")
x.groupby(pd.qcut(x.income, 4)).age.mean()
pd.concat([x.groupby("sex").size().rename("n").reset_index().assign(of="sex"), x.groupby("city").size().rename("n").reset_index().assign(of="city")])
x.groupby("sex").income.var().pow(0.5)
x.groupby("city").ill.sum()
x.groupby("city").ill.any()
pd.get_dummies(x.city).groupby(x.sex).sum()
x.set_index("when").income.resample("40D").agg(["mean", "count"])
x.groupby([x.when.dt.year, x.when.dt.month]).income.mean()
x[["income", "age"]].mean().to_frame("mean")
x.isna().sum()
x.groupby("sex").income.mean() / x.groupby("sex").income.mean().loc["f"]
(x.groupby("sex").income.mean() - x.income.mean()) / x.income.std()
x.groupby("sex").size() * (100 / len(x))
""".strip().splitlines()

PERSONAL = """
x
x.head(2)
x[["size"]].head(2)
x[["sex"]]
x[["name","income","size"]]
x[["name","income"]].assign(n=15)
x.groupby("sex").agg("first")
x.groupby("sex").first()
x.groupby("sex").max()
x.groupby("sex").income.median()
x.groupby("sex").income.quantile(.9)
x.groupby("sex").income.nth(0)
x.groupby("sex").agg(who=("name","first"), n=("name","size"))
x.groupby("sex").agg(top=("income","max"), n=("name","size"))
x.groupby("sex").name.agg(",".join)
x.groupby("sex").income.agg(lambda s: s.iloc[0])
x.groupby("sex").income.agg(lambda s: sorted(s)[0])
x.groupby("sex").income.idxmax()
x.groupby("sex").income.describe()
x.groupby("sex").income.mean().loc[x.sex]
x.groupby("sex").income.mean().loc[x.sex].reset_index(drop=True)
x.groupby("sex").income.mean().loc[x.sex].to_frame().assign(name=x.name.values)
x.groupby("sex").income.mean().reindex(x.sex).to_frame("m").assign(name=x.name.values)
x.groupby("sex").income.mean().sample(50, replace=True).to_frame("m").assign(name=x.name.head(50).values)
x.groupby("sex").income.mean().to_frame("m").assign(name=x.name.head(2).values)
x.groupby("sex").income.mean().to_frame("m").assign(age=x.age.head(2).values)
x.groupby("sex").income.mean().to_frame("m").assign(city=x.city.tail(2).values)
x.groupby("sex").income.mean().set_axis(x.name.head(2))
x.groupby("sex").income.mean() - x.set_index("sex").income
x.set_index("sex").income - x.groupby("sex").income.mean()
x.set_index("sex")[["income"]].sub(x.groupby("sex")[["income"]].mean())
x.groupby("sex").income.mean().to_frame("m").join(x.set_index("sex").name)
x.groupby("sex").income.mean().reset_index().merge(x[["sex","name"]], on="sex")
x[["sex"]].merge(x.groupby("sex").income.mean().reset_index(), on="sex")
x[["sex","city"]].merge(x.groupby("sex").income.mean().reset_index(), on="sex").merge(x.groupby("city").income.std().reset_index(), on="city")
x.assign(m=x.sex.map(x.groupby("sex").income.mean()))[["name","m","sex"]]
x.assign(m=x.sex.map(x.groupby("sex").income.mean()))[["m"]]
x.groupby("sex")[["income"]].transform("mean").assign(name=x.name)
x.groupby("sex").income.transform("mean")
x.groupby("sex")[["name","income"]].apply(lambda g: g.head(1))
x.groupby("sex").income.rolling(2).mean()
x.groupby("sex").income.cumsum()
x.income.rolling(3).mean()
x.groupby("sex").income.mean() + x.income.head(2).values
x.groupby("sex").income.mean().to_frame().assign(top=x.nlargest(2,"income").income.values)
x.groupby("sex").income.mean().reset_index().assign(sex=x.name.head(2))
x.groupby("sex").income.mean().reset_index().assign(who=lambda d: d.sex.map(dict(zip(x.sex,x.name))))
x.assign(size=15)[["age","size"]].head(3)
x[["income","age"]].mean(axis=1)
x.income
x.set_index("name").income
x.sort_values("income").groupby("sex").income.agg("last")
x.groupby("sex").income.apply(list)
x.groupby("sex").income.sum().to_frame("s").assign(m=x.groupby("sex").income.max())
x.groupby("sex").income.mean() * 0 + x.groupby("sex").income.max()
x.groupby("sex").income.min().round(0)
x.groupby("sex").size().to_frame("n").assign(size=x["size"].head(2).values)
x.describe()
x.income.nlargest(3)
x.groupby("sex").sample(1)
x.groupby("sex").income.mean().repeat(20)
x.iloc[:1]
x.groupby("sex").age.agg(["mean","max"])
x.groupby("sex").agg(n=("age","size"), oldest=("age","max"))
x.groupby("sex").income.mean().to_frame("m").join(x.groupby("sex").name.first())
x.groupby("sex").apply(lambda g: g.loc[g.income.idxmax(), "name"])
x.groupby("sex").name.sum()
x.groupby("sex").name.agg("sum").str[:8]
x.pivot_table(index="sex", columns="city", values="income", aggfunc="max")
x.pivot_table(index="name", columns="city", values="income", aggfunc="min")
pd.concat([x.groupby("sex").income.mean().reset_index(), x[["sex", "income"]]])
x.groupby("sex").income.mean().reindex(["f", "m"] * 5)
x.groupby("sex").income.mean().iloc[[0, 0, 1]]
pd.concat([x.groupby("sex").income.mean()] * 3)
x.assign(count=20)[["name", "count"]]
x.rename(columns={"size": "n"})[["income", "n"]]
x.assign(group_size=x.groupby("sex").name.transform("size"))[["name", "group_size"]]
x.groupby("sex").income.mean().sort_values().to_frame("m").assign(income=x.income.tail(2).values)
x.groupby("sex").size().to_frame("n").assign(who=x.name.head(2).tolist())
x.sort_values("income").drop_duplicates("sex")[["sex", "income"]]
x.groupby("sex")[["income"]].mean().merge(x.groupby("sex")[["income"]].max(), on="sex")
x.groupby("sex").income.nunique().to_frame().assign(low=x.groupby("sex").income.min())
x.groupby("city").age.agg(["size", "median"])
x.groupby("sex").ngroup()
x.groupby("sex").cumcount()
x.groupby("sex").income.rank()
x.groupby("sex").income.mean().index.to_frame().assign(n=x.name.head(2).values)
x.nsmallest(3, "income")[["age", "size"]]
x.income.agg(["min", "max"])
x.groupby("sex").income.mean() - x.income.max()
x.groupby("sex").income.mean() / x.income.min()
(x.groupby("sex").income.mean() + x.income.iloc[3]).to_frame("m")
np.subtract(x.groupby("sex").income.mean(), x.loc[5, "income"])
x.groupby("sex").income.mean() * 0 + x[["income"]].max()["income"]
x.groupby("sex").income.mean().set_axis(x.age.head(2).values)
""".strip().splitlines()

SMALL = """
x.groupby("name").income.mean()
pd.crosstab(x.sex, x.name)
x.groupby("age").income.mean().reset_index().assign(age=lambda d: d.age//10*10)
x.assign(income=x.income.where(x.index<1)).groupby("sex").income.mean()
x.assign(income=x.income.where(x.index<2)).groupby("sex").income.sum()
x.groupby("sex").income.sum()*0 + x[x.age>78].groupby("sex").income.sum()
x.groupby("sex").income.mean().to_frame("all").assign(old=x[x.age>78].groupby("sex").income.mean())
x[x.name=="person3"][["income"]].mean()
x.name.value_counts()
x.head(5).groupby("sex").income.mean()
x.groupby(["sex", "age"]).size().unstack(fill_value=0)
x[x.age > 78][["income"]].sum()
""".strip().splitlines()


def persons(count: int = 240) -> pd.DataFrame:
    """As many records of either sex in both cities."""
    chance = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "sex": ["f", "m"] * (count // 2),
            "city": (["A"] * 60 + ["B"] * 60) * 2,
            "ill": [True, False, False, True] * (count // 4),
            "age": chance.integers(20, 80, count),
            "income": chance.normal(1000, 100, count).round(2),
            "name": [f"person{i}" for i in range(count)],
            "size": chance.integers(1, 40, count),
            "code": [0, 1] * (count // 2),
            "when": pd.date_range("2020-01-01", periods=count, freq="D"),
        }
    )


def forget() -> None:
    """Begin as in a new run."""
    fresh = Ledger()
    for name in Ledger.__slots__:
        setattr(LEDGER, name, getattr(fresh, name))


def leaving(code: str, frame: pd.DataFrame) -> tuple[int, int, str]:
    """How many rows of a result leave, of how many, or why none does."""
    forget()
    LEDGER.read_code(code)
    value: Any = eval(code, {"x": frame.copy(), "pd": pd, "np": np})
    try:
        sizes = groups.sizes_of(value)
    except Uncounted as error:
        return 0, len(value), error.why
    return sum(size >= MINIMUM for size in sizes), len(sizes), ""


def main() -> int:
    warnings.simplefilter("ignore")
    groups.install()
    frame, wrong = persons(), []
    for code in HONEST:
        left, rows, why = leaving(code, frame)
        if left != rows or not rows:
            wrong.append(f"withheld: {code} ({left} of {rows} rows, {why})")
    for code in PERSONAL:
        left, rows, why = leaving(code, frame)
        if left:
            wrong.append(f"LEAVES: {code} ({left} of {rows} rows)")
    for code in SMALL:
        left, rows, why = leaving(code, frame)
        if left or why:
            wrong.append(f"not counted as small: {code} ({left} of {rows} rows, {why})")
    print("\n".join(wrong))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())

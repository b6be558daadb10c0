"""Slips of the pen in a cell are told before anybody is asked; what may be right is never called wrong."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from sls_jupyter.errors import BadInput, UnknownName
from sls_jupyter.session.names import require_known

KNOWN = {"patients", "least", "pd", "np"}


def judge(code: str, outputs: tuple[str, ...] = ()) -> None:
    require_known(textwrap.dedent(code), KNOWN, outputs)


@pytest.mark.parametrize(
    ("code", "found", "hint"),
    [
        ("x = ptients.age.mean()", "ptients in line 1", "Did you mean patients for ptients?"),
        ("\n\nx = 1\ny = xs + 1", "xs in line 4", "Nobody was asked"),
        ("risk = 1\nriks.head()", "riks in line 2", "Did you mean risk for riks?"),
        ("x = lenght(patients)", "lenght in line 1", "-p"),
        ("def f():\n    return patiens\nx = f()", "patiens in line 2", "Did you mean patients for patiens?"),
        ("x = patients[patients.age > limit]", "limit in line 1", "send it along"),
        ("import re\nx = re.compile('a').match(y)", "y in line 2", ""),
        ("x = a + b", "a in line 1, b in line 1", "Nobody was asked"),
        ("x = [p for q in patients]", "p in line 1", ""),
        ("  x = 1\n  y = missing", "missing in line 2", ""),
    ],
)
def test_a_name_that_nothing_makes_is_told_with_its_line_and_the_nearest(code: str, found: str, hint: str) -> None:
    """A misspelt variable costs a sentence, not a review and a launch."""
    with pytest.raises(UnknownName) as raised:
        require_known(code, KNOWN, ())
    assert raised.value.found == found
    assert hint in str(raised.value)


@pytest.mark.parametrize(
    "code",
    [
        "x = patients.assign(a=1).query('agee > @least')",
        "import os.path as p, json\nx = p.join('a'); y = json",
        "from math import pi as tau\nx = tau",
        "for i, (a, *b) in enumerate([]):\n    print(i, a, b)",
        "x = [a for a in range(3) if (b := a)] + [b]",
        "def f(a, /, b=1, *c, d, **e):\n    global g\n    g = a, b, c, d, e\nf(1, d=2)\nx = g",
        "class A:\n    n = 1\n    def f(self): return self.n, A",
        "with open('x') as f, f as (g, h):\n    x = f, g, h",
        "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    x = error",
        "match least:\n    case {'a': a, **rest}: x = a, rest\n    case [first, *others]: x = first, others\n    case int() as n: x = n",
        "x = (lambda a, *b: (a, b))(1)",
        "def f(a: Nothing, b: 'No' = 1) -> Never: ...",
        "x: Undefined = 1",
        "x = __name__, _, _1, __file__, In, Out, display, exit",
        "import numpy as np2\nx = np2.zeros(3)",
        "async def f():\n    async with a() as b: return b\nasync def a(): ...\nx = await f()",
        "x += 1",
        "ls",
        # it may be made, or need not be there
        "exec('y = 1')\nx = y",
        "globals()['y'] = 1\nx = y",
        "from numpy import *\nx = zeros(3)",
        "%load_ext something\nx = y",
        "%matplotlib inline\nx = y",
        "files = !ls\nx = y",
        "x = 1\ndel x\nx = y",
        "try:\n    y\nexcept NameError:\n    y = 1",
        "try:\n    x = y\nexcept Exception:\n    x = 1",
        "try:\n    x = y\nexcept:\n    x = 1",
        "try:\n    x = y\nexcept (ValueError, kinds()[0]):\n    x = 1\ndef kinds(): return [KeyError]",
        "from contextlib import suppress\nwith suppress(Exception):\n    x = y",
        "import contextlib\nwith contextlib.suppress(Exception):\n    x = y",
        "import sys\nsys.modules['__main__'].y = 1\nx = y",
        "x = y if 'y' in dir() else 1",
        "get_ipython().run_line_magic('time', 'y = 1')\nx = y",
        "import builtins\nbuiltins.y = 1\nx = y",
        "x = (",
    ],
)
def test_what_may_be_right_is_never_called_wrong(code: str) -> None:
    """A check that stops a good cell is worse than none."""
    require_known(code, KNOWN, ("x",) if "x" in code and code != "x = (" and "def f(a: No" not in code else ())


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("def fit(): pass", "The cell cannot return fit"),
        ("class fit: pass", "a class"),
        ("import json as fit", "a module"),
        ("async def fit(): pass", "a function"),
        ("def f():\n    fit = 1\nf()", "fit is a name within a function"),
        ("x = [fit for fit in range(3)]", "fit is a name within a function or an expression only"),
        ("fits = 1", "Did you mean -o fits?"),
        ("patients.fit = 1", "no fit = …"),
        ("x = 'fit'", "no fit = …"),
    ],
)
def test_an_output_that_cannot_come_back_is_told(code: str, says: str) -> None:
    """No run ends without the result that it was started for, if the cell shows that beforehand."""
    with pytest.raises(BadInput) as raised:
        require_known(code, KNOWN, ("fit",))
    assert says in str(raised.value)
    assert "Nobody was asked" in raised.value.hint


@pytest.mark.parametrize(
    "code",
    [
        "import json as fit\nfit = fit.loads('1')",
        "if least:\n    fit = 1\nelse:\n    def fit(): ...",
        "@(lambda f: f())\ndef fit(): return 1",
        "from json import loads as fit",
        "def f():\n    global fit\n    fit = 1\nf()",
        "print(fit := 1)",
        "def f(a=(fit := 1)): ...",
        "for fit in range(3): pass",
        "with open('x') as fit: pass",
        "class fit(metaclass=type): ...",
        "exec('fit = 1')",
        "fit: int = 1",
        "(a, [*fit]) = 1, [2]",
        "try:\n    fit = 1\nfinally:\n    pass",
        "match least:\n    case fit: pass",
    ],
)
def test_an_output_that_may_come_back_is_taken(code: str) -> None:
    """What a name stands for is only judged where it can stand for nothing else."""
    require_known(code, KNOWN, ("fit",))


def test_python_agrees_on_what_is_called_wrong() -> None:
    """Each cell that is refused for a name fails in Python with that name."""
    for code, name in (("x = ptients", "ptients"), ("x = [p for q in [1]]", "p"), ("print(len(lenght))", "lenght")):
        with pytest.raises(UnknownName):
            judge(code)
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert f"name '{name}' is not defined" in ended.stderr

"""The names of a cell, before anybody is asked: what it uses and nothing makes, and outputs that it cannot return.

Only what is certain is said. A cell that can make names by other means than Python's own statements (magics, ``exec``,
``globals()``, ``import *``, sealed code that runs before it) is not judged, and neither is a name that the cell is ready
not to find.
"""

from __future__ import annotations

import ast
import builtins
import difflib
import warnings
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from sls_jupyter.errors import BadInput, UnknownName

MAX_NAMES = 8  # that one error tells of
NOBODY_ASKED = "Nobody was asked, and nothing ran."
_THERE = frozenset({*dir(builtins), "display", "exit", "quit", "In", "Out", "get_ipython"})  # in every cell
_MAKERS = frozenset(  # whoever uses one of these can make or look up any name
    {"exec", "eval", "compile", "globals", "locals", "vars", "dir", "setattr", "get_ipython", "builtins", "NameError"}
    | {"__import__", "__builtins__", "__builtin__", "importlib", "inspect", "runpy", "suppress", "_getframe", "modules"}
)
_MAKING = frozenset(  # the same behind a point, where others of these words mean something else
    {"__dict__", "__globals__", "__getattribute__", "modules", "user_ns", "user_global_ns", "f_globals", "f_locals"}
    | {"_getframe", "run_cell", "suppress", "NameError"}
)
_CAUGHT = frozenset({"Exception", "BaseException"})  # NameError is among the makers
_Function = (ast.FunctionDef, ast.AsyncFunctionDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def require_known(code: str, known: Collection[str], outputs: Iterable[str]) -> None:
    """Refuse a cell that uses a name which nothing makes, or that is to return what it never makes or cannot return.

    Args:
        known: inputs, parameters and what else a cell finds. outputs: those of them that the cell has to make.

    Raises:
        UnknownName: with every such name, its line and the nearest one that there is.
        BadInput: with the output.
    """
    tree = parsed(code)
    if tree is None or can_make_any_name(tree):
        return
    names = names_of(tree)
    skipped = lines_before(code)
    unknown = {name: line for name, line in names.used.items() if not _is_there(name, names.bound, known)}
    if len(tree.body) == 1 and isinstance(tree.body[0], ast.Expr):
        unknown.pop(_alone(tree.body[0].value), None)  # IPython takes a word alone as the magic of that name
    if unknown:
        raise _not_made(unknown, {*known, *names.bound}, skipped)
    made = made_by(tree)
    for name in outputs:
        _require_returnable(name, made, names.bound)


def parsed(code: str) -> ast.Module | None:
    """The cell as IPython hands it to Python; ``None``: Python cannot read it."""
    from IPython.core.inputtransformer2 import TransformerManager

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree: ast.Module = ast.parse(TransformerManager().transform_cell(code))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return tree


def lines_before(code: str) -> int:
    """Blank lines that IPython drops."""
    return code[: len(code) - len(code.lstrip())].count("\n")


def can_make_any_name(tree: ast.Module) -> bool:
    """Whether a cell may make or find names by other means than Python's own statements."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Delete):
            return True
        if isinstance(node, ast.ImportFrom) and any(one.name == "*" for one in node.names):
            return True
        if isinstance(node, ast.Attribute) and node.attr in _MAKING:
            return True
        words = (
            (node.id,) if isinstance(node, ast.Name)
            else tuple(one.name.partition(".")[0] for one in node.names) if isinstance(node, ast.Import)
            else (node.module or "", *(one.name for one in node.names)) if isinstance(node, ast.ImportFrom)
            else ()
        )  # fmt: skip
        if not _MAKERS.isdisjoint(words):
            return True
    return False


def names_of(tree: ast.AST) -> _Names:
    """What a cell uses and binds."""
    names = _Names()
    names.visit(tree)
    return names


def made_by(tree: ast.Module) -> dict[str, str]:
    """Names that are variables of the cell itself, each with what it is at most: ``value``, or only a function or module."""
    named = {one.target.id for one in ast.walk(tree) if isinstance(one, ast.NamedExpr)}  # wherever they stand
    return {**_made(tree.body), **dict.fromkeys(names_of(tree).made_global | named, "value")}


def _is_there(name: str, bound: Collection[str], known: Collection[str]) -> bool:
    return name.startswith("_") or name in bound or name in known or name in _THERE


def _alone(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else ""


# --- what a cell uses and makes -------------------------------------------------------------------


@dataclass
class _Names(ast.NodeVisitor):
    """Every name that is used, with its first line, and every name that is bound anywhere, whatever the scope."""

    used: dict[str, int] = field(default_factory=dict)
    bound: set[str] = field(default_factory=set)
    made_global: set[str] = field(default_factory=set)  # by a function that says so

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self.used.setdefault(node.id, node.lineno)
        else:
            self.bound.add(node.id)

    def visit_Try(self, node: ast.Try) -> None:
        """What is tried under a handler that would catch a missing name may be missing."""
        self._tried(node)

    def visit_TryStar(self, node: ast.TryStar) -> None:
        self._tried(node)

    def _tried(self, node: ast.Try | ast.TryStar) -> None:
        used = dict(self.used)
        for one in node.body:
            self.visit(one)
        if any(map(_catches, node.handlers)):
            self.used = used
        for other in (*node.handlers, *node.orelse, *node.finalbody):
            self.visit(other)

    def visit_arg(self, node: ast.arg) -> None:  # an annotation may never be evaluated
        self.bound.add(node.arg)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit(node.target)
        if node.value is not None:
            self.visit(node.value)

    def generic_visit(self, node: ast.AST) -> None:
        self.bound.update(_bound_by(node))
        if isinstance(node, ast.Global):
            self.made_global.update(node.names)
        returns = node.returns if isinstance(node, _Function) else None
        for child in ast.iter_child_nodes(node):
            if child is not returns:
                self.visit(child)


def _bound_by(node: ast.AST) -> Iterator[str]:
    """Names that a node binds other than by a ``Name``."""
    if isinstance(node, (*_Function, ast.ClassDef)):
        yield node.name
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        yield from (one.asname or one.name.partition(".")[0] for one in node.names)
    elif isinstance(node, (ast.Global, ast.Nonlocal)):
        yield from node.names
    elif isinstance(node, ast.MatchMapping):
        yield from [node.rest] if node.rest else []
    elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)):
        yield from [node.name] if node.name else []
    elif type(node).__name__ in ("TypeVar", "ParamSpec", "TypeVarTuple"):  # of Python 3.12 and later
        yield str(getattr(node, "name", ""))


def _catches(handler: ast.ExceptHandler) -> bool:
    """Whether a handler would catch a missing name; one that is computed may."""
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(not isinstance(one, (ast.Name, ast.Attribute)) or getattr(one, "id", "") in _CAUGHT for one in kinds)


def _made(body: Iterable[ast.AST]) -> dict[str, str]:
    """Names that are variables of the cell itself, each with what it is at most: a value, or only what no result can be."""
    made: dict[str, str] = {}
    for name, kind in _makes(body):
        made[name] = kind if made.get(name, kind) == kind else "value"
    return made


def _makes(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, str]]:
    for node in nodes:
        if isinstance(node, _Function):
            yield node.name, "value" if node.decorator_list else "function"
        elif isinstance(node, ast.ClassDef):
            yield node.name, "value" if node.decorator_list or node.keywords else "class"
        elif isinstance(node, ast.Import):
            yield from ((name, "module") for name in _bound_by(node))
        elif isinstance(node, ast.Name):
            if not isinstance(node.ctx, ast.Load):
                yield node.id, "value"
        elif not isinstance(node, (ast.Lambda, *_COMPREHENSIONS)):
            yield from ((name, "value") for name in _bound_by(node))
            yield from _makes(ast.iter_child_nodes(node))


# --- what is said ---------------------------------------------------------------------------------


def _not_made(unknown: dict[str, int], names: Collection[str], skipped: int) -> UnknownName:
    shown = list(unknown.items())[:MAX_NAMES]
    more = f" and {len(unknown) - MAX_NAMES} more" if len(unknown) > MAX_NAMES else ""
    near = {name: _nearest(name, names) for name, _ in shown}
    meant = [f"Did you mean {other} for {name}?" for name, other in near.items() if other]
    first, one = shown[0][0], len(unknown) == 1
    return UnknownName(
        f"The cell uses {first}, which nothing makes." if one else "The cell uses names that nothing makes.",
        found=", ".join(f"{name} in line {line + skipped}" for name, line in shown) + more,
        expected=f"a name of the cell, an input (-i ASSET={first}) or a parameter (-p {first})",
        hint=" ".join([*(meant or ["Assign it in the cell, or send it along."]), NOBODY_ASKED]),
    )


def _nearest(name: str, names: Collection[str]) -> str:
    found = difflib.get_close_matches(name, sorted({*names, *_THERE}), 1, cutoff=0.7)
    return found[0] if found else ""


def _require_returnable(name: str, made: dict[str, str], bound: Collection[str]) -> None:
    if name not in made:
        near = _nearest_of(name, made)
        where = f"{name} is a name within a function or an expression only" if name in bound else f"no {name} = …"
        raise BadInput(
            f"The cell never makes {name}, which it is to return.",
            found=where,
            expected=f"{name} = …",
            hint=f"{f'Did you mean -o {near}?' if near else f'Assign {name} in the cell, or leave -o {name} away.'}"
            f" {NOBODY_ASKED}",
        )
    if made[name] != "value":
        raise BadInput(
            f"The cell cannot return {name}.",
            found=f"a {made[name]}",
            expected="a table or a plain value",
            hint=f"Assign what it gives to another variable, and return that. {NOBODY_ASKED}",
        )


def _nearest_of(name: str, made: dict[str, str]) -> str:
    found = difflib.get_close_matches(name, [one for one, kind in made.items() if kind == "value"], 1, cutoff=0.7)
    return found[0] if found else ""

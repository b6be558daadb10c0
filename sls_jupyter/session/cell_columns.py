"""The columns that a cell takes out of its inputs by name, before anybody is asked.

Only what is certain is said: of an input that the cell only reads, and by ``input["column"]``, ``input[["a", "b"]]``,
``input.groupby("column")`` and the like.
An input that is given away, changed, or asked which columns it has is not judged.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Collection, Iterator, Mapping

from sls_jupyter.errors import UnknownName
from sls_jupyter.naming import quoted
from sls_jupyter.session.names import NOBODY_ASKED, can_make_any_name, lines_before, names_of, parsed

MAX_SHOWN = 20  # columns that an error names
_LOOKED_AT = frozenset({"len", "print", "display", "type", "repr", "id"})  # functions that change nothing
_BY_NAME = {"groupby": "by", "sort_values": "by", "set_index": "keys"}  # method -> its argument that names columns
_CHANGES = frozenset(
    {"insert", "pop", "update", "columns", "loc", "iloc", "at", "iat", "eval", "__setitem__", "get", "keys"}
)


def require_columns(code: str, inputs: Mapping[str, Collection[str]], all_names: Mapping[str, Collection[str]]) -> None:
    """Refuse a cell that takes a column out of an input that has none of this name.

    Args:
        inputs: alias -> names of the columns that the cell will find; an alias whose names are not known is left out.
        all_names: the same with everything that the asset has a name for, levels of its index too.

    Raises:
        UnknownName: with the column, its line, and the nearest one that there is.
    """
    tree = parsed(code)
    if tree is None or can_make_any_name(tree):
        return
    bound = names_of(tree).bound
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    if any(isinstance(node, ast.keyword) and node.arg == "inplace" for node in parents):
        return
    for alias, columns in inputs.items():
        if alias not in bound and not any(name.startswith("(") for name in columns):  # labels of several levels
            _require(alias, columns, all_names[alias], tree, parents, lines_before(code))


def _require(
    alias: str,
    columns: Collection[str],
    named: Collection[str],
    tree: ast.AST,
    parents: Mapping[ast.AST, ast.AST],
    skipped: int,
) -> None:
    uses = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == alias]
    taken: list[tuple[str, int]] = []
    grouped: list[tuple[str, int]] = []
    made: set[str] = set()
    for use in uses:
        user = parents[use]
        if isinstance(user, ast.Subscript) and user.value is use:
            keys = list(_keys(user.slice))
            if isinstance(user.ctx, ast.Load):
                taken += [] if _is_tried(user, parents) else [(key, user.lineno) for key in keys]
            elif keys:
                made.update(keys)
            else:
                return
        elif not _only_looks(use, user):
            return
        elif not _is_tried(user, parents):
            grouped += [(key, use.lineno) for key in _asked_by_name(user, parents.get(user))]
    for found, known in ((taken, columns), (grouped, {*columns, *named})):
        for name, line in found:
            if name not in known and name not in made:
                raise _unknown(alias, name, line + skipped, columns)


def _asked_by_name(method: ast.AST, call: ast.AST | None) -> Iterator[str]:
    """The columns that a call such as ``groupby`` names."""
    if (
        isinstance(method, ast.Attribute)
        and isinstance(call, ast.Call)
        and call.func is method
        and method.attr in _BY_NAME
    ):
        named = [one.value for one in call.keywords if one.arg == _BY_NAME[method.attr]]
        for argument in (*call.args[:1], *named):
            yield from _keys(argument)


def _keys(node: ast.expr) -> Iterator[str]:
    """The names in ``["a"]`` and in ``[["a", "b"]]``; of anything else none."""
    items = node.elts if isinstance(node, ast.List) else [node]
    for item in items:
        if isinstance(item, ast.Constant) and isinstance(item.value, str):
            yield item.value


def _only_looks(use: ast.Name, user: ast.AST) -> bool:
    if isinstance(user, ast.Attribute):
        return isinstance(user.ctx, ast.Load) and user.attr not in _CHANGES
    return isinstance(user, ast.Call) and isinstance(user.func, ast.Name) and user.func.id in _LOOKED_AT


def _is_tried(node: ast.AST, parents: Mapping[ast.AST, ast.AST]) -> bool:
    """Whether the cell is ready not to find it."""
    while node in parents:
        node = parents[node]
        if isinstance(node, ast.Try | ast.TryStar):
            return True
    return False


def _unknown(alias: str, name: str, line: int, columns: Collection[str]) -> UnknownName:
    known = sorted(columns)
    near = difflib.get_close_matches(name, known, 1)
    more = f" and {len(known) - MAX_SHOWN} more" if len(known) > MAX_SHOWN else ""
    meant = f"Did you mean {quoted(near[0])}?" if near else "If the asset has it, ask for it: -i ASSET=alias:column."
    return UnknownName(
        f"The input {alias} has no column {name}.",
        found=f"{name} in line {line}",
        expected=", ".join(map(quoted, known[:MAX_SHOWN])) + more,
        hint=f"{meant} {NOBODY_ASKED}",
    )

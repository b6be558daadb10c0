"""Walks what crosses a trust boundary: every field of every message, and what becomes of one that was changed.

:func:`unmarked` finds fields that say neither how they are checked nor that they are hearsay. :class:`Meddler` changes
one field of what an authority signs and sends, as a hostile authority would, on its way into this process.
"""

from __future__ import annotations

import copy
import json
import types
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
from pydantic import BaseModel

from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.provenance import Checked, Hearsay

Mark = Checked | Hearsay
Path = tuple[str | int, ...]


def models_in(*modules: types.ModuleType, below: type[BaseModel]) -> list[type[BaseModel]]:
    """The message types that these modules define."""
    found = [one for module in modules for one in vars(module).values() if isinstance(one, type)]
    mine = {module.__name__ for module in modules}
    return [one for one in found if issubclass(one, below) and one is not below and one.__module__ in mine]


def marks(model: type[BaseModel], field: str) -> list[Mark]:
    """The marks of a field, wherever in its annotation they stand."""
    known = [one for one in model.model_fields[field].metadata if isinstance(one, Mark)]
    return known or list(_in(model.model_fields[field].annotation))


def _in(annotation: Any) -> Iterator[Mark]:
    if get_origin(annotation) is Annotated:
        yield from (one for one in get_args(annotation)[1:] if isinstance(one, Mark))
    if get_origin(annotation) in (Union, types.UnionType, Annotated):
        for inner in get_args(annotation):
            yield from _in(inner)


def unmarked(models: list[type[BaseModel]]) -> list[str]:
    """``Model.field`` of each field that has not exactly one mark, or one without words."""
    found = []
    for model in models:
        for field in model.model_fields:
            one = marks(model, field)
            words = "".join(getattr(mark, "against", "") or getattr(mark, "shown", "") for mark in one)
            if len(one) != 1 or len(words) < 10:
                found.append(f"{model.__name__}.{field}")
    return found


def hearsay(models: list[type[BaseModel]]) -> dict[str, str]:
    """``Model.field`` -> how a person sees that it is hearsay."""
    found = {}
    for model in models:
        for field in model.model_fields:
            for mark in marks(model, field):
                if isinstance(mark, Hearsay):
                    found[f"{model.__name__}.{field}"] = mark.shown
    return found


# --- changing one value ---------------------------------------------------------------------------


def leaves(value: Any, path: Path = ()) -> Iterator[Path]:
    """The place of every text, number and truth value; of a list also the list itself."""
    if isinstance(value, dict):
        for name in value:
            yield from leaves(value[name], (*path, name))
    elif isinstance(value, list):
        yield path
        for place, one in enumerate(value[:2]):
            yield from leaves(one, (*path, place))
    elif value is not None:
        yield path


def changed(value: Any, path: Path) -> Any:
    """The same JSON with another value of the same kind at one place."""
    if not path:
        return _other(value)
    twin = copy.copy(value)
    twin[path[0]] = changed(value[path[0]], path[1:])
    return twin


_WORDS = {"active": "withdrawn", "open": "denied", "granted": "open", "allow": "deny", "ask": "allow", "deny": "allow"}


def _other(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, list):
        return value + value[-1:]  # what an authority leaves away, nobody can see
    if value in _WORDS:
        return _WORDS[value]
    middle = len(value) // 2
    letter = value[middle : middle + 1]
    other = "b" if letter == "a" else "a"
    return value[:middle] + other + value[middle + 1 :]


class Meddler:
    """Lets clients of authorities read something else than the authority meant, in one field of one kind of answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, only: str) -> None:
        """``only``: the DID of the authority that is hostile."""
        self.all: dict[type[BaseModel], list[Any]] = {}  # true answers of each kind
        self.touched = 0
        self._target: tuple[type[BaseModel], Callable[[Any], Any]] | None = None
        parsed, outer = AuthorityClient._parsed, self

        def meddled(client: AuthorityClient, cls: type[Any], value: Any) -> Any:
            if client.did == only:
                value = outer._meddle(cls, value)
            return parsed(client, cls, value)

        def read(client: AuthorityClient, cls: type[Any], data: bytes) -> Any:
            return meddled(client, cls, json.loads(data))

        monkeypatch.setattr(AuthorityClient, "_parsed", meddled)
        monkeypatch.setattr(AuthorityClient, "_read", read)

    @property
    def seen(self) -> dict[type[BaseModel], Any]:
        """The first true answer of each kind."""
        return {cls: told[0] for cls, told in self.all.items()}

    def _meddle(self, cls: type[BaseModel], value: Any) -> Any:
        self.all.setdefault(cls, []).append(value)
        if self._target is None or self._target[0] is not cls:
            return value
        try:
            told = self._target[1](value)
        except (KeyError, IndexError, TypeError):
            return value  # this answer has no such place
        self.touched += told != value
        return told

    def change(self, cls: type[BaseModel], path: Path) -> None:
        self.touched, self._target = 0, (cls, lambda value: changed(value, path))

    def swap(self, cls: type[BaseModel], field: str, value: Any) -> None:
        """Put a true value of another answer into its place."""
        self.touched, self._target = 0, (cls, lambda told: {**told, field: value})

    def stop(self) -> None:
        self._target = None

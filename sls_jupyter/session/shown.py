"""Which requests a persona was shown, so that what is decided on is what was read.

A screen shows the beginning of a request's number, and a person types that. Whoever makes requests can make two that
begin alike, show one and put the other in its place. So the whole numbers of what was shown are kept, and a beginning
that is typed means one of those.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sls_jupyter.documents import canonical_json, parse_json
from sls_jupyter.errors import DigestMismatch, SlsError, Unavailable, UnknownName
from sls_jupyter.identity import locked, write_whole

MAX_SHOWN = 5_000  # numbers that are kept, the newest
_DIGITS = 64


class Shown:
    """The numbers in one persona's folder, which several processes may share."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def all(self) -> list[str]:
        """Numbers of 64 hex digits, the newest last."""
        try:
            found = parse_json(self._path.read_bytes())
        except FileNotFoundError:
            return []
        except SlsError as error:
            error.hint = f"Remove {self._path}; then list the requests anew before you decide."
            raise
        return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []

    def add(self, ids: Iterable[str]) -> None:
        """Keep what was shown now.

        Raises:
            Unavailable: it cannot be written.
        """
        numbers = [one.removeprefix("sha256:") for one in ids]
        if not set(numbers) - set(self.all()):
            return
        with locked(self._path):
            kept = dict.fromkeys([*(one for one in self.all() if one not in numbers), *numbers])
            try:
                write_whole(self._path, canonical_json(list(kept)[-MAX_SHOWN:]))
            except OSError as error:
                raise Unavailable(
                    "What you are shown cannot be noted, so nothing could be decided on it.",
                    found=f"{self._path}: {error.strerror}",
                    hint="Free some space, or set SLS_HOME to a folder that you may write to.",
                ) from None

    def require(self, typed: str, found: str) -> None:
        """Raise unless the request that was found is the one that the typed beginning was shown for.

        Args:
            typed: what the person wrote. found: the request that begins so now.

        Raises:
            UnknownName: several that begin so were shown. DigestMismatch: another one was.
        """
        beginning, number = typed.removeprefix("sha256:"), found.removeprefix("sha256:")
        if len(beginning) == _DIGITS:
            return
        fitting = [one for one in self.all() if one.startswith(beginning)]
        if len(fitting) > 1:
            raise UnknownName(
                "Several requests that you were shown begin like that.",
                found=", ".join(fitting[:4]),
                hint="Two that begin alike are no accident: read both, and write the whole number.",
            )
        if fitting and fitting != [number]:
            raise DigestMismatch(
                "Another request begins like that now than the one that you were shown.",
                found=number,
                expected=fitting[0],
                hint="Do not decide on it before you have read it: write its whole number.",
            )

"""A magic's line: split like a shell's, parsed by argparse, wrong in our own words.

``$name`` and ``{name}`` stand for a text, a path or a whole number of the notebook, for plain identifiers only, so
that papermill's parameters reach a magic. A doubled sign is the sign itself. The body of a cell is never
looked at: its exact text is what is hashed and approved.
"""

from __future__ import annotations

import argparse
import builtins
import difflib
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError

from sls_jupyter.contract.spec import Limits
from sls_jupyter.errors import BadInput, UnknownName
from sls_jupyter.naming import split_names

_VARIABLE = re.compile(r"\$\$|\{\{|\}\}|\$(?P<dollar>[A-Za-z_]\w*)|\{(?P<brace>[^{}]*)\}|[{}]")
_NOT_THE_USERS = frozenset({*dir(builtins), "In", "Out", "get_ipython"})
_SIZES = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_DURATIONS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


class HelpWanted(Exception):  # control flow between the parser and the magic, never seen by a user
    """The line asks for help; carries its text."""


class Parser(argparse.ArgumentParser):
    """argparse that neither exits nor prints: it raises :class:`BadInput` or :class:`HelpWanted`."""

    def __init__(self, prog: str, description: str, epilog: str = "") -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=epilog,
            add_help=False,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self.add_argument("-h", "--help", action="store_true", help="show this and do nothing")

    def options(self) -> list[str]:
        """Every option's long name, or its short one if it has no long."""
        names = [action.option_strings for action in self._actions if action.option_strings]
        return [next((name for name in one if name.startswith("--")), one[0]) for one in names]

    def dest_of(self, option: str) -> str:
        """The name under which argparse keeps what this option is given; "" if there is none."""
        return next((action.dest for action in self._actions if option in action.option_strings), "")

    def choices_of(self, option: str) -> list[str]:
        """The words that it takes, where they are few and written down."""
        found = (action.choices for action in self._actions if option in action.option_strings and action.choices)
        return [str(one) for choices in found for one in choices]

    def asks_for(self, option: str) -> str:
        """What the help calls its value: ``WHO|URL``, ``FILE``; "" if that is not said."""
        names = (action.metavar for action in self._actions if option in action.option_strings)
        return next((name for name in names if isinstance(name, str)), "")

    def action_of(self, dest: str) -> argparse.Action:
        """What argparse knows of the option that sets ``dest``.

        Raises:
            KeyError: there is none.
        """
        for action in self._actions:
            if action.dest == dest:
                return action
        raise KeyError(dest)

    def positionals(self) -> list[str]:
        """What stands on the line without an option, as the help names it."""
        return [str(action.metavar) for action in self._actions if not action.option_strings]

    def long_name(self, option: str) -> str:
        """The long spelling of an option, or the option itself."""
        spellings = next((one.option_strings for one in self._actions if option in one.option_strings), [option])
        return next((one for one in spellings if one.startswith("--")), option)

    def takes_value(self, option: str) -> bool:
        """Whether a word follows this option."""
        return any(option in action.option_strings and action.nargs != 0 for action in self._actions)

    def within(self, words: Sequence[str]) -> Parser:
        """The parser of the action that these words name, or this one: ``log`` has a parser for each."""
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                return next((action.choices[word] for word in words if word in action.choices), self)
        return self

    def actions(self) -> list[str]:
        """The words that name an action, if it has any."""
        found = (action for action in self._actions if isinstance(action, argparse._SubParsersAction))
        return [name for action in found for name in action.choices]

    def error(self, message: str) -> NoReturn:
        unknown = next((word for word in message.split() if word.startswith("-")), "")
        hint = (
            f"{self.prog.replace('%%', '%')} --help lists the options."  # IPython refuses a cell magic without a cell
        )
        if "unrecognized" in message:
            near = difflib.get_close_matches(unknown.partition("=")[0], self.options(), 1)
            if near:
                hint = f"Did you mean {near[0]}? {hint}"
            if not unknown:
                found = message.partition(":")[2].strip()
                words = "A list has no space after its commas (a,b), and a text with spaces stands in quotes. "
                raise BadInput(f"{self.prog} takes no such argument.", found=found, hint=words + hint)
            raise BadInput(f"{self.prog} has no such option.", found=unknown[:80], hint=hint)
        raise BadInput(f"{self.prog} cannot read this line.", found=message[:300], hint=hint)

    def parse(self, words: list[str]) -> argparse.Namespace:
        """The options of these words.

        Raises:
            HelpWanted: ``-h`` or ``--help`` is among them, whatever else is.
            BadInput: an unknown or unfit option, with the nearest one.
        """
        if "-h" in words or "--help" in words:
            raise HelpWanted(self.within(words).format_help())
        return self.parse_args(words)


def split(line: str, namespace: Mapping[str, Any]) -> list[str]:
    """The words of a magic's line, quotes taken away, variables put in.

    Raises:
        BadInput: a quotation is not closed, or a variable is neither text nor a whole number.
        UnknownName: there is no such variable.
    """
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise BadInput("This line cannot be read.", found=str(error), hint="Close the quotation.") from None
    return [_VARIABLE.sub(lambda match: _value(match, namespace), word) for word in words]


def literal(text: str) -> str:
    """A text on a magic's line that stays what it is: the signs that take a variable in (``$`` and braces) are doubled."""
    return text.replace("$", "$$").replace("{", "{{").replace("}", "}}")


def as_word(text: str) -> str:
    """A text as one word of a magic's line, which :func:`split` reads as it was."""
    return shlex.quote(literal(text))


def variables_in(word: str) -> tuple[str, ...]:
    """The names of variables in a word of a line."""
    names = (match["dollar"] or match["brace"] for match in _VARIABLE.finditer(word))
    return tuple(name for name in names if name is not None)


def _value(match: re.Match[str], namespace: Mapping[str, Any]) -> str:
    name = match["dollar"] or match["brace"]
    if name is None and len(match[0]) == 2:
        return match[0][0]
    if name is None or not name.isidentifier():
        hint = f"Give {match[0]} a name in a line above; for the signs themselves write {{{{ and }}}}."
        raise BadInput("Only a plain name can stand in braces.", found=match[0][:60], expected="{name}", hint=hint)
    value = look_up(name, namespace, hint=f"For the sign itself write {'$$' if match['dollar'] else '{{'}.")
    if isinstance(value, bool) or not isinstance(value, (str, int, Path)):
        raise BadInput(
            f"The variable {name} cannot stand on this line.",
            found=type(value).__name__,
            expected="a text, a path or a whole number",
        )
    return str(value)


def look_up(name: str, namespace: Mapping[str, Any], *, hint: str = "") -> Any:
    """A variable of the notebook.

    Raises:
        UnknownName: there is none, with the nearest names.
    """
    if name in namespace:
        return namespace[name]
    public = [key for key in namespace if not key.startswith("_") and key not in _NOT_THE_USERS]
    near = difflib.get_close_matches(name, public, 3)
    raise UnknownName(
        f"The notebook has no variable {name}.",
        expected=", ".join(near) or None,
        hint=f"Did you mean {near[0]}?" if near else hint or "Run the cell that makes it first.",
    )


# --- values ---------------------------------------------------------------------------------------


def _scaled(text: str, units: Mapping[str, int], what: str, example: str) -> int:
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)\s*([a-z]?)(?:i?b)?", text.strip().lower())
    if found is None or found[2] not in units:
        raise BadInput(f"This is not a {what}.", found=text[:60], expected=example)
    return round(float(found[1]) * units[found[2]])


def size(text: str) -> int:
    """Bytes of ``512M``, ``2G`` or ``1.5GiB``; the units are powers of 1024."""
    return _scaled(text, _SIZES, "size", "for instance 512M or 2G")


def duration(text: str) -> int:
    """Seconds of ``90``, ``45s``, ``30m`` or ``2h``."""
    return _scaled(text, _DURATIONS, "duration", "for instance 45s, 30m or 2h")


def whole(least: int, most: int) -> Callable[[str], int]:
    """A reader of whole numbers from ``least`` to ``most``."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,15}", text) or not least <= int(text) <= most:
            raise BadInput("This is not a whole number in range.", found=text[:60], expected=f"{least} to {most}")
        return int(text)

    return read


def identifier(text: str) -> str:
    """The name of a variable."""
    if not text.isidentifier() or not text.isascii() or len(text) > 100:
        raise BadInput("This cannot be the name of a variable.", found=text[:60], expected="letters, digits and _")
    return text


def short_text(text: str) -> str:
    """A sentence that fits a document."""
    if len(text) > 500:
        raise BadInput("This text is too long.", found=f"{len(text)} characters", expected="500 at most")
    return text


def one_of(what: str, known: Iterable[str]) -> Callable[[str], list[str]]:
    """A reader of words with commas between them, each of which is known."""
    words = tuple(known)

    def read(text: str) -> list[str]:
        chosen = [word.strip() for word in text.split(",")]
        for word in chosen:
            if word not in words:
                near = difflib.get_close_matches(word, words, 1)
                raise BadInput(
                    f"There is no such {what}.",
                    found=word[:60] or "nothing",
                    expected=", ".join(words),
                    hint=f"Did you mean {near[0]}?" if near else "",
                )
        return chosen

    return read


def named_columns(text: str) -> tuple[str, list[str]]:
    """``NAME=a,b`` as a column group; a name with a comma is quoted."""
    name, equals, tail = text.partition("=")
    columns = split_names(tail)
    if not equals or not name.isidentifier() or not all(columns):
        raise BadInput("This column group cannot be read.", found=text[:100], expected="NAME=column,column")
    return name, columns


def limits_from(cpu: int | None, memory: int | None, seconds: int | None, result: int | None = None) -> Limits:
    """The limits of a run; what is not given keeps its default.

    Raises:
        BadInput: a value is out of range, with the range.
    """
    fields: dict[str, int] = {}
    if cpu is not None:
        fields["cpus"] = cpu
    if memory is not None:
        fields["memory_bytes"] = memory
    if result is not None:
        fields["output_bytes"] = result
    if seconds is not None:
        fields |= {"wall_seconds": seconds, "cpu_seconds": min(seconds * (cpu or 1), 7 * 86400)}
    try:
        return Limits(**fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise BadInput(
            "A run cannot have this limit.",
            found=f"{first['loc'][0]} {first['input']}",
            expected=first["msg"].removeprefix("Input should be "),
            hint="For instance --cpu 2 --memory 4G --time 30m.",
        ) from None

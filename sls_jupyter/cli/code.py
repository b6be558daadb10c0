"""The code and the parameters of a cell, as a shell has them: a file or standard input, and ``NAME=VALUE``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from sls_jupyter.errors import BadInput, MalformedDocument

MAX_CODE_BYTES = 4 << 20  # of a cell's text; what owners take is less


def code_of(options: argparse.Namespace) -> str | None:
    """The text of ``-f FILE`` exactly as it is there, ``-`` being standard input; ``None`` without the option.

    Raises:
        BadInput: it cannot be read, is too long, or is no UTF-8 text.
    """
    name = options.file
    if name is None:
        return None
    try:
        if name == "-":
            data = sys.stdin.buffer.read(MAX_CODE_BYTES + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(MAX_CODE_BYTES + 1)
        text = data.decode()
    except (OSError, ValueError) as error:  # a name with a zero byte and a text that is no UTF-8 are ValueErrors
        why = getattr(error, "strerror", None) or type(error).__name__
        raise BadInput("The code cannot be read.", found=f"{name[:200]}: {why}", expected="UTF-8 text") from None
    if len(data) > MAX_CODE_BYTES:
        raise BadInput("The code is too long.", found=f"more than {MAX_CODE_BYTES:,} bytes")
    return text


def take_parameters(options: argparse.Namespace, namespace: dict[str, Any]) -> None:
    """Put the values of ``-p NAME=VALUE`` where a notebook has its variables; the options keep the names.

    Raises:
        BadInput: no ``=``, or one name twice, of a parameter or within its JSON.
    """
    from sls_jupyter.documents import no_member_twice

    for word in options.parameter:
        name, equals, text = word.partition("=")
        if not equals or not name.isidentifier() or name in namespace:
            raise BadInput(
                "This is not a parameter.",
                found=word[:100],
                expected="NAME=VALUE, each name once",
                hint="VALUE is JSON (3, true, [1, 2]), or else text.",
            )
        try:
            namespace[name] = json.loads(text, object_pairs_hook=no_member_twice)
        except MalformedDocument as error:
            raise BadInput(
                f"The parameter {name} has a member twice.",
                found=error.found,
                expected=error.expected,
                hint="Keep one.",
            ) from None
        except (ValueError, RecursionError):
            namespace[name] = text
    options.parameter = list(namespace)

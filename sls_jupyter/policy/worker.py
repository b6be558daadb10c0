"""regopy behind four functions; as a script, the process in which an owner's own module is evaluated.

As a script it reads one JSON object from its standard input and writes one to its standard output:
``{"module", "entrypoint", "input"}`` gives ``{"value"}`` or ``{"error"}``; ``input: null`` compiles only. It is
started with an empty environment, imports nothing but regopy and the standard library, and puts limits on
itself before the module is looked at. Its parent adds the time limit.

What regopy 1.5.2 does not tell: a built-in that fails gives ``undefined``; an error can come back as an
empty string; input given through ``set_input`` is not escaped (so it comes in as a JSON term); a parser error
is printed to the standard output (so logging is off, and the standard output is moved away).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

MAX_CPU_SECONDS = 2
MAX_MEMORY_BYTES = 256 * 2**20  # beyond what the engine reserves when it is loaded (256 GiB of addresses)
MAX_RESULT_BYTES = 256 * 1024
UNDEFINED = object()


class RegoFault(Exception):
    """The module does not compile, or its evaluation went wrong; the text says what is known."""


def compile_module(text: str, entrypoint: str) -> tuple[Any, Any]:
    """An interpreter and the bundle of ``text`` with one entry point (``package/rule``).

    Raises:
        RegoFault: it does not compile.
    """
    import regopy

    interpreter = regopy.Interpreter()
    interpreter.log_level = regopy.LogLevel.NONE
    try:
        interpreter.add_module("policy.rego", text)
        bundle = interpreter.build(None, [entrypoint])
    except (regopy.RegoError, ValueError) as error:
        raise RegoFault(_compiler_message(str(error), text)) from None
    if not bundle.ok():
        raise RegoFault(_compiler_message(str(bundle.node()), text))
    return interpreter, bundle


def _compiler_message(error: str, text: str) -> str:
    """The first message of rego-cpp's error tree, with the line it is about."""
    found = re.search(r"error \d+:policy\.rego\|(\d+)\|\d+\s*\(errormsg \d+:([^)]{1,200})\)", error)
    if found is None:
        plain = re.search(r"errormsg \d+:([^)]{1,200})\)", error)
        return plain.group(1) if plain else "the engine gives no reason"
    line = text.encode()[: int(found.group(1))].count(b"\n") + 1
    return f"line {line}: {found.group(2)}"


def query(interpreter: Any, bundle: Any, entrypoint: str, input_json: str) -> Any:
    """The value of the entry point for one input, or :data:`UNDEFINED`.

    Raises:
        RegoFault: the evaluation failed, or its result cannot be read.
    """
    import regopy

    try:
        interpreter.set_input_term(input_json)
        output = interpreter.query_bundle_entrypoint(bundle, entrypoint)
        text = str(output)
        if not output.ok():
            raise RegoFault("the evaluation failed")
        if text == "undefined":
            return UNDEFINED
        if len(text) > MAX_RESULT_BYTES:
            raise RegoFault("the result is too large")
        (value,) = json.loads(text)["expressions"]
    except (regopy.RegoError, ValueError, KeyError, TypeError, RecursionError):
        raise RegoFault("the engine gave no readable result") from None
    return value


def _limit_this_process() -> None:
    """CPU seconds, memory, no files, no core. Where a platform has no such limits the parent's deadline remains."""
    try:
        import resource
    except ImportError:
        return
    limits = {resource.RLIMIT_CPU: MAX_CPU_SECONDS, resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: 0}
    with contextlib.suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limits[resource.RLIMIT_AS] = pages * resource.getpagesize() + MAX_MEMORY_BYTES
    for limit, value in limits.items():
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(limit, (value, value))


def _answer(job: dict[str, Any]) -> dict[str, Any]:
    try:
        interpreter, bundle = compile_module(job["module"], job["entrypoint"])
        if job["input"] is None:
            return {"value": None}
        value = query(interpreter, bundle, job["entrypoint"], job["input"])
    except RegoFault as fault:
        return {"error": str(fault)}
    return {"error": "undefined"} if value is UNDEFINED else {"value": value}


def main(regopy_folder: str) -> None:
    """Answer one job."""
    answer_to = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    job = json.loads(sys.stdin.buffer.read())
    sys.path.insert(0, regopy_folder)
    import regopy

    regopy.Interpreter()  # the engine reserves its memory now, before the limit
    _limit_this_process()
    answer = json.dumps(_answer(job)).encode()
    while answer:
        answer = answer[os.write(answer_to, answer) :]


if __name__ == "__main__":
    main(sys.argv[1])

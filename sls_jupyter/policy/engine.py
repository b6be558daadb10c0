"""The one place that evaluates Rego: our module in this process, an owner's own module in one that can be killed.

A built bundle is cached per module, which makes a decision cost about a millisecond. The engine is native
code without a time limit of its own; therefore text that an owner wrote never runs in this process.
Loading the engine reserves 256 GiB of addresses (not memory): a process whose address space is limited
(RLIMIT_AS) cannot load it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sls_jupyter.documents import canonical_model_json
from sls_jupyter.errors import BadInput, SlsError, Unavailable
from sls_jupyter.policy import worker

DEADLINE_SECONDS = 5.0  # for one evaluation of an owner's module, with the start of its process
_lock = threading.Lock()  # an interpreter holds the input of one evaluation


@cache
def _compiled(module: str, entrypoint: str) -> tuple[Any, Any]:
    return worker.compile_module(module, entrypoint)


def evaluate(module: str, entrypoint: str, value: object) -> Any:
    """Evaluate a module that this package ships, in this process.

    Args:
        module: Rego text; compiled once per process.
        entrypoint: ``package/rule``, its package with slashes.
        value: the input, JSON.

    Raises:
        MalformedDocument: the input is not JSON.
        Unavailable: the engine is missing, or gives no result.
    """
    text = canonical_model_json(value).decode()
    try:
        with _lock:
            interpreter, bundle = _compiled(module, entrypoint)
            result = worker.query(interpreter, bundle, entrypoint, text)
    except (worker.RegoFault, ImportError, OSError) as error:
        raise Unavailable(
            "The policy engine gives no answer.", found=error, hint="Reinstall regopy 1.5; nothing was granted."
        ) from None
    if result is worker.UNDEFINED:
        raise Unavailable("The policy engine gives no answer.", found="undefined", hint="Nothing was granted.")
    return result


def evaluate_apart(module: str, entrypoint: str, value: object, *, deadline_seconds: float = DEADLINE_SECONDS) -> Any:
    """Evaluate a module that an owner wrote, in a process of its own that is ended at the deadline.

    Blocks for about a tenth of a second, at most for the deadline: not to be called in an event loop.

    Raises:
        BadInput: it does not compile, is undefined for this input, fails, or crosses a limit.
        MalformedDocument: the input is not JSON.
        Unavailable: the process cannot be started.
    """
    return _run(
        {"module": module, "entrypoint": entrypoint, "input": canonical_model_json(value).decode()}, deadline_seconds
    )


def compile_apart(module: str, entrypoint: str, *, deadline_seconds: float = DEADLINE_SECONDS) -> None:
    """Check that a module that an owner wrote compiles; raises as :func:`evaluate_apart`."""
    _run({"module": module, "entrypoint": entrypoint, "input": None}, deadline_seconds)


def _run(job: dict[str, Any], deadline_seconds: float) -> Any:
    spec = find_spec("regopy")
    if spec is None or spec.origin is None:
        raise Unavailable("The policy engine is not installed.", expected="regopy 1.5", hint="pip install regopy")
    folder = str(Path(spec.origin).parent.parent)
    command = [sys.executable, "-I", "-S", "-B", str(Path(worker.__file__)), folder]
    try:
        done = subprocess.run(
            command,
            input=json.dumps(job).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
            timeout=deadline_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _over_a_limit(f"more than {deadline_seconds:g} seconds") from None
    except OSError as error:
        raise Unavailable("The policy engine cannot be started.", found=error.strerror, hint="Try again.") from None
    if done.returncode != 0:
        raise _over_a_limit(f"its process ended with {done.returncode}")
    try:
        answer = json.loads(done.stdout)
    except (ValueError, RecursionError):
        raise _over_a_limit("an answer that cannot be read") from None
    if "error" in answer:
        raise BadInput(
            "The owner's own policy module gives no decision.",
            found=answer["error"],
            expected="a value of the rule `decision` for every input",
            hint="Correct the module; `default decision := {…}` covers the inputs that no other rule does.",
        )
    return answer["value"]


def _over_a_limit(found: str) -> SlsError:
    return BadInput(
        "The owner's own policy module crossed a limit and was stopped.",
        found=found,
        expected=f"at most {worker.MAX_CPU_SECONDS} s of CPU time and {worker.MAX_MEMORY_BYTES // 2**20} MiB",
        hint="Make the module's rules simpler: no recursion, no loops over loops.",
    )

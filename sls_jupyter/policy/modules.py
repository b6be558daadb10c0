"""What an owner's own Rego module may contain: a check of its text, made before it is ever compiled.

The module is ``package sls.owner`` and defines the rule ``decision``. It may call its own functions and the
built-ins of :data:`ALLOWED`, and nothing else. regopy is not OPA in every detail; what it gets wrong is
outside the allow-list, and each allowed built-in has a test that compares it with OPA's documentation.
Refused for that reason: strings with escapes (it compares and counts them as they are spelt), ``sort``, ``min``
and ``max`` (order of mixed types), ``lower`` and ``upper`` (ASCII only), ``sprintf`` (a wrong verb makes the rule
vanish), ``concat`` (order of sets), ``object.union`` (not deep), ``replace`` (never ends on an empty pattern),
``semver.compare`` and patterns.

What is *not* checked: recursion (the evaluation then fails, and a failed evaluation denies), and that
comparisons are between values of one type. OPA orders types, the engine orders spellings; compare numbers
with numbers. The input has no nulls: a value that is absent is undefined.

Source: https://www.openpolicyagent.org/docs/policy-language and /docs/policy-reference, read for OPA 1.x.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sls_jupyter.errors import BadInput

MAX_MODULE_BYTES = 64 * 1024
PACKAGE = ("package", "sls", ".", "owner")
ENTRYPOINT = "sls/owner/decision"

_ALLOWED_NAMES = """
    abs ceil floor round count sum product
    array.concat array.reverse array.slice
    contains startswith endswith split trim_prefix trim_suffix trim_space
    object.filter object.get object.keys object.remove object.subset
    union intersection
    is_array is_boolean is_null is_number is_object is_set is_string type_name
"""
ALLOWED = frozenset(_ALLOWED_NAMES.split())

_OUTSIDE = "it reaches outside the policy's input"
_DIFFERS = "the engine does not compute it as OPA documents it"
_REFUSED = {
    **dict.fromkeys(("http", "net", "opa", "rego", "print", "trace", "data"), _OUTSIDE),
    **dict.fromkeys(("time", "rand", "uuid"), "the same request must give the same decision; use input.now"),
    **dict.fromkeys(("io", "crypto", "graph", "graphql", "providers", "internal"), "no policy needs it"),
    **dict.fromkeys(("regex", "glob", "semver", "units", "json", "yaml", "base64", "base64url", "hex"), _DIFFERS),
    **dict.fromkeys(("sprintf", "concat", "sort", "min", "max", "lower", "upper", "replace", "to_number"), _DIFFERS),
    **dict.fromkeys(("format_int", "indexof", "substring", "walk", "numbers", "strings", "bits", "urlquery"), _DIFFERS),
    "with": "a rule cannot replace its input or a built-in",
}
_KEYWORDS = frozenset({"as", "default", "else", "every", "false", "if", "in", "not", "null", "some", "true"})
_TOKEN = re.compile(
    r"(?P<space>[ \t\n]+|\#[^\x00-\x08\x0a-\x1f\x7f]*(?=\n|\Z))"
    r'|(?P<string>"[^"\\\x00-\x1f]*"|`[^`"\\\x00-\x1f]*`)'
    r"|(?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<mark>:=|==|!=|<=|>=|[=<>+\-*/%&|(){}\[\],;:.])"
)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # string, number, name, mark
    text: str
    line: int  # from 1
    starts_line: bool
    depth: int  # of open brackets before it


def check_text(text: str) -> None:
    """Refuse a module that contains what an owner's own module may not.

    Raises:
        BadInput: too large, or with every line that has to change (``detail["problems"]``).
    """
    size = len(text.encode(errors="replace"))
    if size > MAX_MODULE_BYTES:
        raise BadInput(
            "An owner's policy module is too large.", found=f"{size} bytes", expected=f"{MAX_MODULE_BYTES} at most"
        )
    try:
        problems = list(_problems(tuple(_tokens(text))))
    except _Unreadable as error:
        problems = [str(error)]
    if problems:
        raise BadInput(
            "An owner's policy module contains what it may not.",
            found="; ".join(problems[:8]) + ("; …" if len(problems) > 8 else ""),
            expected="package sls.owner, a rule `decision`, its own functions and: " + ", ".join(sorted(ALLOWED)),
            hint="Change these lines. Most needs are met by ==, in, some, every and comprehensions.",
            detail={"problems": problems},
        )


class _Unreadable(ValueError):
    pass


def _tokens(text: str) -> Iterator[_Token]:
    place = depth = 0
    line, starts_line = 1, True
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:
            raise _Unreadable(f"line {line}: {_unreadable(text[place])}")
        word, kind = found.group(), str(found.lastgroup)
        if kind == "space":
            starts_line = starts_line or "\n" in word
        else:
            yield _Token(kind, word, line, starts_line, depth)
            starts_line = False
            depth += (word in ("(", "[", "{")) - (word in (")", "]", "}"))
        line += word.count("\n")
        place = found.end()


def _unreadable(letter: str) -> str:
    if letter in '"`':
        return "a string has an escape or does not end; write the characters themselves, without \\ and inner quotes"
    if letter == "$":
        return "template strings are not allowed"
    if letter in "\r#":
        return "a control character; save the module as plain text with Unix line ends"
    return f"the character U+{ord(letter):04X} is not allowed outside strings and comments"


def _problems(tokens: tuple[_Token, ...]) -> Iterator[str]:
    words = tuple(token.text for token in tokens)
    if words[:4] != PACKAGE or words[4:5] in ((".",), ("[",)) or "package" in words[4:]:
        yield "line 1: the module does not begin with `package sls.owner`"
    if not any(token.text == "decision" for token in _heads(tokens)):
        yield "line 1: there is no rule `decision`"
    functions = {head.text for head in _heads(tokens, functions=True)}
    for name in sorted(functions & (ALLOWED | _REFUSED.keys())):
        yield f"line 1: the function {name} has the name of a built-in"
    for index, token in enumerate(tokens[4:], start=4):
        yield from _problems_at(tokens, index, functions, token)


def _heads(tokens: tuple[_Token, ...], *, functions: bool = False) -> Iterator[_Token]:
    """Names that begin a rule (or a function): first on their line outside brackets, or after `default`."""
    for index, token in enumerate(tokens):
        after_default = index > 0 and tokens[index - 1].text == "default"
        is_call = index + 1 < len(tokens) and tokens[index + 1].text == "("
        if token.kind == "name" and token.depth == 0 and (token.starts_line or after_default) and is_call == functions:
            yield token


def _problems_at(tokens: tuple[_Token, ...], index: int, functions: set[str], token: _Token) -> Iterator[str]:
    before = tokens[index - 1]
    if token.text == "import":
        if not _is_harmless_import(tokens[index + 1 : index + 4]):
            yield f"line {token.line}: only `import rego.v1` and `import future.keywords` are allowed"
    elif token.kind == "name" and before.text not in (".", "import") and token.text in _REFUSED:
        yield f"line {token.line}: {_path(tokens, index)} is refused: {_REFUSED[token.text]}"
    elif token.text == "(" and (before.text in ("]", ")", "}") or before.kind in ("string", "number")):
        if not token.starts_line:
            yield f"line {token.line}: a call of something that is not a name"
        elif before.text != "}":
            yield f"line {token.line}: a line begins with a bracket after an expression; join the two or name it"
    elif token.text == "(" and before.kind == "name" and before.text not in _KEYWORDS:
        called = _called(tokens, index - 1)
        if called not in ALLOWED and called not in functions and called.partition(".")[0] not in _REFUSED:
            yield f"line {token.line}: {called} is neither an allowed built-in nor a function of this module"


def _is_harmless_import(following: tuple[_Token, ...]) -> bool:
    return tuple(token.text for token in following) in (("rego", ".", "v1"), ("future", ".", "keywords"))


def _path(tokens: tuple[_Token, ...], index: int) -> str:
    """The dotted name that begins at ``index``."""
    parts = [tokens[index].text]
    while index + 2 < len(tokens) and tokens[index + 1].text == "." and tokens[index + 2].kind == "name":
        parts.append(tokens[index + 2].text)
        index += 2
    return ".".join(parts)


def _called(tokens: tuple[_Token, ...], index: int) -> str:
    """The dotted name that ends at ``index``; a part that is not a name becomes ``?``."""
    parts = [tokens[index].text]
    while index >= 2 and tokens[index - 1].text == ".":
        index -= 2
        parts.append(tokens[index].text if tokens[index].kind == "name" else "?")
    return ".".join(reversed(parts))

"""A resource as a file that ``az deployment group create`` takes: an ARM template (JSON) or Bicep.

Both say exactly what :func:`sls_jupyter.hosts.aci.template.resource` says; only the spelling differs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Literal

from sls_jupyter.errors import BadInput
from sls_jupyter.hosts.aci.template import API_VERSION, RESOURCE_TYPE

Form = Literal["arm", "bicep"]
FORMS: tuple[Form, ...] = ("arm", "bicep")
_SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ADDRESS = "ipAddress.ip"


def export(name: str, body: Mapping[str, Any], form: Form) -> str:
    """The whole file.

    Args:
        name: of the container group.
        body: what the template's function made.
    """
    return arm_text(name, body) if form == "arm" else bicep_text(name, body)


def arm_text(name: str, body: Mapping[str, Any]) -> str:
    """An ARM template without parameters: two people who export one run get the same bytes."""
    resource = {"type": RESOURCE_TYPE, "apiVersion": API_VERSION, "name": name, **body}
    template: dict[str, Any] = {
        "$schema": _SCHEMA,
        "contentVersion": "1.0.0.0",
        "resources": [_literal(resource)],
    }
    if "ipAddress" in body["properties"]:
        address = f"[reference(resourceId('{RESOURCE_TYPE}', '{name}'), '{API_VERSION}').{_ADDRESS}]"
        template["outputs"] = {"address": {"type": "string", "value": address}}
    return json.dumps(template, indent=2) + "\n"


def _literal(value: Any) -> Any:
    """ARM reads a string that begins with a bracket as an expression; doubled, it is a string again."""
    if isinstance(value, str):
        return "[" + value if value.startswith("[") else value
    if isinstance(value, Mapping):
        return {key: _literal(one) for key, one in value.items()}
    return [_literal(one) for one in value] if isinstance(value, list) else value


def bicep_text(name: str, body: Mapping[str, Any]) -> str:
    """The same as Bicep."""
    lines = [
        f"resource group '{RESOURCE_TYPE}@{API_VERSION}' = {_bicep({'name': name, **body}, 0)}",
        "",
    ]
    if "ipAddress" in body["properties"]:
        lines += [f"output address string = group.properties.{_ADDRESS}", ""]
    return "\n".join(lines)


def _bicep(value: Any, depth: int) -> str:
    inner, outer = "  " * (depth + 1), "  " * depth
    if isinstance(value, Mapping):
        items = [f"{inner}{_key(key)}: {_bicep(one, depth + 1)}" for key, one in value.items()]
        return "{\n" + "\n".join(items) + f"\n{outer}}}" if items else "{}"
    if isinstance(value, list):
        items = [f"{inner}{_bicep(one, depth + 1)}" for one in value]
        return "[\n" + "\n".join(items) + f"\n{outer}]" if items else "[]"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):  # Bicep has no numbers with a fraction; json() makes one
        return str(int(value)) if value.is_integer() else f"json('{value!r}')"
    if isinstance(value, int):
        return str(value)
    raise BadInput("A template cannot hold this.", found=type(value).__name__)


def _key(key: str) -> str:
    return key if _PLAIN_KEY.fullmatch(key) else _quoted(key)


def _quoted(text: str) -> str:
    """A Bicep string: one line, nothing interpolated."""
    named = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t", "$": "\\$"}
    return "'" + "".join(named.get(one) or (one if one >= " " else f"\\u{{{ord(one):x}}}") for one in text) + "'"

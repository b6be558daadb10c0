"""The API as an OpenAPI 3.1 document, from the table of routes and the messages; ``python -m sls_jupyter.lab.openapi`` prints it."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from pydantic.json_schema import models_json_schema

from sls_jupyter.documents import Model
from sls_jupyter.lab.messages import API, Error, Event
from sls_jupyter.lab.routes import ROUTES, Route

_REF = "#/components/schemas/{model}"


def document() -> dict[str, Any]:
    """The whole document; the same bytes for the same code."""
    models = {one for route in ROUTES for one in (route.gives, route.takes) if one is not None} | {Error, Event}
    ordered = sorted(models, key=lambda one: one.__name__)
    pairs: list[Any] = [(one, "serialization") for one in ordered]
    _, schemas = models_json_schema(pairs, ref_template=_REF)
    paths: dict[str, Any] = {}
    for route in ROUTES:
        paths.setdefault(f"/{route.path}", {})[route.method.lower()] = _operation(route)
    paths["/events"] = {"get": _events()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "sls_jupyter panel",
            "version": str(API),
            "description": "What the panel asks of the Jupyter server, below sls_jupyter/v1/. Every call needs the server's"
            " own authentication; a POST needs its XSRF token.",
        },
        "paths": paths,
        "components": {"schemas": _tidy(schemas["$defs"])},
    }


def _operation(route: Route) -> dict[str, Any]:
    names = re.findall(r"{(\w+)}", route.path)
    operation: dict[str, Any] = {
        "operationId": f"{route.method.lower()}-{re.sub('[{}]', '', route.path).replace('/', '-')}",
        "parameters": [_parameter(name, "path", "") for name in names]
        + [_parameter(name, "query", words) for name, words in {"persona": "whose", **route.query}.items()],
        "responses": {
            "200": _content(route.gives, "The answer."),
            "default": _content(Error, "Why it was not done.", "application/problem+json"),
        },
    }
    if route.takes is not None:
        operation["requestBody"] = _content(route.takes, "What is asked for.") | {"required": True}
    return operation


def _events() -> dict[str, Any]:
    return {
        "operationId": "get-events",
        "parameters": [_parameter("persona", "query", "whose")],
        "responses": {"200": _content(Event, "Lines of JSON for as long as both sides want.", "application/x-ndjson")},
    }


def _parameter(name: str, where: str, words: str) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "in": where, "required": where == "path", "schema": {"type": "string"}}
    return found | ({"description": words} if words else {})


def _content(model: type[Model], words: str, kind: str = "application/json") -> dict[str, Any]:
    return {"description": words, "content": {kind: {"schema": {"$ref": _REF.format(model=model.__name__)}}}}


def _tidy(value: Any) -> Any:
    """Schemas without the titles that repeat a field's name; every field of an answer is there."""
    if isinstance(value, list):
        return [_tidy(one) for one in value]
    if not isinstance(value, dict):
        return value
    found = {key: _tidy(one) for key, one in value.items() if not (key == "title" and isinstance(one, str))}
    if isinstance(found.get("properties"), dict):
        found["required"] = sorted(found["properties"])
    return dict(sorted(found.items()))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(document(), indent=1, ensure_ascii=False) + "\n")

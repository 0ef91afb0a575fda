"""The dashboard's types from the OpenAPI document.

openapi-typescript is not used: it needs TypeScript 5, and the dashboard has the newer one.
"""

import json
from collections.abc import Iterator
from typing import Any

JsonObject = dict[str, Any]
_HEADER = """// Generated from web/schemas by `make docs`: change the models there, not this file.
// Times are whole milliseconds since 1970, UTC.
"""
_PLAIN = {"integer": "number", "number": "number", "string": "string", "boolean": "boolean"}


def typescript(document: JsonObject) -> str:
    """Return the module with one type for each schema."""
    schemas = document["components"]["schemas"]
    return "\n".join([_HEADER, *(_declaration(*each) for each in schemas.items())])


def _declaration(name: str, schema: JsonObject) -> str:
    if schema.get("type") != "object" or "properties" not in schema:
        return f"{_comment(schema, '')}export type {name} = {type_of(schema)};\n"
    return "\n".join(
        [
            f"{_comment(schema, '')}export interface {name} {{",
            *_fields(schema, "  "),
            "}\n",
        ]
    )


def _fields(schema: JsonObject, indent: str) -> Iterator[str]:
    required = schema.get("required", [])
    for name, field in schema["properties"].items():
        mark = "" if name in required else "?"
        yield f"{_comment(field, indent)}{indent}{name}{mark}: {type_of(field)};"


def _comment(schema: JsonObject, indent: str) -> str:
    text = str(schema.get("description", "")).replace("*/", "* /").replace("\n", " ")
    unit = schema.get("unit") or next(
        (each["unit"] for each in schema.get("anyOf", []) if "unit" in each), None
    )
    if unit:
        text = f"{text} ({unit})".strip()
    return f"{indent}/** {text} */\n" if text else ""


def type_of(schema: JsonObject) -> str:
    """Return a schema as a type of TypeScript."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    for joiner in ("anyOf", "oneOf"):
        if joiner in schema:
            return " | ".join(dict.fromkeys(type_of(each) for each in schema[joiner]))
    if "enum" in schema:
        return " | ".join(json.dumps(each) for each in schema["enum"])
    if "const" in schema:
        return json.dumps(schema["const"])
    kind = schema.get("type")
    if kind == "array":
        if "prefixItems" in schema:
            return f"[{', '.join(type_of(each) for each in schema['prefixItems'])}]"
        inner = type_of(schema.get("items", {}))
        return f"({inner})[]" if " | " in inner else f"{inner}[]"
    if kind == "object":
        if "properties" in schema:
            return "{ " + " ".join(each.strip() for each in _plain_fields(schema)) + " }"
        values = schema.get("additionalProperties")
        return f"Record<string, {type_of(values) if isinstance(values, dict) else 'unknown'}>"
    if kind == "null":
        return "null"
    return _PLAIN.get(str(kind), "unknown")


def _plain_fields(schema: JsonObject) -> Iterator[str]:
    required = schema.get("required", [])
    for name, field in schema["properties"].items():
        yield f"{name}{'' if name in required else '?'}: {type_of(field)};"

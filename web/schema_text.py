"""JSON Schemas of the API in short words, for the reference and its page."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FieldRow:
    """A field of an object."""

    name: str
    schema: JsonObject
    description: str
    is_required: bool


def schema_rows(schema: JsonObject) -> Iterator[FieldRow]:
    """Return the fields of an object, in order."""
    required = schema.get("required", [])
    for name, field in schema.get("properties", {}).items():
        yield FieldRow(name, field, field.get("description", ""), name in required)


def type_text(schema: JsonObject) -> str:
    """Return a type in the form of TypeScript: integer | null, Chunk[], "late" | "new"."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    for joiner in ("anyOf", "oneOf", "allOf"):
        if joiner in schema:
            return " | ".join(dict.fromkeys(type_text(each) for each in schema[joiner]))
    if "enum" in schema:
        return " | ".join(_value(each) for each in schema["enum"])
    if "const" in schema:
        return _value(schema["const"])
    kind = schema.get("type", "any")
    if kind == "array":
        if "prefixItems" in schema:
            return f"[{', '.join(type_text(each) for each in schema['prefixItems'])}]"
        inner = type_text(schema.get("items", {}))
        return f"({inner})[]" if " | " in inner else f"{inner}[]"
    if kind == "object":
        values = schema.get("additionalProperties")
        return f"{{[name]: {type_text(values)}}}" if isinstance(values, dict) else "object"
    if schema.get("format") == "date-time":
        return "date-time"
    return str(kind)


def constraints(schema: JsonObject) -> str:
    """Return unit, bounds and default in words; empty without any."""
    parts = []
    inner = schema
    if "anyOf" in schema:
        inner = next((each for each in schema["anyOf"] if each.get("type") != "null"), schema)
    if unit := inner.get("unit"):
        parts.append(str(unit))
    low, high = inner.get("minimum"), inner.get("maximum")
    if "anyOf" not in schema and low is not None and high is not None:
        parts.append(f"{low} to {high:,}")
    if (length := inner.get("maxLength")) is not None:
        parts.append(f"at most {length:,} characters")
    if schema.get("default") not in (None, [], ""):
        parts.append(f"default {_value(schema['default'])}")
    return ", ".join(parts)


def _value(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower()

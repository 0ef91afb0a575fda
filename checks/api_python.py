"""The Python client's types from the OpenAPI document, as TypedDicts: no cost at run time."""

import json
import re
from collections.abc import Iterator
from typing import Any

JsonObject = dict[str, Any]
_HEADER = '''"""Bodies of the API. Generated from web/schemas by `make docs`: change those.

Times are whole milliseconds since 1970, UTC. An answer may have more fields: ignore them.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict
'''
_PLAIN = {"integer": "int", "number": "float", "string": "str", "boolean": "bool", "null": "None"}


def python_types(document: JsonObject) -> str:
    """Return the module with one type for each schema."""
    schemas = document["components"]["schemas"]
    text = "\n".join([_HEADER, *("\n".join(_class(*each)) for each in schemas.items())])
    for name in ("Any", "Literal", "NotRequired"):
        if not re.search(rf"[\[ ]{name}[\[\]\n]", text):
            text = text.replace(f"{name}, ", "", 1)
    return text


def _class(name: str, schema: JsonObject) -> Iterator[str]:
    if schema.get("type") != "object" or "properties" not in schema:
        yield from ("", f"{name} = {type_of(schema)}", "")
        return
    required = schema.get("required", [])
    yield from ("", f"class {name}(TypedDict):")
    text = str(schema.get("description", name)).replace("\n", " ").replace('"""', "")
    yield f'    """{text}"""'
    yield ""
    for field, inner in schema["properties"].items():
        kind = type_of(inner)
        yield f"    {field}: {kind if field in required else f'NotRequired[{kind}]'}"
        if inner.get("description"):
            text = str(inner["description"]).replace("\n", " ").replace('"""', "")
            yield f'    """{text}"""'
    yield ""


def type_of(schema: JsonObject) -> str:
    """Return a schema as a type of Python."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    for joiner in ("anyOf", "oneOf"):
        if joiner in schema:
            return " | ".join(dict.fromkeys(type_of(each) for each in schema[joiner]))
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if values is not None:
        return f"Literal[{', '.join(json.dumps(each) for each in values)}]"
    kind = str(schema.get("type"))
    if kind == "array":
        # JSON has no tuples: what is decoded is a list.
        if "prefixItems" in schema:
            kinds = dict.fromkeys(type_of(each) for each in schema["prefixItems"])
            return f"list[{' | '.join(kinds)}]"
        return f"list[{type_of(schema.get('items', {}))}]"
    if kind == "object":
        inner = schema.get("additionalProperties")
        return f"dict[str, {type_of(inner) if isinstance(inner, dict) else 'Any'}]"
    return _PLAIN.get(kind, "Any")

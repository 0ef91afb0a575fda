"""The OpenAPI 3.1 document of the API, from the views: paths, access, operations, models.

views ──► operations_of, access_of ──► paths ─┐
models ──► pydantic's JSON Schema ────────────┼──► document ──► /api/v1/openapi.json
problem kinds, reference.md ──────────────────┘             └─► api.md, the dashboard's types
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from domain.access import PERMISSIONS, Permission
from domain.errors import ConfigError
from domain.identity import MAX_SEQ, RUN_PATTERN, SLUG
from stores.http_server import PROBLEM_TYPE
from web.access import PUBLIC, RouteAccess, access_of, access_table, canonical
from web.operations import MediaBody, Operation, Operations, operation_table
from web.problem_kinds import KINDS
from web.unsafe_requests import SAFE_METHODS

API_VERSION = "1.0.0"
"""Of the contract; see docs/reference/api-policy.md for what changes it."""
OPENAPI_PATH = "/api/v1/openapi.json"
TEXTS = Path(__file__).parent / "reference.md"
"""The introduction and the chapters' texts."""

KNOWN_TAG = "The `ETag` of the answer that the client has."
NOT_MODIFIED = "`If-None-Match` names this answer."

JsonObject = dict[str, Any]

_SCHEMAS = "#/components/schemas/"
_SLUG: JsonObject = {"type": "string", "pattern": f"^{SLUG}$", "maxLength": 63}
_HEX_ID: JsonObject = {"type": "string", "pattern": "^[0-9a-f]{16}$"}
PATH_PARAMETERS: Mapping[str, tuple[JsonObject, str]] = {
    "tenant": (_SLUG, "The customer."),
    "provider": (_SLUG, "Id of an OpenID provider in the configuration."),
    "site": (_SLUG, "The customer's premises."),
    "camera": (_SLUG, "The camera at the site."),
    "edge": (_SLUG, "The edge device at the site."),
    "command": ({"type": "string", "pattern": "^[0-9a-f]{32}$"}, "The command's id."),
    "device": (_SLUG, "The device at the site."),
    "run": ({"type": "string", "pattern": RUN_PATTERN}, "The run: a UUIDv7."),
    "seq": (
        {"type": "integer", "minimum": 0, "maximum": MAX_SEQ},
        "The fragment's place in its run, from 0.",
    ),
    "window_start_ms": (
        {"type": "integer", "minimum": 0, "maximum": 1 << 48},
        "Start of the chunk's window, UTC ms.",
    ),
    "digest": ({"type": "string", "pattern": "^[0-9a-f]{32}$"}, "The chunk's digest."),
    "number": (
        {"type": "integer", "minimum": 0, "maximum": (1 << 53) - 1},
        "The number of what is numbered.",
    ),
    "version": (
        {"type": "integer", "minimum": 1, "maximum": (1 << 31) - 1},
        "The version of the configuration.",
    ),
    "name": ({"type": "string", "maxLength": 100}, "The name of a kind of problem."),
    "session": (_HEX_ID, "The session's id."),
    "user": (_HEX_ID, "The user's id."),
    "group": (_HEX_ID, "The group's id."),
}
"""By name: what a part of a path may be."""

_TAGS: tuple[tuple[str, str], ...] = (
    (r"/(healthz|readyz|metrics)", "Probes and metrics"),
    (r"/api/v1/(openapi\.json|docs|problems).*", "This contract"),
    (r"/api/v1/session.*", "Sign in"),
    (r"/api/v1/(users|groups).*", "Users and groups"),
    (r".*/(playlist\.m3u8|thumbnail\.jpg|filmstrip\.jpg|\{seq\}\.ts|\{digest\}\.ts)", "Playback"),
    (r".*/(timeline|chunks|detections)", "Timeline, chunks and detections"),
    (r"/api/v1/cameras.*", "Cameras"),
    (r"/api/v1/edges.*|.*/config", "Edge devices"),
)
_ON = {
    "camera": "on the camera",
    "site": "on the site",
    "known-site": "on the site",
    "tenant": "on the tenant",
    "installation": "on the whole installation (`*`)",
    "list": "on any scope; the list shows what is below",
}
_COMMON_PROBLEMS: Mapping[int, str] = {
    400: "The request is wrong; `detail` says what.",
    401: "No valid key or session.",
    403: "A permission is missing, or the key is not for this address.",
    404: "It does not exist, or your grants do not cover it.",
    408: "The body did not arrive within 15 s.",
    409: "A request with this `Idempotency-Key` is in progress, or its answer is not kept.",
    412: "It was changed since you read it.",
    415: "The body is not JSON.",
    422: "This `Idempotency-Key` was used for another request.",
    428: "An edit needs `If-Match`.",
    429: "Too many requests; wait as long as `Retry-After` says.",
    503: "The catalog or the object store does not answer, or too many requests of this address "
    "are in progress. Try again.",
}


class _WithoutTitles(GenerateJsonSchema):
    """pydantic's schemas, without a title made of each field's name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


@dataclass(frozen=True)
class ApiDocument:
    """The document of some views. Made once, when it is first asked for."""

    views: tuple[type[Any], ...]

    @cached_property
    def fields(self) -> JsonObject:
        """The document; raises ConfigError where a view does not declare what it needs."""
        return make_document(self.views)

    @cached_property
    def body(self) -> bytes:
        """The document as JSON."""
        return document_text(self.fields).encode()


def document_text(document: JsonObject) -> str:
    """Return the document as JSON, the same for the same code."""
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def make_document(views: Iterable[type[Any]]) -> JsonObject:
    """Return the OpenAPI document of views; raise ConfigError."""
    found = tuple(views)
    operations = operation_table(found)
    access = access_table(found)
    schemas = _schemas(operations.values())
    paths: JsonObject = {}
    names_of_views = {view.view_path: view.__name__.removesuffix("View") for view in found}
    for view_path, by_method in operations.items():
        pattern = canonical(view_path)
        thing = re.sub(r"(?<!^)(?=[A-Z])", "_", names_of_views[view_path]).lower()
        names = re.findall(r"\{(\w+)\}", pattern)
        item: JsonObject = {}
        if names:
            item["parameters"] = [_path_parameter(name, view_path) for name in names]
        for method, operation in by_method.items():
            allowed = access_of(access, pattern, method.upper())
            item[method] = _Described(pattern, thing, method, operation, allowed).fields()
        paths[pattern] = item
    introduction, chapters = read_texts()
    tags = dict.fromkeys(
        each["tags"][0]
        for item in paths.values()
        for method, each in item.items()
        if method != "parameters"
    )
    order = [
        *(tag for tag in chapters if tag in tags),
        *(tag for tag in tags if tag not in chapters),
    ]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Vigil API",
            "version": API_VERSION,
            "description": introduction,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "This server."}],
        "security": [{"key": []}, {"session": []}],
        "tags": [
            {"name": tag} | ({"description": chapters[tag]} if chapters.get(tag) else {})
            for tag in order
        ],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key: `Authorization: Bearer KEY`.",
                },
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "__Host-vigil_session",
                    "description": "The cookie of a sign-in; over plain HTTP it is named "
                    "`vigil_session`.",
                },
            },
        },
    }


def read_texts() -> tuple[str, dict[str, str]]:
    """Return the introduction, and the text of each chapter by its tag, in order."""
    text = TEXTS.read_text(encoding="utf-8")
    introduction, *rest = re.split(r"^## ", text, flags=re.M)
    chapters = {}
    for chapter in rest:
        tag, _, body = chapter.partition("\n")
        chapters[tag.strip()] = body.strip()
    return re.sub(r"^# .*\n", "", introduction).strip(), chapters


def _path_parameter(name: str, view_path: str) -> JsonObject:
    if name not in PATH_PARAMETERS:
        raise ConfigError(
            f"The path {view_path} has an unknown parameter {name}. Describe it in "
            "web/openapi.py, PATH_PARAMETERS."
        )
    schema, description = PATH_PARAMETERS[name]
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": dict(schema),
    }


@dataclass(frozen=True, slots=True)
class _Described:
    """One operation, with all that its description follows from."""

    pattern: str
    thing: str
    method: str
    operation: Operation
    access: RouteAccess

    def fields(self) -> JsonObject:
        operation = self.operation
        fields: JsonObject = {
            "operationId": f"{self.method}_{self.thing}",
            "summary": operation.summary,
            "tags": [operation.tag or _tag(self.pattern)],
        }
        old = operation.deprecated
        texts = (old.text() if old else "", operation.description, self._access_text())
        if text := "\n\n".join(filter(None, texts)):
            fields["description"] = text
        if old:
            fields["deprecated"] = True
            fields["x-sunset"] = old.sunset.isoformat()
        if parameters := [*self._query(), *self._headers()]:
            fields["parameters"] = parameters
        if operation.body is not None:
            fields["requestBody"] = {
                "required": True,
                "content": {"application/json": {"schema": _ref(operation.body)}},
            }
        fields["responses"] = self._responses()
        if self.access == PUBLIC:
            fields["security"] = []
        if self.access.permission is not None:
            fields["x-permission"] = str(self.access.permission)
            fields["x-permission-on"] = self.access.on
        return fields

    def _access_text(self) -> str:
        permission = self.access.permission
        if permission is None:
            return "" if self.access == PUBLIC else "For everyone who is signed in."
        return f"Needs the permission `{permission}` {_ON[self.access.on]} ({_roles(permission)})."

    def _query(self) -> Iterator[JsonObject]:
        model = self.operation.query
        if model is None:
            return
        schema = model.model_json_schema(by_alias=True, schema_generator=_WithoutTitles)
        required = schema.get("required", [])
        fields = schema.get("properties", {})
        for name in sorted(fields, key=lambda each: each not in required):
            field = fields[name]
            description = field.pop("description", None)
            parameter: JsonObject = {"name": name, "in": "query"}
            if description:
                parameter["description"] = description
            if name in required:
                parameter["required"] = True
            yield parameter | {"schema": _without_null(field)}

    def _headers(self) -> Iterator[JsonObject]:
        headers = dict(self.operation.headers)
        if self._has_etag():
            headers.setdefault("If-None-Match", KNOWN_TAG)
        if self._is_creation():
            headers["Idempotency-Key"] = (
                "1 to 255 visible characters, such as a UUID: the request is carried out once."
            )
        for name, description in headers.items():
            yield {
                "name": name,
                "in": "header",
                "description": description,
                "schema": {"type": "string"},
            }

    def _has_etag(self) -> bool:
        answer = self.operation.answer
        is_json = isinstance(answer, type) or (
            isinstance(answer, MediaBody) and answer.media_type == "application/json"
        )
        return self.method == "get" and is_json and self.pattern.startswith("/api/")

    def _is_creation(self) -> bool:
        return self.method == "post" and self.access != PUBLIC

    def _responses(self) -> JsonObject:
        operation = self.operation
        found: dict[int, JsonObject] = {
            operation.success: _answer(operation.success, operation.answer)
        }
        headers = dict(operation.answer_headers)
        others = dict(operation.others)
        if self._has_etag():
            headers.setdefault("ETag", "Names this answer.")
            others.setdefault(304, NOT_MODIFIED)
        if headers:
            found[operation.success]["headers"] = {
                name: {"description": description, "schema": {"type": "string"}}
                for name, description in headers.items()
            }
        for status, body in others.items():
            found[status] = (
                {"description": body} if isinstance(body, str) else _answer(status, body)
            )
        for status, description in self._problems():
            found.setdefault(status, {"description": description})
            found[status].setdefault("content", {})[PROBLEM_TYPE] = {
                "schema": {"$ref": "#/components/schemas/Problem"}
            }
        return {str(status): found[status] for status in sorted(found)}

    def _problems(self) -> Iterator[tuple[int, str]]:
        statuses = {400, 503}
        is_unsafe = self.method.upper() not in SAFE_METHODS
        if self.access != PUBLIC:
            statuses |= {401, 403}
        if is_unsafe:
            statuses |= {403, 415}
        if "{" in self.pattern or (is_unsafe and self.access.permission is not None):
            statuses.add(404)  # its path or its body names something
        if self.operation.body is not None:
            statuses.add(408)
        if self._is_creation():
            statuses |= {408, 409, 422, 429}
        if is_unsafe and "If-Match" in self.operation.headers:
            statuses |= {412, 428}
        texts = {status: _COMMON_PROBLEMS[status] for status in statuses}
        yield from (texts | dict(self.operation.problems)).items()


def _answer(status: int, body: type[BaseModel] | MediaBody | None) -> JsonObject:
    if body is None:
        return {"description": HTTPStatus(status).phrase}
    if isinstance(body, MediaBody):
        content: JsonObject = {"schema": {"type": "string"}} if body.is_text else {}
        if body.models:
            content["x-items"] = [_ref(model) for model in body.models]
        return {"description": body.description, "content": {body.media_type: content}}
    return {
        "description": (body.__doc__ or "").strip().splitlines()[0],
        "content": {"application/json": {"schema": _ref(body)}},
    }


def _schemas(operations: Iterable[Operations]) -> JsonObject:
    """Return the schemas of all bodies, by name."""
    models: dict[tuple[type[BaseModel], str], None] = {}
    for each in (operation for by_method in operations for operation in by_method.values()):
        if each.body is not None:
            models[each.body, "validation"] = None
        for answer in (each.answer, *each.others.values()):
            if isinstance(answer, MediaBody):
                models |= dict.fromkeys((model, "serialization") for model in answer.models)
            elif isinstance(answer, type):
                models[answer, "serialization"] = None
    _, schema = models_json_schema(
        list(models),  # type: ignore[arg-type]
        by_alias=True,
        ref_template=f"{_SCHEMAS}{{model}}",
        schema_generator=_WithoutTitles,
    )
    found = {"Problem": PROBLEM_SCHEMA}
    for name, each in schema.get("$defs", {}).items():
        each.pop("title", None)
        if public_name(name) in found:
            raise ConfigError(f"Two models of the API are named {public_name(name)}: rename one.")
        found[public_name(name)] = _renamed(each)
    return dict(sorted(found.items()))


PROBLEM_SCHEMA: JsonObject = {
    "type": "object",
    "description": "Why a request was not carried out (RFC 9457). Some kinds have more fields.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {
            "type": "string",
            "format": "uri-reference",
            "description": "The kind: a path of this server with its text, or `about:blank` where "
            "the status says all.",
            "examples": [kind.uri for kind in KINDS[:3]],
        },
        "title": {"type": "string", "description": "The name of the kind."},
        "status": {
            "type": "integer",
            "minimum": 400,
            "maximum": 599,
            "description": "The HTTP status.",
        },
        "detail": {"type": "string", "description": "What is wrong, for people."},
        "request_id": {
            "type": "string",
            "description": "Id of the request, also in `X-Request-Id`. Name it to who operates the "
            "server: its log and the audit log have it. Absent where the request cannot be read.",
        },
        "errors": {
            "type": "array",
            "description": "The wrong fields of a body.",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {
                    "pointer": {
                        "type": "string",
                        "description": "JSON pointer of the field, such as `#/name`.",
                    },
                    "detail": {"type": "string"},
                },
            },
        },
    },
}


def public_name(model: str) -> str:
    """Return the name of a model's schema: that of its class, without `Item`."""
    return model.removesuffix("Item")


def _ref(model: type[BaseModel]) -> JsonObject:
    return {"$ref": f"{_SCHEMAS}{public_name(model.__name__)}"}


def _renamed(schema: Any) -> Any:
    """Return a schema in which all references have public names."""
    if isinstance(schema, dict):
        return {
            key: public_name(value) if key == "$ref" else _renamed(value)
            for key, value in schema.items()
        }
    return [_renamed(each) for each in schema] if isinstance(schema, list) else schema


def _without_null(schema: JsonObject) -> JsonObject:
    """Return the schema of a parameter: an absent one is not a null."""
    if "anyOf" in schema:
        kinds = [each for each in schema["anyOf"] if each != {"type": "null"}]
        rest = {name: value for name, value in schema.items() if name != "anyOf"}
        schema = rest | (kinds[0] if len(kinds) == 1 else {"anyOf": kinds})
    if schema.get("default", ...) is None:
        del schema["default"]
    if isinstance(schema.get("default"), bool) and schema.get("type") == "integer":
        schema["default"] = int(schema["default"])
    return schema


def _roles(permission: Permission) -> str:
    roles = [role for role, allowed in PERMISSIONS.items() if permission in allowed]
    return f"roles: {', '.join(roles)}"


def _tag(pattern: str) -> str:
    for form, tag in _TAGS:
        if re.fullmatch(form, pattern):
            return tag
    first = pattern.removeprefix("/api/v1/").partition("/")[0]
    return first.replace("-", " ").capitalize()

"""The OpenAPI document: valid, complete, and true to the routes' access."""

import json

import pytest
from faust.web import View
from openapi_spec_validator import OpenAPIV31SpecValidator

from domain.errors import ConfigError
from web.access import PUBLIC, RouteAccess
from web.openapi import ApiDocument, document_text, make_document
from web.operations import Operation, describe
from web.problem_kinds import KINDS
from web.reference_page import reference_page
from web.views import VIEWS


def operations(document):
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                yield path, method, operation


def test_it_is_valid_openapi_3_1() -> None:
    document = make_document(VIEWS)
    assert document["openapi"].startswith("3.1.")
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []
    assert json.loads(document_text(document)) == document


def test_each_operation_says_who_may_call_it_and_how_it_fails() -> None:
    document = make_document(VIEWS)
    views = {view.view_path: view for view in VIEWS}
    names = set()
    for path, method, operation in operations(document):
        names.add(operation["operationId"])
        access = views[path].access
        if not isinstance(access, RouteAccess):
            access = access.get(method.upper())
        where = (path, method)
        if access == PUBLIC:
            assert operation["security"] == [], where
            continue
        assert "security" not in operation, where  # that of the document: key or session
        assert {"400", "401", "403", "503"} <= set(operation["responses"]), where
        if access is not None and access.permission is not None:
            assert operation["x-permission"] == access.permission, where
            assert f"`{access.permission}`" in operation["description"], where
    assert len(names) == len(list(operations(document)))


def test_every_field_and_parameter_is_described() -> None:
    document = make_document(VIEWS)
    missing = [
        f"{path} {parameter['name']}"
        for path, _, operation in operations(document)
        for parameter in operation.get("parameters", [])
        if not parameter.get("description")
    ]
    assert missing == []
    undocumented = [
        name
        for name, schema in document["components"]["schemas"].items()
        if not schema.get("description")
    ]
    assert undocumented == []
    unnamed = [
        f"{name}.{field}"
        for name, schema in document["components"]["schemas"].items()
        for field, inner in schema.get("properties", {}).items()
        if not inner.get("description") and "$ref" not in (inner | inner.get("items", {}))
    ]
    assert unnamed == []


BOUNDED = {
    *("get_chunks", "get_timeline"),  # by the longest range
    "get_signed_edge_config",  # by the largest configuration
    "get_cost",  # services of AWS
    "get_status",  # the hundred worst sites
    *("get_camera", "get_key", "get_session", "get_sessions", "get_oidc_providers"),  # one's own
}
"""Lists that cannot grow beyond a range, a thing or a person."""


def test_lists_that_can_grow_are_sent_page_by_page() -> None:
    document = make_document(VIEWS)
    schemas = document["components"]["schemas"]
    whole = set()
    for _, method, operation in operations(document):
        content = operation["responses"].get("200", {}).get("content", {})
        name = content.get("application/json", {}).get("schema", {}).get("$ref", "")
        fields = schemas.get(name.rpartition("/")[2], {}).get("properties", {})
        has_list = any("$ref" in field.get("items", {}) for field in fields.values())
        if method != "get" or not has_list:
            continue
        given = {parameter["name"] for parameter in operation["parameters"]}
        if not ({"limit", "cursor"} <= given and "next" in fields):
            whole.add(operation["operationId"])
    assert whole - BOUNDED == set()


def test_a_path_with_an_unknown_part_is_found() -> None:
    class StrangeView(View):
        view_path = "/api/v1/strange/{thing}"
        access = PUBLIC
        operations = describe(get=Operation("Get it"))

        async def get(self, request) -> None: ...

    with pytest.raises(ConfigError, match="unknown parameter thing"):
        make_document([*VIEWS, StrangeView])


def test_each_kind_of_problem_has_a_name_of_its_own() -> None:
    assert len({kind.name for kind in KINDS}) == len(KINDS)
    assert all(kind.title and kind.remedy.endswith(".") for kind in KINDS)


def test_the_page_shows_every_operation_and_escapes_texts() -> None:
    class EvilView(View):
        view_path = "/api/v1/evil"
        access = PUBLIC
        operations = describe(
            get=Operation("Get <script>alert(1)</script>", description="<img src=x onerror=y>")
        )

        async def get(self, request) -> None: ...

    document = ApiDocument((*VIEWS, EvilView))
    page = reference_page(document)
    for _, _, operation in operations(document.fields):
        assert f'<article id="{operation["operationId"]}">' in page
    assert "<script>" not in page
    assert "<img" not in page
    assert "style=" not in page

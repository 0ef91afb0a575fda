"""An operation that will be removed says so in each response, and in the document."""

from datetime import date

import pytest
from aiohttp import web as aiohttp_web
from aiohttp.test_utils import TestClient, TestServer
from faust.web import View

from domain.errors import ConfigError
from web.access import PUBLIC
from web.deprecation import Deprecation, deprecation_headers, deprecation_table
from web.openapi import make_document
from web.operations import Operation, describe, operations_of
from web.views import VIEWS

OLD = Deprecation(date(2026, 1, 1), date(2027, 1, 1), "Use `/api/v1/new`.")


class OldView(View):
    view_path = "/api/v1/old"
    access = PUBLIC
    operations = describe(get=Operation("Get it", deprecated=OLD), post=Operation("Make it"))

    async def get(self, request) -> None: ...

    async def post(self, request) -> None: ...


async def test_its_responses_have_the_headers() -> None:
    async def answer(_request: aiohttp_web.Request) -> aiohttp_web.Response:
        return aiohttp_web.Response()

    app = aiohttp_web.Application()
    app.router.add_route("*", OldView.view_path, answer)
    table = deprecation_table([(OldView.view_path, operations_of(OldView))])
    app.on_response_prepare.append(deprecation_headers(table))
    async with TestClient(TestServer(app)) as client:
        for method in ("GET", "HEAD"):
            headers = (await client.request(method, OldView.view_path)).headers
            assert headers["Deprecation"] == "@1767225600"
            assert headers["Sunset"] == "Fri, 01 Jan 2027 00:00:00 GMT"
            assert headers["Link"] == '</api/v1/docs>; rel="deprecation"; type="text/html"'
        assert "Deprecation" not in (await client.post(OldView.view_path)).headers


def test_the_document_marks_it() -> None:
    item = make_document([*VIEWS, OldView])["paths"][OldView.view_path]
    assert item["get"]["deprecated"] is True
    assert item["get"]["x-sunset"] == "2027-01-01"
    assert "Use `/api/v1/new`." in item["get"]["description"]
    assert "deprecated" not in item["post"]


def test_a_notice_of_less_than_a_year_does_not_start() -> None:
    with pytest.raises(ConfigError, match="365 days"):
        Deprecation(date(2026, 1, 1), date(2026, 12, 31), "")

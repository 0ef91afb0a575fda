"""A request's id is the same in its answer, its problem, its log line and the audit log."""

import json
import logging
from collections.abc import AsyncIterator

import pytest

from domain.access import Grant, Role
from stores.catalog.audit_log import FOREVER_MS, NEWEST, AuditFilter, find_entries
from stores.catalog.keys import create_key
from streams import logs
from tests.integration.catalog_support import CAMERA, T0
from tests.integration.web_support import BASE, Web, running_web

TRACE = "0af7651916cd43dd8448eb211c80319c"
UUID = "018f3e6a-1b2c-7d3e-8f4a-5b6c7d8e9f0a"


@pytest.fixture
async def web(services) -> AsyncIterator[Web]:
    async with running_web(services) as running:
        yield running


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, str]]:
    """Return the lines of the log, as they are written."""
    found: list[dict[str, str]] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(json.loads(self.format(record)))

    handler = Lines()
    handler.setFormatter(logs.LineFormatter("json"))
    log = logging.getLogger("web.access")
    log.addHandler(handler)
    caplog.set_level(logging.INFO, "web.access")
    yield found
    log.removeHandler(handler)


async def test_one_id_is_everywhere(web: Web, lines: list[dict[str, str]]) -> None:
    key = await create_key(web.catalog, "Ann", T0, grants=[Grant(Role.ADMIN, "*")])
    headers = {"X-Request-Id": UUID, "Authorization": f"Bearer {key}", "If-Match": "*"}
    answer = await web.client.patch(BASE, json={"name": "North gate"}, headers=headers)
    assert answer.status == 200, await answer.text()
    assert answer.headers["X-Request-Id"] == UUID
    [line] = [each for each in lines if each["msg"].startswith("PATCH")]
    assert line["request"] == UUID
    wanted = AuditFilter(0, FOREVER_MS, None, "camera:update", CAMERA, None, None)
    [entry] = await find_entries(web.catalog, ("*",), wanted, before=NEWEST, limit=5)
    assert entry.shown()["request"] == UUID

    missing = await web.client.get(
        "/api/v1/cameras/acme/hq/nothing",
        headers={"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"},
    )
    assert missing.status == 404
    assert (await missing.json())["request_id"] == missing.headers["X-Request-Id"] == TRACE


async def test_without_a_valid_one_each_request_gets_its_own(web: Web) -> None:
    ids = set()
    for headers in ({}, {"X-Request-Id": "a b"}, {"traceparent": f"00-{'0' * 32}-{'1' * 16}-01"}):
        for path in ("/healthz", "/api/v1/cameras", "/api/v1/nothing", "/"):
            answer = await web.stranger.get(path, headers=headers)
            ids.add(answer.headers["X-Request-Id"])
    assert len(ids) == 12
    assert all(len(each) == 32 and int(each, 16) for each in ids)


async def test_the_header_of_a_stranger_is_ignored(services) -> None:
    async with running_web(services, VIGIL_TRUSTED_PROXIES="192.0.2.0/24") as web:
        answer = await web.stranger.get("/healthz", headers={"X-Request-Id": UUID})
    assert answer.headers["X-Request-Id"] != UUID

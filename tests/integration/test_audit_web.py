"""What the web writes to the audit log: reads to the minute, and refusals; who reads it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from domain.access import Grant, Role
from domain.audit_verify import verify_export
from stores.catalog import add_camera
from stores.catalog.audit_log import AuditFilter, find_entries
from stores.catalog.keys import create_key
from tests.conftest import Services
from tests.integration.catalog_support import CAMERA, T0
from tests.integration.web_support import BASE, Web, running_web

HOUR_MS = 3_600_000
RANGE = f"from={T0}&to={T0 + 60_000}"


@pytest_asyncio.fixture
async def web(services: Services) -> AsyncIterator[Web]:
    async with running_web(services) as running:
        await add_camera(running.catalog, "globex/plant/door", "Door", T0)
        yield running


async def entries(web: Web, **wanted: str) -> list[dict[str, Any]]:
    """Return the entries of reads, refusals and sign-ins, oldest first."""
    await web.services.audit_reads.close()  # writes what waits
    found = await find_entries(web.catalog, ["*"], AuditFilter(**wanted))  # type: ignore[arg-type]
    shown = [each.shown() for each in reversed(found)]
    return [each for each in shown if each["actor"] != "system"]


async def headers_of(web: Web, *grants: Grant) -> dict[str, str]:
    return {"Authorization": f"Bearer {await create_key(web.catalog, 'Bob', T0, None, grants)}"}


async def test_watching_is_one_entry_a_minute_and_hour_of_footage(web: Web) -> None:
    for _ in range(3):
        assert (await web.client.get(f"{BASE}/timeline?{RANGE}")).status == 200
    late = T0 - 2 * HOUR_MS
    assert (await web.client.get(f"{BASE}/timeline?from={late}&to={late + 1}")).status == 200
    web.set_now(T0 + 130_000)
    assert (await web.client.get(f"{BASE}/timeline?{RANGE}")).status == 200
    found = await entries(web)
    assert [(each["action"], each["resource"], each["chain"]) for each in found] == [
        ("footage:read", CAMERA, "acme")
    ] * 3
    hour = T0 - T0 % HOUR_MS
    assert [each["after"]["from"] for each in found] == [hour, hour - 2 * HOUR_MS, hour]
    assert found[0]["actor"] == "key:1"
    assert found[0]["personal"]["key:1"]["name"] == "Ann"
    assert found[0]["personal"]["key:1"]["address"] == "127.0.0.1"
    assert found[0]["request"]


async def test_a_search_says_what_was_searched(web: Web) -> None:
    for label in ("person", "person", "car"):
        status = (await web.client.get(f"{BASE}/detections?{RANGE}&label={label}")).status
        assert status == 200
    assert (await web.client.get(f"{BASE}/detections?from=x")).status == 400  # nothing was sent
    found = await entries(web)
    assert [each["after"]["label"] for each in found] == [["person"], ["car"]]
    assert {each["action"] for each in found} == {"detections:read"}


async def test_refusals_are_entries_that_strangers_cannot_put_into_a_tenants_log(web: Web) -> None:
    sent = await headers_of(web, Grant(Role.MONITOR, "acme"), Grant(Role.VIEWER, "acme/lab"))
    for _ in range(2):
        assert (await web.stranger.get(f"{BASE}/timeline?{RANGE}", headers=sent)).status == 403
    foreign = "/api/v1/cameras/globex/plant/door/timeline"
    assert (await web.stranger.get(f"{foreign}?{RANGE}", headers=sent)).status == 404
    wrong = {"Authorization": "Bearer vigil_wrong"}
    assert (await web.stranger.get(f"{BASE}?x=1", headers=wrong)).status == 401
    assert (await web.stranger.get(BASE)).status == 401  # no attempt: it sends nothing
    found = await entries(web)
    assert [
        (each["chain"], each["action"], each["resource"], each["outcome"], each["after"]["status"])
        for each in sorted(found, key=lambda each: each["after"]["status"])
    ] == [
        ("*", "key:use", "*", "refused", 401),
        ("acme", "footage:read", CAMERA, "refused", 403),
        ("*", "footage:read", "globex/plant/door", "refused", 404),
    ]
    stranger = next(each for each in found if each["action"] == "key:use")
    assert stranger["actor"] == "anonymous"
    assert list(stranger["personal"]) == ["anonymous:2026-11"]


async def test_two_workers_write_one_entry(web: Web) -> None:
    from web.audit_reads import AuditReads

    other = AuditReads(web.services.catalog, web.services.clock_ms)
    assert (await web.client.get(f"{BASE}/timeline?{RANGE}")).status == 200
    await web.services.audit_reads.close()
    first, web.services.audit_reads = web.services.audit_reads, other
    assert (await web.client.get(f"{BASE}/timeline?{RANGE}")).status == 200
    assert len(await entries(web)) == 1
    assert first is not other


async def test_details_of_one_actor_are_bounded(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.audit_reads.MAX_PER_MINUTE", 3)
    for number in range(10):
        await web.client.get(f"{BASE}/detections?{RANGE}&label=l{number}")
    found = await entries(web)
    assert [each["after"] for each in found[3:]] == [{"more": True}]


async def test_without_postgresql_reads_wait_and_are_bounded(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.audit_reads.MAX_WAITING", 2)
    for number in range(5):
        await web.client.get(f"{BASE}/detections?{RANGE}&label=l{number}")
    assert len(web.services.audit_reads._waiting) <= 2
    assert len(await entries(web)) <= 2


async def test_auditors_read_their_own_tenants_page_by_page(web: Web) -> None:
    for camera in (CAMERA, "acme/lab/door", "globex/plant/door"):
        await add_camera(web.catalog, camera, "New", T0)
    auditor = await headers_of(web, Grant(Role.AUDITOR, "acme"))
    of_site = await headers_of(web, Grant(Role.AUDITOR, "acme/lab"))
    viewer = await headers_of(web, Grant(Role.VIEWER, "acme"))
    everywhere = await headers_of(web, Grant(Role.AUDITOR, "*"))

    async def page(sent: dict[str, str], query: str = "") -> dict[str, Any]:
        answer = await web.stranger.get(f"/api/v1/audit?{query}", headers=sent)
        assert answer.status == 200, await answer.text()
        body: dict[str, Any] = await answer.json()
        return body

    whole = await page(auditor, "limit=1000")
    assert whole["next"] is None
    assert {each["chain"] for each in whole["entries"]} == {"acme"}
    assert {each["chain"] for each in (await page(everywhere))["entries"]} == {
        "*",
        "acme",
        "globex",
    }
    assert [each["resource"] for each in (await page(of_site))["entries"]] == ["acme/lab/door"]
    assert (await page(auditor, "tenant=globex"))["entries"] == []
    assert (await page(auditor, "resource=acme/lab"))["entries"][0]["resource"] == "acme/lab/door"
    assert (await page(auditor, "action=camera&outcome=refused"))["entries"] == []
    assert (await web.stranger.get("/api/v1/audit", headers=viewer)).status == 403
    assert (await web.stranger.get("/api/v1/audit?actor=a%20b", headers=auditor)).status == 400

    seen, cursor = [], ""
    while cursor is not None:
        got = await page(auditor, f"limit=2{cursor and '&cursor=' + cursor}")
        seen += [each["seq"] for each in got["entries"]]
        cursor = got["next"]
    assert seen == [each["seq"] for each in whole["entries"]]


async def test_an_auditor_exports_a_chain_that_verifies(web: Web) -> None:
    await add_camera(web.catalog, CAMERA, "New", T0)
    auditor = await headers_of(web, Grant(Role.AUDITOR, "acme"))
    of_site = await headers_of(web, Grant(Role.AUDITOR, "acme/hq"))
    answer = await web.stranger.get("/api/v1/audit/export?tenant=acme", headers=auditor)
    assert (answer.status, answer.content_type) == (200, "application/x-ndjson")
    report = verify_export((await answer.text()).splitlines(), [])
    assert (report.findings, report.chain, report.first_seq) == ((), "acme", 1)
    assert report.last_seq >= 3
    for sent, tenant in ((of_site, "acme"), (auditor, "globex"), (auditor, "*")):
        refused = await web.stranger.get(f"/api/v1/audit/export?tenant={tenant}", headers=sent)
        assert refused.status == 404
    wrong = await web.stranger.get("/api/v1/audit/export?tenant=A", headers=auditor)
    assert wrong.status == 400
    read = [each for each in await entries(web) if each["action"] == "audit:read"]
    assert [each["resource"] for each in read] == ["acme"]

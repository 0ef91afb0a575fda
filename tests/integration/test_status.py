"""The state of the installation: over the API, and on its page in Chromium."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web as http
from aiohttp.test_utils import TestServer
from playwright.async_api import Page, expect

from domain.access import Grant, Role
from domain.events import Heartbeat
from domain.retention import DAY_MS
from stores.catalog import index_chunks, index_fragments, index_heartbeats
from stores.catalog.keys import create_key
from tests.chromium import CHROMIUM
from tests.integration.admin_page import admin_page
from tests.integration.catalog_support import T0, chunk, fragment, run_id
from tests.integration.web_support import Web, running_web
from web.status import QUERIES

PATH = "/api/v1/status"
NOW_S = T0 / 1_000


def answers() -> Iterator[tuple[str, list[tuple[dict[str, str], float]]]]:
    """Yield what Prometheus says of an installation in an upgrade, whose healer is down."""
    jobs = {"relay": 2, "assemble": 3, "join": 2, "index": 2, "web": 2, "link": 2, "retention": 1}
    pods = [(f"vigil-{job}", f"{job}-{at}") for job, count in jobs.items() for at in range(count)]
    yield "up", [({"job": job, "instance": pod}, 1) for job, pod in pods]
    yield (
        "ready",
        [({"job": j, "instance": p}, p != "assemble-2") for j, p in pods if "web" not in j],
    )
    versions = [
        ({"job": j, "version": "1.4.1" if p.endswith("0") else "1.4.0"}, 1) for j, p in pods
    ]
    yield "build", versions
    yield "seen", [({"job": "vigil-heal"}, NOW_S - 900)]
    yield "lag", [({"job": "vigil-assemble"}, 0.4), ({"job": "vigil-index"}, 3.2)]
    yield "left", [({"job": "vigil-index"}, 1240)]
    yield (
        "queues",
        [
            ({"queue": "events", "state": "visible"}, 17),
            ({"queue": "events", "state": "in-flight"}, 4),
            ({"queue": "dead-letter", "state": "visible"}, 2),
        ],
    )
    yield "deleted", [({}, 5_000_000.4)]
    yield "calls", [({"system": s}, c) for s, c in (("s3", 41.5), ("sqs", 12), ("postgresql", 210))]
    yield "failed", [({"system": "s3"}, 3.3)]
    yield (
        "p95",
        [({"system": "s3"}, 0.21), ({"system": "sqs"}, 0.02), ({"system": "postgresql"}, 0.004)],
    )
    levels = (
        ("footage-arrives", "Footage arrives", 0.995, 0.0061, -0.22, "acme/hq"),
        ("edge-online", "Edge devices are online", 0.995, 0.004, 0.2, "acme/hq"),
        ("playable-latency", "Footage is playable", 0.99, 0.0011, 0.89, None),
        ("api-availability", "The API answers", 0.999, 0.0002, 0.8, None),
    )
    sites = {each[0]: {"site": each[5]} if each[5] else {} for each in levels}
    yield "objective", [({"slo": n, "title": t}, o) for n, t, o, *_ in levels]
    yield "error", [({"slo": n, **sites[n]}, e) for n, _, _, e, *_ in levels]
    yield "budget", [({"slo": n, **sites[n]}, b) for n, _, _, _, b, _ in levels]
    firing = (("VigilDown", "page", 1), ("VigilSloFootageArrives", "ticket", 1))
    yield "alerts", [({"alertname": n, "severity": s}, c) for n, s, c in firing]
    yield "signed", [({}, NOW_S - 40)]


@asynccontextmanager
async def prometheus() -> AsyncIterator[TestServer]:
    known = {QUERIES[name]: found for name, found in answers()}
    assert known.keys() == set(QUERIES.values())

    async def query(request: http.Request) -> http.Response:
        result: list[Any] = [
            {"metric": labels, "value": [NOW_S, str(float(value))]}
            for labels, value in known[request.query["query"]]
        ]
        return http.json_response({"status": "success", "data": {"result": result}})

    application = http.Application()
    application.router.add_get("/api/v1/query", query)
    async with TestServer(application) as server:
        yield server


@pytest.fixture
async def web(services) -> AsyncIterator[Web]:
    async with (
        prometheus() as server,
        running_web(services, VIGIL_PROMETHEUS_URL=str(server.make_url("/"))) as running,
    ):
        now_ms = T0 + 60_000
        await index_fragments(running.catalog, [fragment(run_id(), 0)], T0)
        beat = {"site": "acme/hq", "spool_bytes": 0, "spool_waiting": 0, "disk_free_bytes": 1}
        beats = [Heartbeat(edge=name, sent_ms=now_ms, **beat) for name in ("edge-1", "edge-2")]
        await index_heartbeats(running.catalog, beats[:1], now_ms)
        await index_heartbeats(running.catalog, beats[1:], now_ms - 600_000)
        yield running


async def test_an_administrator_sees_the_installation(web: Web) -> None:
    web.set_now(T0 + 600_000)
    status = await (await web.client.get(PATH)).json()
    assert status["metrics"] == "good"
    programs = {each["program"]: each for each in status["programs"]}
    assert programs["heal"]["state"] == "down"
    assert programs["heal"]["seen_ms"] == T0 - 900_000
    assert programs["assemble"]["state"] == "degraded"
    assert programs["relay"]["versions"] == ["1.4.0", "1.4.1"]
    assert {each["store"]: each["state"] for each in status["stores"]} == {
        "postgresql": "good", "kafka": "good", "s3": "degraded", "sqs": "good",
    }  # fmt: skip
    assert status["site_count"] == 1
    [site] = status["sites"]
    assert (site["cameras"], site["cameras_sending"]) == (1, 0), "it sent nothing for 10 minutes"
    assert site["edges"] == 2
    assert programs["index"]["lag_messages"] == 1240
    assert status["queues"] == [
        {"queue": "events", "visible": 17, "in_flight": 4},
        {"queue": "dead-letter", "visible": 2, "in_flight": None},
    ]
    assert status["alerts"][0]["name"] == "VigilDown"
    assert status["audit_signed_ms"] == T0 - 40_000


async def test_footage_is_counted_by_site_and_day(web: Web) -> None:
    empty = await (await web.client.get(PATH)).json()
    assert (empty["storage"]["size_bytes"], empty["storage"]["sites"]) == (0, [])
    today = T0 - T0 % DAY_MS
    parts = [fragment(run_id(), seq, start_ms=today - DAY_MS + 4_000 * seq) for seq in range(15)]
    stored = chunk(parts)
    await index_chunks(web.catalog, [stored], T0)
    same = await (await web.client.get(PATH)).json()
    assert same["storage"] == empty["storage"], "it is read once a minute"
    web.set_now(T0 + 200_000)
    storage = (await (await web.client.get(PATH)).json())["storage"]
    assert storage["size_bytes"] == stored.size_bytes
    assert storage["added_bytes"] == round(stored.size_bytes / 7)
    assert storage["deleted_bytes"] == 5_000_000
    assert storage["days"] == [{"day_ms": today - DAY_MS, "size_bytes": stored.size_bytes}]
    assert [(each["site"], each["cameras"]) for each in storage["sites"]] == [("acme/hq", 1)]


async def test_of_backups_it_says_what_it_knows(services) -> None:
    async with running_web(services) as web:
        backups = (await (await web.client.get(PATH)).json())["backups"]
    assert backups["archive"] in {"on", "off"}
    assert (backups["window_days"], backups["drill_ms"]) == (None, None)
    given = {"VIGIL_BACKUP_DAYS": "14", "VIGIL_RESTORE_DRILL_DATE": "2026-11-30"}
    async with running_web(services, **given) as web:
        backups = (await (await web.client.get(PATH)).json())["backups"]
    assert (backups["window_days"], backups["drill_ms"]) == (14, 1_795_996_800_000)


async def test_only_who_operates_the_whole_installation_sees_it(web: Web) -> None:
    for grants, expected in (
        ([Grant(Role.MONITOR, "*")], 200),
        ([Grant(Role.ADMIN, "acme")], 403),
        ([Grant(Role.VIEWER, "*")], 403),
    ):
        key = await create_key(web.catalog, "test", T0, grants=grants)
        headers = {"Authorization": f"Bearer {key}"}
        assert (await web.stranger.get(PATH, headers=headers)).status == expected, grants
    assert (await web.stranger.get(PATH)).status == 401


@pytest.mark.parametrize(
    ("url", "metrics"), [("", "not-set"), ("http://127.0.0.1:1", "down")], ids=["not set", "down"]
)
async def test_without_prometheus_the_rest_is_known(services, url: str, metrics: str) -> None:
    async with running_web(services, VIGIL_PROMETHEUS_URL=url) as web:
        status = await (await web.client.get(PATH)).json()
    assert status["metrics"] == metrics
    assert {each["state"] for each in status["programs"]} == {"unknown"}
    stores = {each["store"]: each["state"] for each in status["stores"]}
    assert stores["postgresql"] == stores["kafka"] == "good"
    assert status["service_levels"] == status["alerts"] == []
    assert status["site_count"] == 1
    assert status["sites"] == [], "it has no footage yet: nothing is missing"


@pytest.fixture
async def page(web: Web, tmp_path) -> AsyncIterator[Page]:
    async with admin_page(web, "/admin/status", tmp_path) as opened:
        yield opened


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
async def test_the_page_says_what_needs_a_person(page: Page) -> None:
    rows = page.get_by_role("row")
    await expect(rows.filter(has_text="Healer")).to_contain_text("Down")
    await expect(rows.filter(has_text="Assembler")).to_contain_text("3 of 3, 2 ready")
    await expect(rows.filter(has_text="Footage arrives")).to_contain_text("Used up")
    await expect(rows.filter(has_text="acme/hq").last).to_contain_text("1 of 2")
    await expect(rows.filter(has_text="Dead letters")).to_contain_text("2 messages")
    await expect(rows.filter(has_text="Drill")).to_contain_text("No restore drill is known")
    await expect(page.get_by_text("2 alerts fire")).to_be_visible()

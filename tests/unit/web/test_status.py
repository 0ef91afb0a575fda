"""The state of the installation, from what Prometheus answers."""

from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from domain.errors import StoreError
from web.prometheus import Sample, ask
from web.schemas.status import SiteStatus
from web.status import (
    PROGRAMS,
    QUERIES,
    Answers,
    alerts,
    programs,
    service_levels,
    stores,
    worst_sites,
)


def answers(**samples: list[tuple[Mapping[str, str], float]]) -> Answers:
    assert samples.keys() <= QUERIES.keys()
    return Answers(
        "good", {name: [Sample(*each) for each in found] for name, found in samples.items()}
    )


def up(job: str, *values: int) -> list[tuple[Mapping[str, str], float]]:
    return [({"job": f"vigil-{job}", "instance": str(at)}, each) for at, each in enumerate(values)]


def test_a_program_is_good_degraded_down_or_unknown() -> None:
    found = answers(
        up=up("relay", 1, 1)
        + up("assemble", 1, 0)
        + up("join", 1)
        + up("heal", 0)
        + up("audit", 1),
        ready=up("relay", 1, 1) + up("assemble", 1) + up("join", 0),
        build=[({"job": "vigil-relay", "version": v}, 1) for v in ("1.1", "1.0", "1.1")],
        lag=[({"job": "vigil-join"}, 3.5)],
        seen=[({"job": "vigil-heal"}, 1_790_000_000)],
    )
    by_name = {each.program: each for each in programs(found)}
    assert list(by_name) == [*PROGRAMS, "audit"]
    states = {name: each.state for name, each in by_name.items()}
    assert states == {
        "relay": "good", "assemble": "degraded", "join": "degraded", "index": "down",
        "heal": "down", "web": "down", "audit": "good",
    }  # fmt: skip
    assert by_name["relay"].versions == ["1.0", "1.1"], "an upgrade is under way"
    assert (by_name["assemble"].running, by_name["assemble"].known) == (1, 2)
    assert by_name["join"].lag_s == 3.5 and by_name["join"].ready == 0
    assert by_name["heal"].seen_ms == 1_790_000_000_000
    assert by_name["audit"].ready is None
    assert {each.state for each in programs(Answers("down"))} == {"unknown"}


def test_a_program_that_is_late_is_degraded() -> None:
    late = answers(up=up("index", 1), lag=[({"job": "vigil-index"}, 121)])
    assert next(p for p in programs(late) if p.program == "index").state == "degraded"


def test_stores_by_their_calls_and_by_this_worker() -> None:
    found = answers(
        calls=[({"system": "s3"}, 10), ({"system": "postgresql"}, 100)],
        failed=[({"system": "s3"}, 1)],
        p95=[({"system": "postgresql"}, 0.004)],
    )
    by_name = {each.store: each for each in stores(found, catalog=True, kafka=True)}
    assert {name: each.state for name, each in by_name.items()} == {
        "postgresql": "good", "kafka": "good", "s3": "degraded", "sqs": "unknown",
    }  # fmt: skip
    assert by_name["s3"].failed == 0.1 and by_name["postgresql"].p95_s == 0.004
    without = {
        each.store: each.state for each in stores(Answers("down"), catalog=False, kafka=True)
    }
    assert without == {"postgresql": "down", "kafka": "good", "s3": "unknown", "sqs": "unknown"}


def test_a_service_level_of_sites_shows_its_worst_site() -> None:
    sites = ("acme/hq", "acme/oslo")
    found = answers(
        objective=[
            ({"slo": "footage-arrives", "title": "Footage arrives"}, 0.995),
            ({"slo": "api-latency", "title": "The API is quick"}, 0.99),
        ],
        error=[
            ({"slo": "footage-arrives", "site": s}, e)
            for s, e in zip(sites, (0.01, 0), strict=True)
        ],
        budget=[
            ({"slo": "footage-arrives", "site": s}, b) for s, b in zip(sites, (-1, 1), strict=True)
        ],
    )
    api, footage = service_levels(found)
    assert (footage.site, footage.budget, footage.reached) == ("acme/hq", -1, 0.99)
    assert (api.title, api.budget, api.reached, api.site) == ("The API is quick", None, None, None)


def test_alerts_that_page_come_first() -> None:
    names = [("VigilDeadLetters", "ticket", 2), ("VigilDown", "page", 1)]
    found = answers(alerts=[({"alertname": n, "severity": s}, c) for n, s, c in names])
    assert [(each.name, each.count) for each in alerts(found)] == [
        ("VigilDown", 1),
        ("VigilDeadLetters", 2),
    ]


def site(name: str, cameras_sending: int, unsigned: str = "refuse") -> SiteStatus:
    return SiteStatus.model_validate(
        {"site": name, "cameras": 9, "cameras_sending": cameras_sending, "edges": 1,
         "edges_online": 1, "unsigned": unsigned}
    )  # fmt: skip


def test_the_worst_sites_come_first_and_others_are_left_out() -> None:
    sites = [site("a/well", 9), site("a/warns", 9, "warn"), site("a/one", 8), site("a/dark", 0)]
    assert [each.site for each in worst_sites(sites)] == ["a/dark", "a/one", "a/warns"]
    assert len(worst_sites([site(f"a/s{at}", 0) for at in range(500)])) == 100


GOOD: dict[str, Any] = {
    "status": "success",
    "data": {"result": [{"metric": {"job": "a"}, "value": [1, "2.5"]},
                        {"metric": {"job": "b"}, "value": [1, "NaN"]}]},
}  # fmt: skip


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (200, GOOD, None),
        (422, {"status": "error"}, "answers 422"),
        (302, {}, "answers 302"),
        (200, {"data": {"result": [{"metric": {}}]}}, "cannot be read"),
        (200, [], "cannot be read"),
    ],
)
async def test_what_prometheus_answers(status: int, body: Any, reason: str | None) -> None:
    async def query(request: web.Request) -> web.Response:
        assert request.query["query"] == "up"
        return web.json_response(body, status=status, headers={"Location": "/elsewhere"})

    application = web.Application()
    application.router.add_get("/prefix/api/v1/query", query)
    async with TestServer(application) as server, aiohttp.ClientSession() as session:
        url = str(server.make_url("/prefix/"))
        if reason is None:
            assert await ask(session, url, "up") == [Sample({"job": "a"}, 2.5)]
        else:
            with pytest.raises(StoreError, match=reason):
                await ask(session, url, "up")


async def test_a_prometheus_that_is_gone() -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(StoreError, match="does not answer"):
            await ask(session, "http://127.0.0.1:1", "up")

"""Whatever the web server is asked, the answer is not a server's fault, and errors are problems."""

import os
import random
from collections.abc import AsyncIterator

import pytest

from stores.catalog import index_chunks, index_fragments
from tests.integration.catalog_support import CAMERA, T0, run_id
from tests.integration.web_support import BASE, Web, running_web, store_chunk, store_fragment
from tests.raw_requests import Grammar, raw_request, routes_of, send
from web.views import VIEWS

EXAMPLES = int(os.environ.get("VIGIL_TEST_EXAMPLES", "600"))
SEED = int(os.environ.get("VIGIL_TEST_SEED", "0")) or random.randrange(1 << 32)
RUN = run_id()
TIMES = ["from", "to"]


@pytest.fixture
async def web(services) -> AsyncIterator[Web]:
    async with running_web(services) as running:
        old = [await store_fragment(running.store, RUN, seq) for seq in range(2)]
        joined = await store_chunk(running.store, old)
        await index_chunks(running.catalog, [joined], T0)
        await index_fragments(running.catalog, [await store_fragment(running.store, RUN, 2)], T0)
        yield running


async def test_no_request_is_a_fault_of_the_server(web: Web) -> None:
    print(f"seed {SEED}")
    span = f"?from={T0 - 1_000}&to={T0 + 60_000}&x"
    detections = ["label", "cursor", "model", "version", "min_score", "limit"]
    tenant, site, camera = CAMERA.split("/")
    good = {"tenant": tenant, "site": site, "camera": camera, "run": RUN, "seq": "2"}
    assert web.client.app is not None
    every = routes_of(web.client.app, good)
    assert len(every) > len(VIEWS)
    del every["/api/v1/events"]  # it answers without end: see test_web_events.py
    grammar = Grammar(
        {
            **every,
            f"{BASE}/chunks": TIMES,
            f"{BASE}/timeline": [*TIMES, "buckets", "model", "version"],
            f"{BASE}/timeline{span}": ["buckets", "model", "version"],
            f"{BASE}/detections": [*TIMES, *detections],
            f"{BASE}/detections{span}": detections,
            f"{BASE}/playlist.m3u8": [*TIMES, "live"],
            f"{BASE}/thumbnail.jpg": ["at", "width"],
            f"{BASE}/fragments/{RUN}/{{part}}.ts": [],
            "/assets/{part}.js": [],
        },
        [f"Authorization: Bearer {web.key}".encode()],
    )
    dice = random.Random(SEED)
    requests = grammar.requests(dice, EXAMPLES)
    # The body in two segments, and others that are no accident of the grammar.
    requests += [
        raw_request("GET", "/" + "a" * 4_000),
        raw_request("GET", "/assets/" + "a" * 300 + ".js"),
        raw_request(
            "POST",
            "/api/v1/session",
            [b"Content-Type: application/json", b"Content-Encoding: gzip"],
            b"no gzip at all",
        ),
    ]
    port = web.client.server.port
    assert port is not None
    faults = []
    for request in requests:
        status, head, body = await send(port, request)
        problem = b"problem+json" in head or request.startswith(b"HEAD")
        not_built = status == 503 and (b"dashboard" in body or request.startswith(b"HEAD /"))
        if (
            status == 0
            or (status >= 500 and not not_built)
            or (400 <= status < 500 and not problem)
        ):
            faults.append((status, request[:300], body[:100]))
    assert faults == []

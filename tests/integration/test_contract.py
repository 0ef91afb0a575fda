"""Schemathesis: whatever a role sends, the answers are those of the OpenAPI document.

The requests are drawn from the document, what it allows and what it forbids, with a fixed seed.
`make fuzz` draws many more, with a seed that it prints.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from domain.access import Grant, Role
from stores.catalog import index_chunks, index_fragments
from stores.catalog.keys import create_key
from tests.integration.catalog_support import CAMERA, T0, run_id
from tests.integration.web_support import Web, running_web, store_chunk, store_fragment
from web.openapi import make_document
from web.views import VIEWS

EXAMPLES = int(os.environ.get("VIGIL_FUZZ_EXAMPLES", "2"))
"""Requests of each operation, once as the document allows them and once as it forbids them."""
SEED = int(os.environ.get("VIGIL_FUZZ_SEED", "11"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
SCOPED = {"scope": CAMERA, "grants": [f"viewer:{CAMERA}"]}
"""Fields of bodies that name what a principal must have rights on."""
NEW = {
    "POST /api/v1/cameras": "/".join([*CAMERA.split("/")[:2], "new"]),
    "POST /api/v1/sites": f"{CAMERA.split('/')[0]}/new",
    "POST /api/v1/tenants": "new",
}
ENDLESS = "text/event-stream"
RUN = run_id()


@dataclass(frozen=True)
class World:
    """Served views with footage, and what their paths can name."""

    web: Web
    known: dict[str, Any]


@pytest.fixture
async def world(services) -> AsyncIterator[World]:
    async with running_web(services) as running:
        old = [await store_fragment(running.store, RUN, seq) for seq in range(2)]
        joined = await store_chunk(running.store, old)
        await index_chunks(running.catalog, [joined], T0)
        await index_fragments(running.catalog, [await store_fragment(running.store, RUN, 2)], T0)
        tenant, site, camera = CAMERA.split("/")
        known = {
            "tenant": tenant,
            "site": site,
            "camera": camera,
            "run": RUN,
            "seq": 2,
            "window_start_ms": joined.window_start_ms,
            "digest": joined.digest,
            "name": "not-found",
            "number": 1,
        }
        yield World(running, known)


def drawn(strategy: st.SearchStrategy[Any]) -> list[Any]:
    """Return EXAMPLES values of a strategy, or none where it has none."""
    found: list[Any] = []

    @seed(SEED)
    @settings(
        max_examples=EXAMPLES,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        deadline=None,
        database=None,
    )
    @given(strategy)
    def collect(value: Any) -> None:
        found.append(value)

    try:
        collect()
    except Unsatisfiable:
        return []
    return found


def cases(document: dict[str, Any], known: dict[str, Any]) -> Iterator[schemathesis.Case]:
    """Return requests to all operations that end, half of them to what exists."""
    schema = schemathesis.openapi.from_dict(document)
    for result in schema.get_all_operations():
        operation = result.ok()
        answers = document["paths"][operation.path][operation.method.lower()]["responses"]
        if ENDLESS in answers["200" if "200" in answers else min(answers)].get("content", {}):
            continue
        for mode in GenerationMode:
            for number, case in enumerate(drawn(operation.as_strategy(generation_mode=mode))):
                if number % 2 == 0 or mode is GenerationMode.NEGATIVE:
                    _aim(case, known)
                yield case


def _aim(case: schemathesis.Case, known: dict[str, Any]) -> None:
    """Let a request be about what exists."""
    for name in case.path_parameters:
        if name in known:
            case.path_parameters[name] = known[name]
    if "from" in case.query and "to" not in case.query:
        case.query["from"] = T0
    if "scope" in case.query:
        case.query["scope"] = CAMERA
    if "If-Match" in case.headers:
        case.headers["If-Match"] = "*"
    if isinstance(case.body, dict):
        case.body |= {name: SCOPED[name] for name in case.body if name in SCOPED}
        if case.operation.label in NEW:
            case.body["id"] = NEW[case.operation.label]


async def test_every_answer_is_one_of_the_document(world: World) -> None:
    print(f"VIGIL_FUZZ_SEED={SEED} VIGIL_FUZZ_EXAMPLES={EXAMPLES}")
    document = make_document(VIEWS)
    every = await asyncio.to_thread(lambda: list(cases(document, world.known)))
    operations = {case.operation.label for case in every}
    assert len(operations) >= 20
    server = world.web.client.server
    base = f"http://{server.host}:{server.port}"
    wrong: dict[str, str] = {}
    answered: dict[int, int] = {}
    for role in (*Role, None):
        for start in range(0, len(every), 20):
            # A request may revoke its key, so others follow with a new one.
            headers = {}
            if role is not None:
                grants = (Grant(role, CAMERA.split("/")[0]),)
                key = await create_key(world.web.catalog, "key", T0, None, grants)
                headers["Authorization"] = f"Bearer {key}"
            batch = every[start : start + 20]
            found = await asyncio.to_thread(_send, batch, base, headers, answered)
            for label, text in found:
                wrong.setdefault(f"{label} as {role}", text)
    print(dict(sorted(answered.items())))
    assert wrong == {}, "\n\n".join(f"{label}: {text}" for label, text in wrong.items())
    assert {200, 401, 403, 404} <= set(answered)


async def test_an_answer_that_is_not_in_the_document_is_found(world: World) -> None:
    document = make_document(VIEWS)
    path = "/api/v1/cameras/{tenant}/{site}/{camera}"
    document["paths"] = {path: document["paths"][path]}
    document["components"]["schemas"]["Camera"]["properties"]["name"]["type"] = "integer"
    del document["paths"][path]["get"]["responses"]["404"]
    every = await asyncio.to_thread(lambda: list(cases(document, world.known)))
    every[0].path_parameters.update(camera="no-such")
    server = world.web.client.server
    headers = {"Authorization": f"Bearer {world.web.key}"}
    base = f"http://{server.host}:{server.port}"
    found = dict(
        enumerate(text for _, text in await asyncio.to_thread(_send, every, base, headers, {}))
    )
    assert "404" in found[0]
    assert any("integer" in text for text in found.values())


def _send(
    batch: list[schemathesis.Case], base: str, headers: dict[str, str], answered: dict[int, int]
) -> list[tuple[str, str]]:
    """Send requests; return those with an answer that is not in the document. In a thread."""
    found = []
    with requests.Session() as session:
        for case in batch:
            case.headers.pop("Authorization", None)
            case.cookies.clear()
            response = case.call(base, session=session, headers=headers, timeout=20)
            answered[response.status_code] = answered.get(response.status_code, 0) + 1
            try:
                case.validate_response(response, checks=CHECKS)
            except AssertionError as error:
                found.append((case.operation.label, str(error)[:1_500]))
            except BaseExceptionGroup as error:
                found.append((case.operation.label, str(error.exceptions)[:1_500]))
    return found

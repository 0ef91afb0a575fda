"""The Python client on the real views: types, pages, problems, retries, idempotency keys."""

import typing
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from aiohttp import web as aiohttp_web
from aiohttp.test_utils import TestServer

from domain.access import Grant, Role
from domain.events.detections import Detection, DetectionFrame, FoundObject
from stores.catalog import add_camera, index_detections, index_fragments
from stores.catalog.keys import create_key
from tests.integration.catalog_support import CAMERA, T0, run_id
from tests.integration.web_support import Web, running_web, store_fragment
from vigil_client import (
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    PreconditionFailedError,
    ProblemError,
    Retries,
    TooManyRequestsError,
    UnauthorizedError,
    UnavailableError,
    UnreachableError,
    VigilClient,
    types,
)

QUICK = Retries(tries=4, base_s=0.001, longest_s=0.01, within_s=10, random=lambda: 1.0)


@pytest.fixture
async def web(services) -> AsyncIterator[Web]:
    async with running_web(services) as running:
        yield running


def address(server: Any) -> str:
    return f"http://{server.host}:{server.port}"


def check_shape(value: Any, shape: type) -> None:
    """Assert that an answer has the fields of its type, each and no other."""
    hints = typing.get_type_hints(shape, include_extras=True)
    assert set(value) == set(hints), shape


async def test_it_reads_what_the_api_has(web: Web) -> None:
    run = run_id()
    await index_fragments(web.catalog, [await store_fragment(web.store, run, 0)], T0)
    person = FoundObject(label="person", score=0.9, box=(0.1, 0.2, 0.3, 0.4))
    frames = [
        DetectionFrame(pts=T0 * 90 + each, at_ms=T0 + each // 90, objects=[person])
        for each in range(0, 9_000, 900)
    ]
    event = Detection(camera=CAMERA, run=run, model="hog", model_version="2", frames=frames)
    await index_detections(web.catalog, [event])
    for number in range(4):
        await add_camera(web.catalog, f"acme/hq/yard-{number}", "Yard", T0)
    async with VigilClient(address(web.client.server), key=web.key, retries=QUICK) as vigil:
        assert (await vigil.who())["name"] == "Ann"
        cameras = [camera async for camera in vigil.cameras(page=2)]
        assert [camera["id"] for camera in cameras] == [
            CAMERA,
            *(f"acme/hq/yard-{number}" for number in range(4)),
        ]
        check_shape(cameras[0], types.Camera)
        assert await vigil.camera(CAMERA) == cameras[0]
        assert [edge async for edge in vigil.edges()] == []
        span = (T0 - 1_000, T0 + 60_000)
        timeline = await vigil.timeline(CAMERA, *span)
        check_shape(timeline, types.Timeline)
        assert timeline["covered"]
        found = [each async for each in vigil.detections(CAMERA, *span, labels=["person"], page=3)]
        assert len(found) == 10
        assert len({(each["pts"], each["index"]) for each in found}) == 10
        check_shape(found[0], types.Detection)
        chunks = await vigil.chunks(CAMERA, *span)
        check_shape(chunks["fragments"][0], types.FragmentLink)
        assert (await vigil.media(chunks["fragments"][0]["url"]))[:1] == b"\x47"
        assert (await vigil.playlist(CAMERA, *span)).startswith("#EXTM3U")
        assert (await vigil.thumbnail(CAMERA, width=64))[:2] == b"\xff\xd8"


async def test_problems_are_errors_of_their_kind(web: Web) -> None:
    auditor = await create_key(web.catalog, "Eve", T0, None, (Grant(Role.AUDITOR, "*"),))
    async with VigilClient(address(web.client.server), key=web.key, retries=QUICK) as vigil:
        with pytest.raises(NotFoundError) as caught:
            await vigil.camera("acme/hq/no-such")
        assert (caught.value.status, caught.value.kind) == (404, "not-found")
        with pytest.raises(InvalidRequestError, match="must be before") as wrong:
            await vigil.timeline(CAMERA, 5, 4)
        assert wrong.value.kind == "invalid-parameter"
        with pytest.raises(InvalidRequestError) as body:
            await vigil.request("POST", "/api/v1/session", body={"key": 5, "kye": 5})
        assert body.value.kind == "invalid-body"
        assert {each["pointer"] for each in body.value.members["errors"]} == {"#/key", "#/kye"}
        # What `type` names can be read.
        page = await vigil.request("GET", body.value.type)
        assert b"Invalid Body" in page.body
    async with VigilClient(address(web.client.server), key="wrong", retries=QUICK) as stranger:
        with pytest.raises(UnauthorizedError):
            await stranger.who()
    async with VigilClient(address(web.client.server), key=auditor, retries=QUICK) as vigil:
        with pytest.raises(ForbiddenError, match="camera:view"):
            await anext(vigil.cameras())


async def test_cursors_that_were_changed_or_are_of_another_list_are_refused(web: Web) -> None:
    for number in range(3):
        await add_camera(web.catalog, f"acme/hq/yard-{number}", "Yard", T0)

    async def page(path: str, **params: Any) -> Any:
        return (await vigil.request("GET", path, params=params)).json()

    async with VigilClient(address(web.client.server), key=web.key, retries=QUICK) as vigil:
        cursor = (await page("/api/v1/cameras", limit=2))["next"]
        rest = await page("/api/v1/cameras", limit=2, cursor=cursor)
        assert len(rest["cameras"]) == 2
        assert rest["next"] is None
        flipped = cursor[:-1] + ("A" if cursor[-1] != "A" else "B")
        for wrong in (flipped, cursor[:20], "", "%00", "ä", "A" * 3_000, cursor + "AAAA"):
            with pytest.raises(InvalidRequestError) as caught:
                await page("/api/v1/cameras", cursor=wrong)
            assert caught.value.kind in {"invalid-cursor", "invalid-parameter"}, wrong
        with pytest.raises(InvalidRequestError):
            await page("/api/v1/edges", cursor=cursor)


class Unsteady:
    """A server that answers as the test says, and counts."""

    def __init__(self, *answers: int | str) -> None:
        self._answers: Iterator[int | str] = iter(answers)
        self.seen: Counter[str] = Counter()

    async def answer(self, request: aiohttp_web.Request) -> aiohttp_web.Response:
        self.seen[request.headers.get("Idempotency-Key", "none")] += 1
        answer = next(self._answers, 599)
        if answer == "cut":
            assert request.transport is not None
            request.transport.abort()
            return aiohttp_web.Response()
        headers = {"Retry-After": "0"} if answer in (429, 503, 409) else {}
        if answer == "old":
            headers = {"Deprecation": "@1767225600", "Sunset": "Fri, 01 Jan 2027 00:00:00 GMT"}
            answer = 200
        return aiohttp_web.json_response({"type": "x", "etag": "1"}, status=answer, headers=headers)


async def asked(server: Unsteady, method: str, retries: Retries = QUICK) -> int:
    app = aiohttp_web.Application()
    app.router.add_route("*", "/", server.answer)
    async with (
        TestServer(app) as running,
        VigilClient(address(running), key="k", retries=retries) as vigil,
    ):
        return (await vigil.request(method, "/")).status


@pytest.mark.parametrize(
    ("method", "answers", "outcome"),
    [
        ("GET", (503, "cut", 429, 200), 200),
        ("GET", (503, 503, 503, 503, 200), UnavailableError),  # tries have an end
        ("GET", ("cut", "cut", "cut", "cut"), UnreachableError),
        ("GET", (500,), ProblemError),
        ("GET", (404,), NotFoundError),
        ("POST", ("cut", 409, 201), 201),  # the first is still being carried out
        ("PUT", (429, 200), 200),
        ("PUT", (412,), PreconditionFailedError),
        ("PUT", ("cut",), UnreachableError),  # it may have been carried out
        ("DELETE", (503,), UnavailableError),
        ("PATCH", (429, 429, 429, 429), TooManyRequestsError),
    ],
)
async def test_it_tries_again_where_that_is_safe(method: str, answers: Any, outcome: Any) -> None:
    server = Unsteady(*answers)
    if isinstance(outcome, int):
        assert await asked(server, method) == outcome
    else:
        with pytest.raises(outcome):
            await asked(server, method)
    assert server.seen.total() == min(len(answers), QUICK.tries)
    if method == "POST":  # one key for all tries of one request
        assert len(server.seen) == 1
        assert "none" not in server.seen


def test_the_waits_grow_have_jitter_and_an_end() -> None:
    retries = Retries(tries=9, base_s=1, longest_s=8, within_s=60, random=lambda: 0.5)
    lost = UnreachableError("lost")
    waits = [retries.wait_s("GET", lost, tried, 0) for tried in range(1, 9)]
    assert waits == [1, 2, 4, 4, 4, 4, 4, 4]
    assert retries.wait_s("GET", lost, 9, 0) is None
    assert retries.wait_s("GET", lost, 1, 59.5) is None
    limited = TooManyRequestsError(429, {}, retry_after_s=30)
    assert retries.wait_s("PUT", limited, 1, 0) == 31
    assert retries.wait_s("PUT", limited, 1, 40) is None


async def test_a_deprecated_operation_warns() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert await asked(Unsteady("old"), "GET") == 200
    assert sum("01 Jan 2027" in str(each.message) for each in caught) == 1

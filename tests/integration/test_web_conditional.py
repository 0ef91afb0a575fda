"""If-Match, If-None-Match, Idempotency-Key, and where a request comes from, on a view of notes."""

import asyncio
import json
from collections.abc import AsyncIterator
from types import MappingProxyType
from typing import Any

import asyncpg
import pytest
from aiohttp import web as aiohttp_web
from faust.web import View

from domain.access import Grant, Permission, Role
from domain.preconditions import RowVersion, content_tag
from stores.catalog import idempotency
from stores.catalog.idempotency import KEPT_MS, LEASE_MS, claim_key, delete_old_keys
from stores.catalog.keys import create_key
from tests.integration.catalog_support import T0
from tests.integration.web_support import Web, running_web
from web.access import in_list
from web.conditional import etag_of, expected_version
from web.idempotency import keep_answer, shown_once
from web.middleware import PRINCIPAL
from web.operations import UNDESCRIBED
from web.problems import ProblemError, not_found
from web.query import read_body
from web.services import SERVICES
from web.sessions import COOKIE
from web.views import VIEWS

NOTES = "/api/v1/test/notes"
UUID = "0b1f4a40-5a1c-4ae7-8a52-3f5a9d3a1c11"


def version_of(row: asyncpg.Record) -> RowVersion:
    return RowVersion(
        content_tag(row["id"], row["text"]),
        changed_ms=row["changed_ms"],
        changed_by=row["changed_by"],
        current={"id": row["id"], "text": row["text"]},
    )


class NotesView(View):
    """Adds a note; `then` says what goes wrong."""

    view_path = NOTES
    operations = UNDESCRIBED
    access = MappingProxyType({"POST": in_list(Permission.CAMERA_VIEW)})
    gate: asyncio.Event | None = None
    entered: asyncio.Event

    async def post(self, request: aiohttp_web.Request) -> aiohttp_web.Response:
        given: dict[str, Any] = json.loads(await read_body(request, 200_000))
        then = given.get("then")
        if then == "wait":
            assert NotesView.gate is not None
            NotesView.entered.set()
            await NotesView.gate.wait()
        catalog = await request.app[SERVICES].catalog.get()
        async with catalog.transaction() as connection:
            number = await connection.fetchval(
                "INSERT INTO notes (text, changed_by) VALUES ($1, $2) RETURNING id",
                given["text"],
                request[PRINCIPAL].name,
            )
            response = aiohttp_web.json_response(
                {"id": number, "text": given["text"]},
                status=201,
                headers={"Location": f"{NOTES}/{number}"},
            )
            if then == "secret":
                shown_once(response)
            if then != "late":
                await keep_answer(connection, request, response)
            if then == "rollback":
                raise ProblemError(400, "No.")
        if then == "crash":
            raise RuntimeError("after the commit")
        return response


class OwnNotesView(NotesView):
    """The same, below the address of one's own account."""

    view_path = "/api/v1/session/test-notes"
    operations = UNDESCRIBED
    access = MappingProxyType({"POST": in_list(Permission.CAMERA_VIEW)})


class NoteView(View):
    """Reads and edits a note."""

    view_path = NOTES + "/{number}"
    operations = UNDESCRIBED
    access = in_list(Permission.CAMERA_VIEW)

    async def get(self, request: aiohttp_web.Request, number: str) -> aiohttp_web.Response:
        catalog = await request.app[SERVICES].catalog.get()
        async with catalog.transaction() as connection:
            row = await connection.fetchrow("SELECT * FROM notes WHERE id = $1", int(number))
        if row is None:
            raise not_found("There is no such note.")
        version = version_of(row)
        return aiohttp_web.json_response(version.current, headers={"ETag": etag_of(version.tag)})

    async def put(self, request: aiohttp_web.Request, number: str) -> aiohttp_web.Response:
        expected = expected_version(request, may_create=True)
        given = json.loads(await read_body(request, 1_000))
        services = request.app[SERVICES]
        async with (await services.catalog.get()).transaction() as connection:
            row = await connection.fetchrow(
                "SELECT * FROM notes WHERE id = $1 FOR UPDATE", int(number)
            )
            expected.check(None if row is None else version_of(row))
            await connection.execute(
                "INSERT INTO notes VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO UPDATE "
                "SET text = $2, changed_by = $3, changed_ms = $4",
                *(int(number), given["text"], request[PRINCIPAL].name, services.clock_ms()),
            )
        return aiohttp_web.Response(status=204)


@pytest.fixture
async def web(services, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Web]:
    monkeypatch.setattr(
        "web.views.VIEWS", (*VIEWS[:-1], NotesView, OwnNotesView, NoteView, VIEWS[-1])
    )
    async with running_web(services) as running:
        async with running.catalog.transaction() as connection:
            await connection.execute(
                "CREATE TABLE notes (id bigint PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY, "
                "text text, changed_by text, changed_ms bigint); "
                "GRANT SELECT, INSERT, UPDATE ON notes TO vigil_web"
            )
        yield running


async def count(web: Web, table: str = "notes") -> int:
    async with web.catalog.transaction() as connection:
        return await connection.fetchval(f"SELECT count(*) FROM {table}")


async def add(web: Web, key: str | None, text: str = "one", **more: str):
    headers = {} if key is None else {"Idempotency-Key": key}
    return await web.client.post(NOTES, json={"text": text, **more}, headers=headers)


# -- If-Match and If-None-Match


async def test_the_second_of_two_edits_learns_what_the_first_was(web: Web) -> None:
    assert (await add(web, None)).status == 201
    read = await web.client.get(f"{NOTES}/1")
    mine = {"If-Match": read.headers["ETag"]}
    first = await web.client.put(f"{NOTES}/1", json={"text": "Ann's"}, headers=mine)
    second = await web.client.put(f"{NOTES}/1", json={"text": "Bob's"}, headers=mine)
    assert (first.status, second.status) == (204, 412)
    problem = await second.json(content_type="application/problem+json")
    assert problem["current"] == {"id": 1, "text": "Ann's"}
    assert (problem["changed_by"], problem["changed_ms"]) == ("Ann", T0 + 60_000)
    assert problem["etag"] == second.headers["ETag"] == etag_of(content_tag(1, "Ann's"))
    again = {"If-Match": problem["etag"]}
    assert (await web.client.put(f"{NOTES}/1", json={"text": "2"}, headers=again)).status == 204


async def test_of_many_edits_at_once_one_succeeds(web: Web) -> None:
    await add(web, None)
    mine = {"If-Match": (await web.client.get(f"{NOTES}/1")).headers["ETag"]}
    done = await asyncio.gather(
        *(web.client.put(f"{NOTES}/1", json={"text": f"{n}"}, headers=mine) for n in range(6))
    )
    assert sorted(each.status for each in done) == [204] + [412] * 5


async def test_an_edit_says_what_it_replaces(web: Web) -> None:
    await add(web, None)
    tag = (await web.client.get(f"{NOTES}/1")).headers["ETag"]
    for headers, status in (
        ({}, 428),
        ({"If-None-Match": '"x"'}, 428),
        ({"If-None-Match": "*"}, 412),
        ({"If-Match": "nonsense"}, 400),
        ({"If-Match": ", ".join(['"x"'] * 21)}, 400),
        ({"If-Match": f"W/{tag}"}, 412),
        ({"If-Match": '"x"'}, 412),
        ({"If-Match": f'"x", {tag}'}, 204),
        ({"If-Match": "*"}, 204),
        ({"If-Match": f"{tag[:-1]}-gzip{tag[-1]}"}, 204),
    ):
        answer = await web.client.put(f"{NOTES}/1", json={"text": "one"}, headers=headers)
        assert answer.status == status, headers
    missing = {"If-Match": "*"}
    assert (await web.client.put(f"{NOTES}/9", json={"text": "a"}, headers=missing)).status == 412
    new = {"If-None-Match": "*"}
    assert (await web.client.put(f"{NOTES}/9", json={"text": "a"}, headers=new)).status == 204


async def test_json_that_the_client_has_is_not_sent_again(web: Web) -> None:
    first = await web.client.get("/api/v1/cameras")
    tag = first.headers["ETag"]
    for header in (tag, f"W/{tag}", "*", f'"x", {tag}', f'{tag[:-1]}-gzip"'):
        again = await web.client.get("/api/v1/cameras", headers={"If-None-Match": header})
        assert (again.status, await again.read()) == (304, b""), header
        assert again.headers["Cache-Control"] == "no-store"
        assert "Content-Security-Policy" in again.headers
    for header in ('"x"', "nonsense", ""):
        other = await web.client.get("/api/v1/cameras", headers={"If-None-Match": header})
        assert (other.status, other.headers["ETag"]) == (200, tag)
    web.set_now(T0 + 90_000)
    assert (await web.client.get("/api/v1/cameras", headers={"If-None-Match": tag})).status == 200


# -- Idempotency-Key


async def test_a_request_that_is_sent_again_is_answered_as_before(web: Web) -> None:
    first, second = await add(web, UUID), await add(web, f'"{UUID}"')
    assert (first.status, second.status) == (201, 201)
    assert await first.json() == await second.json()
    assert second.headers["Location"] == f"{NOTES}/1"
    assert second.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    assert await count(web) == 1
    other = await add(web, UUID, "two")
    assert (other.status, other.content_type) == (422, "application/problem+json")
    assert await count(web) == 1
    async with web.catalog.transaction() as connection:
        row = await connection.fetchrow("SELECT * FROM idempotency_keys")
    assert UUID.encode() not in repr(dict(row)).encode()


async def test_keys_belong_to_their_principal(web: Web) -> None:
    key = await create_key(web.catalog, "Bob", T0, None, [Grant(Role.VIEWER, "acme")])
    await add(web, UUID)
    bob = {"Authorization": f"Bearer {key}", "Idempotency-Key": UUID}
    answer = await web.stranger.post(NOTES, json={"text": "one"}, headers=bob)
    assert (answer.status, "Idempotency-Replayed" in answer.headers) == (201, False)


async def test_two_at_once_are_one(web: Web) -> None:
    NotesView.gate, NotesView.entered = asyncio.Event(), asyncio.Event()
    first = asyncio.ensure_future(add(web, UUID, then="wait"))
    await NotesView.entered.wait()
    second = await add(web, UUID, then="wait")
    assert (second.status, second.headers["Retry-After"]) == (409, "2")
    NotesView.gate.set()
    assert (await first).status == 201
    assert (await add(web, UUID, then="wait")).headers["Idempotency-Replayed"] == "true"
    assert await count(web) == 1


async def test_what_was_done_is_not_done_again(web: Web) -> None:
    """Crash: the worker fails after its commit. Late: the view does not call keep_answer."""
    for then, statuses, replayed, notes in (
        ("crash", (500, 201), True, 1),
        ("late", (201, 201), True, 2),
        ("rollback", (400, 400), False, 2),
    ):
        first, second = [await add(web, f"key-{then}", then=then) for _ in "ab"]
        assert (first.status, second.status) == statuses, then
        assert (second.headers.get("Idempotency-Replayed") == "true") == replayed, then
        assert await count(web) == notes, then


async def test_the_request_of_a_dead_worker_is_taken_over(web: Web) -> None:
    """Its worker lives after all: it cannot commit, since its claim was given away."""
    NotesView.gate, NotesView.entered = asyncio.Event(), asyncio.Event()
    first = asyncio.ensure_future(add(web, UUID, then="wait"))
    await NotesView.entered.wait()
    web.set_now(T0 + 60_000 + LEASE_MS)
    NotesView.entered.clear()
    second = asyncio.ensure_future(add(web, UUID, then="wait"))
    await NotesView.entered.wait()
    NotesView.gate.set()
    assert sorted([(await first).status, (await second).status]) == [201, 409]
    assert await count(web) == 1


async def test_a_secret_is_answered_once(web: Web) -> None:
    assert (await add(web, UUID, then="secret")).status == 201
    again = await add(web, UUID, then="secret")
    assert (again.status, again.headers["Location"]) == (409, f"{NOTES}/1")
    large = await add(web, "large", "x" * 70_000)
    assert large.status == 201
    assert (await add(web, "large", "x" * 70_000)).status == 409
    assert await count(web) == 2
    async with web.catalog.transaction() as connection:
        assert not await connection.fetchval("SELECT count(body) FROM idempotency_keys")


async def test_nothing_is_kept_of_ones_own_account(web: Web) -> None:
    for _ in range(2):
        answer = await web.client.post(
            OwnNotesView.view_path, json={"text": "one"}, headers={"Idempotency-Key": UUID}
        )
        assert answer.status == 201
    assert (await count(web), await count(web, "idempotency_keys")) == (2, 0)


async def test_keys_are_bounded_and_end(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "MAX_KEYS", 2)
    assert [(await add(web, f"key-{n}")).status for n in range(3)] == [201, 201, 429]
    assert (await add(web, "key-1")).headers["Idempotency-Replayed"] == "true"
    web.set_now(T0 + 60_000 + KEPT_MS)
    assert (await add(web, "key-1")).status == 201
    assert await count(web) == 3
    assert await count(web, "idempotency_keys") == 1
    assert await delete_old_keys(web.catalog, T0 + 60_000 + KEPT_MS) == 0
    assert await delete_old_keys(web.catalog, T0 + 60_000 + 2 * KEPT_MS) == 1


async def test_impossible_keys(web: Web) -> None:
    for key in ("", "x" * 256, "two words", "é", '"'):
        assert (await add(web, key)).status == 400, key
    body = {"text": "x" * (1 << 20)}
    long = await web.client.post(NOTES, json=body, headers={"Idempotency-Key": UUID})
    assert long.status == 400
    assert await count(web) + await count(web, "idempotency_keys") == 0


async def test_a_released_claim_can_be_claimed(web: Web) -> None:
    request = b"\0" * 32
    claim = await claim_key(web.catalog, "key:1", UUID, request, T0)
    assert isinstance(claim, idempotency.Claim)
    assert await claim_key(web.catalog, "key:1", UUID, request, T0 + 1) == "in progress"
    await idempotency.release_key(web.catalog, claim)
    assert isinstance(
        await claim_key(web.catalog, "key:1", UUID, request, T0 + 2), idempotency.Claim
    )


# -- where it comes from, and what it sends


async def test_a_session_acts_on_its_own_page_only(web: Web) -> None:
    own = f"http://{web.client.server.host}:{web.client.server.port}"
    signed_in = await web.stranger.post("/api/v1/session", json={"key": web.key})
    cookie = {"Cookie": f"{COOKIE}={signed_in.cookies[COOKIE].value}"}
    done = 0
    for sent, status in (
        ({}, 201),
        ({"Sec-Fetch-Site": "same-origin"}, 201),
        ({"Sec-Fetch-Site": "none"}, 201),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": own}, 201),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": f"{own}.evil.example"}, 403),
        ({"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"}, 201),
        ({"Origin": own, "X-Forwarded-Proto": "https"}, 403),
    ):
        answer = await web.stranger.post(NOTES, json={"text": "one"}, headers={**sent, **cookie})
        assert answer.status == status, sent
        by_key = await web.client.post(NOTES, json={"text": "one"}, headers=sent)
        assert by_key.status == 201, "a key is not sent by a foreign page on its own"
        done += 2 if status == 201 else 1
        assert await count(web) == done, sent


async def test_bodies_are_json(web: Web) -> None:
    for kind, status in (
        ("application/json", 201),
        ("application/json; charset=UTF-8", 201),
        ("application/merge-patch+json", 201),
        ("application/json; charset=latin-1", 415),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("", 415),
    ):
        answer = await web.client.post(
            NOTES, data=b'{"text": "one"}', headers={"Content-Type": kind}
        )
        assert answer.status == status, kind
        if status == 415:
            problem = await answer.json(content_type="application/problem+json")
            assert "json" in problem["detail"].lower()

"""Keys of people: they do no more than their owner at any time, and end with him."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from domain.access import Grant, Role
from domain.key_limits import CONFIRMED_MS
from domain.oidc import Identity
from domain.retention import LegalHold
from stores.catalog import erasure
from stores.catalog.keys import NewKey, add_key, list_keys
from stores.catalog.oidc import confirm_user, keep_grants, refuse_user, sign_in_user
from stores.catalog.retention_rules import list_holds, place_hold
from stores.catalog.users import change_user, change_user_grants, get_user
from tests.integration.catalog_support import CAMERA, T0
from tests.integration.test_sign_in import Browser, add
from tests.integration.test_web_resources import Client, client
from tests.integration.web_support import Web, running_web
from web.sessions import RECHECK_MS

NOW = T0 + 60_000
KEYS = "/api/v1/keys"
ADMIN, VIEWER = Grant(Role.ADMIN, "acme"), Grant(Role.VIEWER, "acme")


@pytest.fixture
async def web(services) -> AsyncIterator[Web]:
    async with running_web(services) as running:
        await add(running, "root", Grant(Role.ADMIN, "*"), Grant(Role.ADMIN, "acme"))
        yield running


async def created(sender: Any, grants: list[str], **more: object) -> dict[str, Any]:
    path = KEYS if isinstance(sender, Browser) else "/keys"
    answer = await sender.send("POST", path, {"name": "Ann's", "grants": grants, **more})
    assert answer.status == 201, await answer.text()
    return dict(await answer.json())


async def status(web: Web, key: str, path: str = f"/cameras/{CAMERA}") -> int:
    return (await Client(web, key).send("GET", path)).status


async def test_a_persons_key_shrinks_and_ends_with_him_within_5_s_in_all_workers(
    web: Web, services
) -> None:
    ann = await add(web, "ann", ADMIN)
    browser = Browser(web)
    await browser.sign_in()
    own = await created(browser, ["admin:acme"])
    service = await created(browser, ["admin:acme"], service=True)
    edge = await created(browser, ["edge:acme/hq"])
    assert (own["owner"], service["owner"], edge["owner"]) == (f"user:{ann}", None, None)
    child = await created(Client(web, own["key"]), ["viewer:acme"])
    assert child["owner"] == f"user:{ann}"
    nephew = await created(Client(web, service["key"]), ["viewer:acme"])
    assert nephew["owner"] is None
    clock = NOW

    def later() -> None:
        nonlocal clock
        clock += RECHECK_MS
        for each in (web, other):
            each.set_now(clock)

    async def change(grants: list[Grant], *, disabled: bool = False) -> None:
        async with web.catalog.transaction() as connection:
            user = await get_user(connection, ann)
            assert user is not None
            await change_user_grants(
                connection, ann, NOW, add=grants, remove=set(user.own_grants) - set(grants)
            )
            await change_user(connection, user, display_name="Ann", disabled=disabled, now_ms=NOW)

    async with running_web(services, existing=web) as other:
        for worker in (web, other):
            assert await status(worker, own["key"], "/users") == 200
        await change([VIEWER])
        later()
        for worker in (web, other):
            assert await status(worker, own["key"], "/users") == 403
            assert await status(worker, own["key"]) == 200
            assert await status(worker, child["key"]) == 200
            assert await status(worker, service["key"], "/users") == 200
        await change([Grant(Role.OPERATOR, "globex"), Grant(Role.VIEWER, "acme/lab")])
        later()
        assert await status(other, own["key"]) == 404
        await change([ADMIN], disabled=True)
        later()
        for worker in (web, other):
            for key in (own, child):
                assert await status(worker, key["key"]) == 401
            for key in (service, nephew):
                assert await status(worker, key["key"]) == 200
        await change([ADMIN])
        later()
        assert await status(other, own["key"], "/users") == 200
        await erasure.erase_user(web.catalog, "ann", NOW)
        later()
        for worker in (web, other):
            assert await status(worker, own["key"]) == 401
            assert await status(worker, service["key"]) == 200
    states = {each.id: each.state(NOW) for each in await list_keys(web.catalog)}
    assert (states[own["id"]], states[child["id"]]) == ("revoked", "revoked")


async def test_a_session_that_a_persons_key_opened_ends_with_him_too(web: Web) -> None:
    ann = await add(web, "ann", ADMIN)
    browser, program = Browser(web), Browser(web)
    await browser.sign_in()
    own = await created(browser, ["viewer:acme"])
    assert (await program.send("POST", "/api/v1/session", {"key": own["key"]})).status == 204
    assert await program.status() == 200
    async with web.catalog.transaction() as connection:
        await change_user(
            connection, await get_user(connection, ann), display_name="A", disabled=True, now_ms=NOW
        )
    web.set_now(NOW + RECHECK_MS)
    assert await program.status() == 401


async def test_only_its_owner_rotates_a_persons_key(web: Web) -> None:
    await add(web, "ann", ADMIN)
    browser = Browser(web)
    await browser.sign_in()
    own = await created(browser, ["viewer:acme"])
    rotation = {"old_expires_ms": NOW + 60_000}
    path = f"{own['id']}/rotate"
    admin = await client(web, "admin:acme")
    assert (await admin.send("POST", f"/keys/{path}", rotation)).status == 403
    made = await browser.send("POST", f"{KEYS}/{path}", rotation)
    assert (made.status, (await made.json())["owner"]) == (201, own["owner"])
    assert (await admin.send("DELETE", f"/keys/{own['id']}")).status == 204, "an admin revokes it"


async def test_the_provider_ends_and_shrinks_the_keys_of_its_people(web: Web) -> None:
    identity = Identity("https://idp.example", "7", "Bob")
    async with web.catalog.transaction() as connection:
        bob = await sign_in_user(connection, identity, [ADMIN], NOW)
        _, key = await add_key(connection, NewKey(name="Bob's", grants=(ADMIN,), owner=bob.id), NOW)
    clock = NOW

    async def after(change: Any) -> int:
        nonlocal clock
        async with web.catalog.transaction() as connection:
            await change(connection)
        clock += RECHECK_MS
        web.set_now(clock)
        return await status(web, key)

    assert await status(web, key, "/users") == 200
    assert await after(lambda c: refuse_user(c, bob.id, clock)) == 401
    assert await after(lambda c: sign_in_user(c, identity, [ADMIN], clock)) == 200
    assert await after(lambda c: keep_grants(c, bob.id, [], clock)) == 404
    assert await after(lambda c: sign_in_user(c, identity, [VIEWER], clock)) == 200
    assert await status(web, key, "/users") == 403
    clock += CONFIRMED_MS
    web.set_now(clock)
    assert await status(web, key) == 401, "he has not signed in for a month"
    assert await after(lambda c: confirm_user(c, bob.id, clock)) == 200


async def test_the_audit_log_names_the_owner_and_an_erased_name_is_found_by_id(web: Web) -> None:
    ann = await add(web, "ann", ADMIN)
    browser = Browser(web)
    await browser.sign_in()
    own = await created(browser, ["admin:acme"])
    body = {"scope": "acme", "from_ms": 0, "why": "case"}
    assert (await Client(web, own["key"]).send("POST", "/holds", body)).status == 201
    assert (await browser.send("POST", "/api/v1/holds", body)).status == 201
    async with web.catalog.transaction() as connection:
        entries = await connection.fetch(
            "SELECT entry::jsonb AS entry FROM vigil_audit.entries "
            "WHERE entry::jsonb->>'action' = 'hold:place' ORDER BY seq"
        )
        # Another person of the same name placed one, by a version that kept names only.
        await place_hold(connection, LegalHold("acme", 0, None), "Other", "case", NOW)
        # And somebody who is called so today, whose id is known.
        await place_hold(
            connection, LegalHold("acme", 0, None), "Ann", "case", NOW, principal="user:77"
        )
        await connection.execute("UPDATE users SET display_name = 'Renamed' WHERE id = $1", ann)
    assert [row["entry"]["actor"] for row in entries] == [f"key:{own['id']}", f"user:{ann}"]
    assert [row["entry"]["on_behalf_of"] for row in entries] == [f"user:{ann}", None]
    await erasure.erase_user(web.catalog, "ann", NOW)
    by = sorted(each.added_by for each in await list_holds(web.catalog))
    assert by == sorted([f"user:{ann}", f"user:{ann}", "Other", "Ann"])

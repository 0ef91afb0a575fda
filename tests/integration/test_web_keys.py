"""API keys over the API: no one gives what he does not have, and no key prolongs its own life."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from domain.access import Grant, Role
from stores.catalog import add_camera
from stores.catalog.keys import create_key, list_keys
from tests.integration.catalog_support import T0, scalar
from tests.integration.test_web_resources import FOREIGN, Client, audit, client
from tests.integration.web_support import Web, running_web

NOW = T0 + 60_000
DAY_MS = 86_400_000


@pytest.fixture
async def web(services) -> AsyncIterator[Web]:
    async with running_web(services) as running:
        await add_camera(running.catalog, FOREIGN, "Door", T0)
        yield running


async def test_a_key_is_created_shown_once_used_and_revoked(web: Web) -> None:
    admin = await client(web, "admin:acme")
    body = {"name": "Wächter 1", "grants": ["viewer:acme/hq"], "expires_ms": NOW + DAY_MS,
            "networks": ["127.0.0.0/8", "::1/128"]}  # fmt: skip
    made = await admin.send("POST", "/keys", body, Idempotency_Key="k")
    assert made.status == 201
    key = await made.json()
    assert key["key"].startswith("vigil_")
    assert (key["state"], key["grants"]) == ("valid", ["viewer:acme/hq"])
    assert key["created_by"].startswith("key:")
    path = f"/keys/{key['id']}"
    again = await admin.send("POST", "/keys", body, Idempotency_Key="k")
    assert again.status == 409, "the key itself is kept nowhere"
    assert again.headers["Location"] == f"/api/v1{path}"
    assert key["key"] not in str(await admin.get(path))
    assert key["key"] not in str(await admin.get("/keys"))
    stored = await scalar(
        web.catalog, "SELECT string_agg(idempotency_keys::text, ' ') FROM idempotency_keys"
    )
    assert key["key"] not in stored

    own = Client(web, key["key"])
    assert (await own.send("GET", "/cameras/acme/hq/gate")).status == 200
    assert (await own.send("GET", "/keys")).status == 403
    assert (await admin.send("DELETE", path)).status == 204
    assert (await admin.send("DELETE", path)).status == 204
    web.set_now(NOW + 6_000)
    web.services.sessions._known.clear()
    assert (await own.send("GET", "/cameras/acme/hq/gate")).status == 401
    assert key["id"] not in [each["id"] for each in (await admin.get("/keys"))["keys"]]
    ended = (await admin.get("/keys?ended=1"))["keys"]
    assert [each["state"] for each in ended if each["id"] == key["id"]] == ["revoked"]
    assert await audit(web) == [
        ("acme", "key:create", f"key:{key['id']}"),
        ("acme", "key:revoke", f"key:{key['id']}"),
    ]


GIFTS: list[tuple[Any, int]] = [
    (["viewer:acme"], 201),
    (["admin:acme", "operator:acme/hq/gate"], 201),
    (["edge:acme/hq"], 201),
    (["auditor:acme"], 403),
    (["viewer:*"], 403),
    (["viewer:globex"], 404),
    (["viewer:acme", "viewer:globex"], 403),
    (["edge:globex/plant"], 404),
    (["edge:acme"], 400),
    (["edge:acme/hq", "viewer:acme"], 400),
    (["owner:acme"], 400),
    (["viewer:acme/../globex"], 400),
    (["viewer"], 400),
    ([], 400),
    (["viewer:acme"] * 101, 400),
    ("viewer:acme", 400),
]


async def test_no_one_gives_what_he_does_not_have(web: Web) -> None:
    admin = await client(web, "admin:acme")
    for grants, status in GIFTS:
        answer = await admin.send("POST", "/keys", {"name": "x", "grants": grants})
        assert answer.status == status, (grants, await answer.text())
    given = [key.grants for key in await list_keys(web.catalog) if key.name == "x"]
    assert len(given) == sum(status == 201 for _, status in GIFTS)


async def test_lists_show_what_the_caller_may_manage(web: Web) -> None:
    foreign, both = (
        [Grant(Role.VIEWER, "globex")],
        [Grant(Role.VIEWER, "acme"), Grant(Role.VIEWER, "globex")],
    )
    for name, grants in (
        ("foreign", foreign),
        ("both", both),
        ("mine", [Grant(Role.VIEWER, "acme")]),
    ):
        await create_key(web.catalog, name, T0, None, grants)
    numbers = {key.name: key.id for key in await list_keys(web.catalog)}
    site = await client(web, "admin:acme/hq")
    tenant = await client(web, "admin:acme")
    all_ = await client(web, "admin:*")

    async def names(sender: Client) -> set[str]:
        return {key["name"] for key in (await sender.get("/keys"))["keys"]}

    assert await names(site) == {"Ann"}
    assert await names(tenant) == {"Ann", "mine"}
    assert {"foreign", "both", "mine"} <= await names(all_)
    for name in ("foreign", "both"):
        for method in ("GET", "DELETE"):
            answer = await tenant.send(method, f"/keys/{numbers[name]}")
            assert answer.status == 404, (method, name)
    assert (await tenant.send("GET", f"/keys/{numbers['mine']}")).status == 200
    page = await all_.get("/keys?limit=3")
    following = await all_.get(f"/keys?limit=3&cursor={page['next']}")
    assert not {key["id"] for key in page["keys"]} & {key["id"] for key in following["keys"]}


async def test_two_keys_are_valid_while_one_is_rotated(web: Web) -> None:
    admin = await client(web, "admin:acme")
    body = {"name": "nvr", "grants": ["viewer:acme"], "expires_ms": NOW + 10 * DAY_MS}
    old = await (await admin.send("POST", "/keys", body)).json()
    until = NOW + 3_600_000
    answers = await asyncio.gather(
        *(
            admin.send("POST", f"/keys/{old['id']}/rotate", {"old_expires_ms": until})
            for _ in range(3)
        )
    )
    assert sorted(each.status for each in answers) == [201, 409, 409]
    [new] = [await each.json() for each in answers if each.status == 201]
    assert (new["grants"], new["name"], new["rotated_from"]) == (["viewer:acme"], "nvr", old["id"])
    assert new["expires_ms"] == NOW + 10 * DAY_MS, "it lives as long as the old one did"
    assert (await admin.get(f"/keys/{old['id']}"))["expires_ms"] == until
    third = await admin.send("POST", f"/keys/{new['id']}/rotate", {"old_expires_ms": until})
    assert third.status == 409, "two of a line at most"
    for key in (old["key"], new["key"]):
        assert (await Client(web, key).send("GET", "/cameras")).status == 200
    web.set_now(until)
    assert (await Client(web, old["key"]).send("GET", "/cameras")).status == 401
    assert (await Client(web, new["key"]).send("GET", "/cameras")).status == 200
    ok = await admin.send("POST", f"/keys/{new['id']}/rotate", {"old_expires_ms": until + 1})
    assert ok.status == 201
    for wrong in (until - 1, until + 32 * DAY_MS, -1, "x"):
        sent = {"old_expires_ms": wrong}
        assert (await admin.send("POST", f"/keys/{new['id']}/rotate", sent)).status == 400
    dead = await admin.send("POST", f"/keys/{old['id']}/rotate", {"old_expires_ms": until})
    assert dead.status == 409


async def test_a_key_does_not_prolong_its_own_life(web: Web) -> None:
    grants = [Grant(Role.ADMIN, "acme")]
    limited = Client(
        web,
        await create_key(
            web.catalog,
            "short",
            T0,
            None,
            grants,
            expires_ms=NOW + DAY_MS,
            networks=["127.0.0.0/8"],
        ),
    )

    async def status(**more: object) -> int:
        body = {"name": "x", "grants": ["admin:acme"], **more}
        return (await limited.send("POST", "/keys", body)).status

    local = ["127.0.0.0/9"]
    assert await status() == 400
    assert await status(expires_ms=NOW + DAY_MS) == 400, "from any network"
    assert await status(expires_ms=NOW + DAY_MS + 1, networks=local) == 400
    assert await status(expires_ms=NOW + DAY_MS, networks=["10.0.0.0/8"]) == 400
    assert await status(expires_ms=NOW + DAY_MS, networks=local) == 201
    [own] = [key.id for key in await list_keys(web.catalog) if key.name == "short"]
    rotated = await limited.send("POST", f"/keys/{own}/rotate", {"old_expires_ms": NOW + 1_000})
    assert rotated.status == 400


async def test_the_last_admin_key_of_a_tenant_stays(web: Web) -> None:
    admin = await client(web, "admin:acme")
    [own] = [
        key.id for key in await list_keys(web.catalog) if Grant(Role.ADMIN, "acme") in key.grants
    ]
    last = await admin.send("DELETE", f"/keys/{own}")
    assert last.status == 409
    assert "last admin of acme" in (await last.json())["detail"]
    made = await (
        await admin.send("POST", "/keys", {"name": "two", "grants": ["admin:acme"]})
    ).json()
    # Each removes the other at the same moment: one of them stays. Both are known to the worker.
    assert (await Client(web, made["key"]).send("GET", "/keys")).status == 200
    answers = await asyncio.gather(
        admin.send("DELETE", f"/keys/{made['id']}"),
        Client(web, made["key"]).send("DELETE", f"/keys/{own}"),
    )
    assert sorted(each.status for each in answers) == [204, 409]


WRONG: list[dict[str, object]] = [
    {"name": ""}, {"name": "x" * 101}, {"name": "a\u202e"}, {"expires_ms": NOW},
    {"expires_ms": NOW + 400 * DAY_MS}, {"networks": []}, {"networks": ["10.0.0.1/8"]},
    {"networks": ["x" * 10_000]}, {"networks": ["10.0.0.0/8"] * 101}, {"key": "vigil_mine"},
]  # fmt: skip


async def test_what_no_key_can_have_is_refused(web: Web) -> None:
    admin = await client(web, "admin:acme")
    for wrong in WRONG:
        body = {"name": "x", "grants": ["viewer:acme"], **wrong}
        answer = await admin.send("POST", "/keys", body)
        assert answer.status == 400, (wrong, await answer.text())

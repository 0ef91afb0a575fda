"""Users and groups over the API: who sees and changes which of them."""

from collections.abc import AsyncIterator

import pytest

from domain.access import Grant, Role, parse_grant
from stores.catalog.keys import create_key
from stores.catalog.users import create_user
from tests.integration.catalog_support import T0
from tests.integration.test_sign_in import HASH, SESSION, Browser
from tests.integration.web_support import Web, running_web

USERS, GROUPS = "/api/v1/users", "/api/v1/groups"


@pytest.fixture
async def web(services) -> AsyncIterator[Web]:
    async with running_web(services) as running:
        yield running


class Manager:
    """Sends with a key that has some grants."""

    def __init__(self, web: Web, key: str) -> None:
        self.web = web
        self.headers = {"Authorization": f"Bearer {key}"}

    async def send(self, method: str, path: str, body: object = None, **headers: str):
        return await self.web.stranger.request(
            method, path, json=body, headers={**self.headers, **headers}
        )

    async def patch(self, path: str, body: object):
        etag = (await self.send("GET", path)).headers.get("ETag", '"none"')
        return await self.send("PATCH", path, body, **{"If-Match": etag})

    async def logins(self) -> set[str]:
        answer = await (await self.send("GET", USERS)).json()
        return {user["login"] for user in answer["users"]}


async def manager(web: Web, *grants: str) -> Manager:
    given = tuple(map(parse_grant, grants))
    return Manager(web, await create_key(web.catalog, "manager", T0, None, given))


async def add(web: Web, login: str, *grants: str, scope: str = "*") -> str:
    async with web.catalog.transaction() as connection:
        user = await create_user(
            connection, login=login, display_name=login.title(), scope=scope, now_ms=T0,
            grants=tuple(map(parse_grant, grants)), password_hash=HASH,
        )  # fmt: skip
    assert user is not None
    return user


async def test_an_admin_of_a_tenant_manages_its_users_only(web: Web) -> None:
    acme, globex = await manager(web, "admin:acme"), await manager(web, "admin:globex")
    staff = await add(web, "staff", "admin:*")
    body = {
        "login": "Ann", "display_name": "<b>Ann</b>", "scope": "acme", "grants": ["viewer:acme/hq"],
    }  # fmt: skip
    made = await acme.send("POST", USERS, body)
    created = await made.json()
    assert made.status == 201, created
    assert made.headers["Location"] == f"{USERS}/{created['id']}"
    assert created["login"] == "ann"
    ann = made.headers["Location"]
    browser = Browser(web)
    assert (await browser.sign_in(created["password"])).status == 204
    assert "password" not in await (await acme.send("GET", ann)).json()

    assert await acme.logins() == {"ann"}
    assert await globex.logins() == set()
    assert await (await manager(web, "admin:*")).logins() == {"ann", "staff"}
    for method, path, body in (
        ("GET", ann, None),
        ("GET", f"{USERS}/{staff}", None),
        ("GET", f"{USERS}/{'0' * 16}", None),
        ("POST", f"{ann}/password", None),
        ("DELETE", f"{ann}/totp", None),
    ):
        answer = await globex.send(method, path, body)
        assert answer.status == 404, path
        assert (await answer.json())["detail"] == "There is no such user."
    assert (await globex.patch(ann, {"disabled": True})).status == 404
    assert (await acme.send("POST", USERS, {**created_body("ann"), "scope": "acme"})).status == 409

    for grants, scope in ((["viewer:globex"], "acme"), (["admin:*"], "acme"), ([], "globex")):
        body = {**created_body("bob"), "scope": scope, "grants": grants}
        assert (await acme.send("POST", USERS, body)).status in {403, 404}, (grants, scope)
    assert await (await manager(web, "admin:*")).logins() == {"ann", "staff"}
    for body in (
        {**created_body("ä b")},
        {**created_body("")},
        {**created_body("x"), "scope": "A"},
    ):
        assert (await acme.send("POST", USERS, body)).status == 400, body
    viewer = await manager(web, "operator:acme")
    assert (await viewer.send("GET", USERS)).status == 403


def created_body(login: str) -> dict[str, object]:
    return {"login": login, "display_name": login.title()}


async def test_a_guest_is_seen_with_his_grants_here_only(web: Web) -> None:
    guest = f"{USERS}/{await add(web, 'guest', 'viewer:acme/hq', 'viewer:globex', scope='globex')}"
    acme = await manager(web, "admin:acme")
    shown = await (await acme.send("GET", guest)).json()
    assert (shown["grants"], shown["scope"]) == (["viewer:acme/hq"], "other")
    for body in ({"disabled": True}, {"display_name": "Other"}):
        assert (await acme.patch(guest, body)).status == 403
    assert (await acme.send("POST", f"{guest}/password")).status == 403
    assert (await acme.patch(guest, {"grants": ["viewer:acme"]})).status == 200
    everything = await (await (await manager(web, "admin:*")).send("GET", guest)).json()
    assert everything["grants"] == ["viewer:acme", "viewer:globex"], "globex's stays"
    assert (await acme.patch(guest, {"grants": []})).status == 200
    assert (await acme.send("GET", guest)).status == 404


async def test_no_one_gives_or_takes_over_what_he_does_not_have(web: Web) -> None:
    admin, both = await manager(web, "admin:acme"), await manager(web, "admin:acme", "auditor:acme")
    ann = f"{USERS}/{await add(web, 'ann', 'viewer:acme', scope='acme')}"
    answer = await admin.patch(ann, {"grants": ["viewer:acme", "auditor:acme"]})
    assert answer.status == 403
    assert "audit:read" in (await answer.json())["detail"]
    assert (await admin.patch(ann, {"grants": ["edge:acme/hq"]})).status == 400
    assert (await both.patch(ann, {"grants": ["viewer:acme", "auditor:acme"]})).status == 200
    # Resetting a password lets one sign in as the user.
    assert (await admin.send("POST", f"{ann}/password")).status == 403
    assert (await admin.send("DELETE", f"{ann}/totp")).status == 403
    assert (await both.send("POST", f"{ann}/password")).status == 200
    site = await manager(web, "admin:acme/hq")
    bob = f"{USERS}/{await add(web, 'bob', 'viewer:acme', scope='acme/hq')}"
    assert (await site.send("POST", f"{bob}/password")).status == 403
    assert (await site.patch(bob, {"disabled": True})).status == 403


async def test_of_two_people_who_edit_a_user_the_second_is_refused(web: Web) -> None:
    admin = await manager(web, "admin:*")
    ann = f"{USERS}/{await add(web, 'ann', 'viewer:acme')}"
    etag = (await admin.send("GET", ann)).headers["ETag"]
    assert (await admin.send("PATCH", ann, {"display_name": "A"})).status == 428
    first = await admin.send("PATCH", ann, {"display_name": "A"}, **{"If-Match": etag})
    assert first.status == 200
    second = await admin.send("PATCH", ann, {"display_name": "B"}, **{"If-Match": etag})
    problem = await second.json()
    assert (second.status, problem["current"]["display_name"]) == (412, "A")
    for body in ({"display_name": "\u202eA"}, {"display_name": ""}, {"login": "x"}, {"grants": 5}):
        assert (await admin.patch(ann, body)).status == 400, body


async def test_another_role_or_disabling_ends_the_sessions(web: Web) -> None:
    admin = await manager(web, "admin:*")
    ann = f"{USERS}/{await add(web, 'ann', 'viewer:acme')}"
    for body in ({"grants": ["operator:acme"]}, {"grants": []}, {"disabled": True}):
        browser = Browser(web)
        assert (await browser.sign_in("a long enough one")).status == 204
        assert (await admin.patch(ann, body)).status == 200
        assert await browser.status() == 401, body
    assert (await Browser(web).sign_in()).status == 401
    assert (await admin.patch(ann, {"disabled": False})).status == 200
    assert (await Browser(web, "192.0.2.2").sign_in()).status == 204


async def test_who_changes_his_own_rights_gets_a_new_cookie(web: Web) -> None:
    await add(web, "boss", "admin:*")
    root = await add(web, "root", "admin:*")
    browser = Browser(web)
    await browser.sign_in(login="root")
    path = f"{USERS}/{root}"
    etag = (await browser.send("GET", path)).headers["ETag"]
    old = dict(browser.cookies)
    browser.web.stranger.session.headers["If-Match"] = etag
    body = {"grants": ["admin:*", "monitor:*"]}
    assert (await browser.send("PATCH", path, body)).status == 200
    del browser.web.stranger.session.headers["If-Match"]
    assert await browser.status() == 200
    copy = Browser(web)
    copy.cookies = old
    assert await copy.status() == 401


async def test_the_last_administrator_cannot_go(web: Web) -> None:
    root = f"{USERS}/{await add(web, 'root', 'admin:*')}"
    admin = await manager(web, "admin:*")
    for body in ({"disabled": True}, {"grants": []}):
        answer = await admin.patch(root, body)
        assert answer.status == 409
        assert "last administrator" in (await answer.json())["detail"]
    assert (await Browser(web).sign_in(login="root")).status == 204


async def test_groups(web: Web) -> None:
    acme, globex = await manager(web, "admin:acme"), await manager(web, "admin:globex")
    ann = await add(web, "ann", scope="acme")
    eve = await add(web, "eve", "viewer:globex", scope="globex")
    body = {"name": "Guards", "scope": "acme", "grants": ["operator:acme/hq"], "members": [ann]}
    assert (await acme.send("POST", GROUPS, {**body, "members": [eve]})).status == 404
    assert (await globex.send("POST", GROUPS, body)).status == 404
    made = await acme.send("POST", GROUPS, body)
    assert made.status == 201, await made.json()
    group = made.headers["Location"]
    assert (await acme.send("POST", GROUPS, body)).status == 409
    browser = Browser(web)
    await browser.sign_in()
    who = await (await browser.send("GET", SESSION)).json()
    assert who["grants"] == ["operator:acme/hq"]
    shown = await (await acme.send("GET", f"{USERS}/{ann}")).json()
    assert (shown["grants"], shown["group_grants"]) == ([], ["operator:acme/hq"])
    assert (await globex.send("GET", group)).status == 404
    assert (await (await globex.send("GET", GROUPS)).json())["groups"] == []
    assert (await globex.patch(group, {"name": "X"})).status == 404
    site = await manager(web, "admin:acme/lab", "viewer:acme")
    assert (await site.patch(group, {"members": []})).status == 404
    auditors = await manager(web, "admin:*", "auditor:*")
    assert (await auditors.patch(group, {"grants": ["auditor:acme"]})).status == 200
    assert await browser.status() == 401, "the rights of its members changed"
    # An admin without the role auditor gives no one, and takes from no one, what an auditor has.
    assert (await acme.patch(group, {"members": []})).status == 403
    assert (await acme.patch(group, {"members": [ann, await add(web, "x")]})).status in {403, 404}
    assert (await acme.patch(group, {"name": "Wardens"})).status == 200
    etag = (await acme.send("GET", group)).headers["ETag"]
    assert (await acme.send("DELETE", group, **{"If-Match": etag})).status == 403
    assert (await auditors.send("DELETE", group, **{"If-Match": etag})).status == 204
    assert (await auditors.send("GET", group)).status == 404


async def test_changes_are_in_the_audit_log_of_the_tenant(web: Web) -> None:
    acme = await manager(web, "admin:acme")
    made = await acme.send("POST", USERS, {**created_body("ann"), "scope": "acme"})
    await acme.patch(made.headers["Location"], {"grants": ["viewer:acme"]})
    await acme.send("POST", f"{made.headers['Location']}/password")
    async with web.catalog.transaction() as connection:
        rows = await connection.fetch(
            "SELECT entry::jsonb AS entry FROM vigil_audit.entries WHERE chain = 'acme' "
            "ORDER BY seq"
        )
    entries = [row["entry"] for row in rows if row["entry"]["action"].startswith("user:")]
    assert [each["action"] for each in entries] == ["user:create", "user:change", "user:password"]
    assert entries[1]["before"]["grants"] == []
    assert entries[1]["after"]["grants"] == ["viewer:acme"]
    assert "ann" not in str(entries).replace("chain", "")
    assert Grant(Role.VIEWER, "acme")

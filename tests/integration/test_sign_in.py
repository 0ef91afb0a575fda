"""Signing in with login, password and code: over HTTP, on a real catalog."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from domain.access import Grant, Role
from domain.audit import ANONYMOUS, AuditOrigin
from domain.sign_in import LIMITS, TOTP_STEP_MS
from stores.catalog.audit_log import AuditFilter, find_entries
from stores.catalog.users import change_user, create_user, get_user
from stores.catalog.web_catalog import all_tenants
from tests.integration.catalog_support import T0
from tests.integration.web_support import Web, running_web
from web import passwords
from web.cookies import DEVICE_COOKIE
from web.passwords import hash_password
from web.problems import ProblemError
from web.sessions import COOKIE, RECHECK_MS
from web.sign_in import Attempt
from web.totp import totp_code

PASSWORD = "a long enough one"
HASH = hash_password(PASSWORD)
SESSION = "/api/v1/session"
NOW = T0 + 60_000
VIEWER = Grant(Role.VIEWER, "acme")


@pytest.fixture
async def web(services) -> AsyncIterator[Web]:
    async with running_web(services) as running:
        await add(running, "ann", VIEWER)
        yield running


async def add(web: Web, login: str, *grants: Grant) -> str:
    async with web.catalog.transaction() as connection:
        user = await create_user(
            connection, login=login, display_name=login.title(), scope="acme", now_ms=T0,
            grants=grants, password_hash=HASH,
        )  # fmt: skip
    assert user is not None
    return user


class Browser:
    """Keeps its cookies; sends from an address of its own."""

    def __init__(self, web: Web, address: str = "192.0.2.1") -> None:
        self.web = web
        self.cookies: dict[str, str] = {}
        self.address = address

    async def send(self, method: str, path: str, body: object = None):
        headers = {"X-Forwarded-For": self.address}
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        self.web.stranger.session.cookie_jar.clear()
        answer = await self.web.stranger.request(method, path, json=body, headers=headers)
        self.web.stranger.session.cookie_jar.clear()
        self.cookies |= {name: each.value for name, each in answer.cookies.items()}
        return answer

    async def sign_in(self, password: str = PASSWORD, login: str = "ann", **more: str):
        return await self.send("POST", SESSION, {"login": login, "password": password, **more})

    async def status(self) -> int:
        return (await self.send("GET", SESSION)).status


async def test_a_person_signs_in_and_sees_what_he_may(web: Web) -> None:
    browser = Browser(web)
    answer = await browser.sign_in(login=" Ann ")
    assert (answer.status, await answer.text()) == (204, "")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    who = await (await browser.send("GET", SESSION)).json()
    assert (who["name"], who["login"], who["grants"]) == ("Ann", "ann", ["viewer:acme"])
    assert who["id"].startswith("user:")
    assert who["may"] == [
        {"scope": "acme", "permissions": ["camera:view", "detections:read", "footage:read"]}
    ]
    assert (who["has_password"], who["has_totp"], who["recovery_codes"]) == (True, False, None)
    assert (await browser.send("GET", "/api/v1/cameras")).status == 200
    assert (await browser.send("GET", "/metrics")).status == 403


WRONG = [
    ({"login": "ann", "password": "wrong"}, 401),
    ({"login": "nobody", "password": PASSWORD}, 401),
    ({"login": "ann", "password": PASSWORD.upper()}, 401),
    ({"login": "x" * 200, "password": "x" * 900}, 401),
    ({"login": "' OR 1=1 --", "password": "%00\r\n"}, 401),
    ({"login": "ann\r\nSet-Cookie: a=b", "password": "x"}, 401),
    ({"login": "\u202eann", "password": "x"}, 401),
    ({"login": "a\0b", "password": "x"}, 400),
    ({"login": "ann", "password": "x\0"}, 400),
    ({"login": "x" * 257, "password": "x"}, 400),
    ({"login": "ann", "password": "x" * 1_001}, 400),
    ({"login": "", "password": "x"}, 400),
    ({"login": "ann"}, 400),
    ({"password": "x"}, 400),
    ({"login": "ann", "password": "x", "key": "vigil_x"}, 400),
    ({"key": "vigil_x", "totp": "1"}, 400),
    ({"login": "ann", "password": 5}, 400),
    ({"login": "ann", "password": "x", "admin": True}, 400),
    ({"login": "ann", "password": "x" * 5_000}, 400),
    ({}, 400),
]


async def test_wrong_attempts_are_clear_problems(web: Web) -> None:
    for number, (body, status) in enumerate(WRONG):
        answer = await Browser(web, f"192.0.2.{number}").send("POST", SESSION, body)
        problem = await answer.json()
        assert (answer.status, problem["status"]) == (status, status), problem
        assert not answer.cookies
        if status == 401:
            assert problem["detail"] == "The login or the password is wrong."


async def test_a_lone_surrogate_is_a_clear_problem(web: Web) -> None:
    for body in (
        b'{"login": "a\\ud800b", "password": "x"}',
        b'{"login": "\xed\xa0\x80", "password": "x"}',
    ):
        answer = await web.stranger.post(
            SESSION, data=body, headers={"Content-Type": "application/json"}
        )
        assert answer.status == 400, body


async def test_another_session_never_becomes_the_persons(web: Web) -> None:
    victim = Browser(web)
    victim.cookies[COOKIE] = "A" * 43  # planted
    await victim.sign_in()
    first = dict(victim.cookies)
    assert first[COOKIE] != "A" * 43
    await victim.sign_in()
    assert victim.cookies[COOKIE] != first[COOKIE]
    old = Browser(web)
    old.cookies = first
    assert await old.status() == 401
    assert await victim.status() == 200


async def test_an_old_cookie_is_refused_in_all_workers(web: Web) -> None:
    """After sign-out, a new password, disabling and another role. The clock is simulated."""
    user = await add(web, "bob", VIEWER)
    admin = Browser(web)
    await add(web, "root", Grant(Role.ADMIN, "*"))
    await admin.sign_in(login="root")

    async def sign_out(browser: Browser) -> None:
        assert (await browser.send("DELETE", SESSION)).status == 204

    async def new_password(browser: Browser) -> None:
        body = {"password": PASSWORD, "new_password": "another long one"}
        assert (await browser.send("POST", f"{SESSION}/password", body)).status == 204
        back = {"password": "another long one", "new_password": PASSWORD}
        assert (await browser.send("POST", f"{SESSION}/password", back)).status == 204
        assert await browser.status() == 200, "the browser itself goes on, with a new cookie"

    async def disabled(_: Browser) -> None:
        async with web.catalog.transaction() as connection:  # another worker, or a command
            bob = await get_user(connection, user)
            await change_user(connection, bob, display_name="B", disabled=True, now_ms=NOW)

    for number, act in enumerate((sign_out, new_password, disabled)):
        now_ms = NOW + number * 600_000
        web.set_now(now_ms)
        browser = Browser(web)
        assert (await browser.sign_in(login="bob")).status == 204
        copy = Browser(web)
        copy.cookies = dict(browser.cookies)
        assert await copy.status() == 200
        await act(browser)
        web.set_now(now_ms + RECHECK_MS)
        assert await copy.status() == 401, act.__name__
    answer = await Browser(web).sign_in(login="bob")
    assert (answer.status, (await answer.json())["detail"]) == (
        401,
        "The login or the password is wrong.",
    )


async def test_10_000_wrong_passwords_cost_little_and_the_owner_gets_in(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From one network: as many are hashed as the limits allow. The rest costs no CPU."""
    owner = Browser(web, "198.51.100.7")
    assert (await owner.sign_in()).status == 204
    sign_in = web.services.sign_in
    catalog = await web.services.catalog.get()
    running, most, hashed = 0, 0, 0
    verify = sign_in.passwords.verify

    async def counted(stored, password):
        nonlocal hashed
        hashed += 1
        return await verify(stored, password)

    monkeypatch.setattr(sign_in.passwords, "verify", counted)

    hash_once = passwords._verify

    def observed(stored: str, password: str) -> bool:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            return hash_once(stored, password)
        finally:
            running -= 1

    monkeypatch.setattr(passwords, "_verify", observed)

    outcomes: dict[int, int] = {}

    async def attempt(login: str, number: int) -> None:
        given = Attempt(
            login, f"wrong {number}", None, "203.0.113.9", None, AuditOrigin(actor=ANONYMOUS)
        )
        with all_tenants(), pytest.raises(ProblemError) as refused:
            await sign_in.check(catalog, given)
        outcomes[refused.value.status] = outcomes.get(refused.value.status, 0) + 1
        if refused.value.status == 429:
            assert int(refused.value.headers["Retry-After"]) >= 1

    for start in range(0, 10_000, 20):
        await asyncio.gather(
            *(attempt("ann" if n % 2 else f"u{n}", n) for n in range(start, start + 20))
        )
    assert sum(outcomes.values()) == 10_000
    assert hashed == outcomes[401] <= LIMITS["network"].burst
    assert most <= passwords.AT_ONCE
    # From many networks too, the account's limit holds; the owner's own browser is not limited.
    for number in range(LIMITS["account"].burst + 1):
        last = await Browser(web, f"203.0.114.{number}").sign_in("wrong")
    assert last.status == 429
    assert int(last.headers["Retry-After"]) >= 1
    assert (await Browser(web, "203.0.115.1").sign_in()).status == 429
    assert DEVICE_COOKIE in owner.cookies
    assert (await owner.sign_in()).status == 204
    web.set_now(NOW + LIMITS["account"].burst * LIMITS["account"].interval_ms)
    assert (await Browser(web, "203.0.115.1").sign_in()).status == 204, "no one is locked out"


async def test_a_second_factor(web: Web) -> None:
    browser, other = Browser(web), Browser(web)
    assert (await other.sign_in()).status == 204
    assert (await browser.sign_in()).status == 204
    totp = f"{SESSION}/totp"
    assert (await browser.send("PUT", totp, {"totp": "000000"})).status == 409
    assert (await browser.send("POST", totp, {"password": "wrong"})).status == 401
    enrolment = await (await browser.send("POST", totp, {"password": PASSWORD})).json()
    secret = enrolment["secret"]
    assert enrolment["uri"].startswith("otpauth://totp/Vigil:ann?secret=")
    assert (await browser.send("PUT", totp, {"totp": "abc"})).status == 401
    before = dict(browser.cookies)
    confirmed = await browser.send("PUT", totp, {"totp": totp_code(secret, NOW)})
    codes = (await confirmed.json())["recovery_codes"]
    assert len(set(codes)) == 10
    assert browser.cookies[COOKIE] != before[COOKIE], "a new cookie"
    assert await other.status() == 401, "other sessions end"
    assert (await (await browser.send("GET", SESSION)).json())["recovery_codes"] == 10
    async with web.catalog.transaction() as connection:
        row = await connection.fetchrow("SELECT user_totp::text AS row FROM user_totp")
    assert secret.encode().hex() not in row["row"]
    assert secret not in row["row"]

    person = Browser(web)
    answer = await person.sign_in()
    assert (answer.status, (await answer.json())["type"]) == (401, "/api/v1/problems/code-required")
    used = totp_code(secret, NOW)  # at the enrolment
    assert (await person.sign_in(totp=used)).status == 401, "a code works once"
    web.set_now(NOW + TOTP_STEP_MS)
    code = totp_code(secret, NOW + TOTP_STEP_MS)
    assert (await person.sign_in(password="wrong", totp=code)).status == 401
    assert (await person.sign_in(totp=code)).status == 204
    assert (await Browser(web, "192.0.2.9").sign_in(totp=code)).status == 401
    recovery = codes[0].upper().replace("-", " ")
    assert (await Browser(web).sign_in(totp=recovery)).status == 204
    assert (await Browser(web, "192.0.2.8").sign_in(totp=recovery)).status == 401

    remove = f"{totp}/remove"
    assert (await person.send("POST", remove, {"password": PASSWORD})).status == 401
    body = {"password": PASSWORD, "totp": codes[1]}
    assert (await person.send("POST", remove, body)).status == 204
    assert (await Browser(web).sign_in()).status == 204


async def test_guessed_codes_are_limited(web: Web) -> None:
    browser = Browser(web)
    await browser.sign_in()
    totp = f"{SESSION}/totp"
    secret = (await (await browser.send("POST", totp, {"password": PASSWORD})).json())["secret"]
    await browser.send("PUT", totp, {"totp": totp_code(secret, NOW)})
    statuses = [
        (await Browser(web, f"192.0.2.{n}").sign_in(totp="000000")).status
        for n in range(LIMITS["code"].burst + 1)
    ]
    assert statuses == [401] * LIMITS["code"].burst + [429]


async def test_what_a_new_password_may_not_be(web: Web) -> None:
    browser = Browser(web)
    await browser.sign_in()

    async def change(new: str) -> int:
        body = {"password": PASSWORD, "new_password": new}
        return (await browser.send("POST", f"{SESSION}/password", body)).status

    for new in ("short", "x" * 129, "Password1234", "qwertyuiop12", "aaaabbbbaaaabbbb"):
        assert await change(new) == 422, new
    assert await change("the quick brown vixen") == 204
    by_key = await web.client.post(
        f"{SESSION}/password", json={"password": "x", "new_password": "y"}
    )
    assert by_key.status == 403


async def test_sessions_are_listed_and_ended(web: Web) -> None:
    first, second, stranger = Browser(web), Browser(web, "192.0.2.44"), Browser(web)
    await add(web, "bob", VIEWER)
    await stranger.sign_in(login="bob")
    await first.sign_in()
    web.set_now(NOW + 1)
    await second.sign_in()

    async def listed(browser: Browser) -> list[dict]:
        return (await (await browser.send("GET", "/api/v1/sessions")).json())["sessions"]

    mine = await listed(second)
    assert [(each["current"], each["address"]) for each in mine] == [
        (True, "192.0.2.44"),
        (False, "192.0.2.1"),
    ]
    path = f"/api/v1/sessions/{mine[1]['id']}"
    assert (await stranger.send("DELETE", path)).status == 404
    assert (await second.send("DELETE", path)).status == 204
    assert (await second.send("DELETE", path)).status == 404
    assert await first.status() == 401
    await first.sign_in()
    assert (await second.send("DELETE", "/api/v1/sessions")).status == 204
    assert [await each.status() for each in (first, second, stranger)] == [401, 200, 200]
    bob = (await listed(stranger))[0]["user"]
    assert (await second.send("GET", f"/api/v1/sessions?user={bob}")).status == 404
    root = Browser(web)
    await add(web, "root", Grant(Role.ADMIN, "acme"))
    await root.sign_in(login="root")
    assert len((await (await root.send("GET", f"/api/v1/sessions?user={bob}")).json())["sessions"])
    assert (await root.send("DELETE", f"/api/v1/sessions?user={bob}")).status == 204
    assert await stranger.status() == 401


async def test_sign_ins_are_in_the_audit_log(web: Web) -> None:
    browser = Browser(web)
    await browser.sign_in()
    await browser.sign_in("wrong")
    await Browser(web).sign_in(login="no-such")
    await browser.send("DELETE", SESSION)
    async with web.catalog.transaction() as connection:
        rows = await connection.fetch(
            "SELECT entry::jsonb AS entry FROM vigil_audit.entries "
            "WHERE entry::jsonb->>'action' LIKE 'session:%'"
        )
    found = [(row["entry"]["action"], row["entry"]["outcome"]) for row in rows]
    assert sorted(found) == [
        ("session:create", "done"),
        ("session:create", "refused"),
        ("session:create", "refused"),
        ("session:end", "done"),
    ]
    # Who signed in is the actor, so that a search for his acts finds it.
    done = [row["entry"] for row in rows if row["entry"]["outcome"] == "done"]
    assert {each["actor"] for each in done} == {done[0]["actor"]}
    assert done[0]["actor"].startswith("user:")
    assert "no-such" not in str([row["entry"] for row in rows])
    found = await find_entries(web.catalog, ["*"], AuditFilter())
    assert "no-such" not in str([each.shown() for each in found]), "what was typed is not stored"

"""Open sessions of a provider's people: it is asked again, and its answer counts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from domain.oidc import RETRY_AFTER_MS
from stores.catalog.users import change_user, find_identity, get_user
from tests.hostile_oidc import HostileProvider, segment
from tests.integration.oidc_support import (
    OidcWeb,
    browser,
    oidc_web,
    provider_config,
    second_worker,
)
from web.sessions import RECHECK_MS

pytestmark = pytest.mark.asyncio(loop_scope="module")

MINUTE_MS = 60_000
DAY_MS = 25 * 60 * MINUTE_MS


@dataclass
class Staff:
    """The views, and a provider `own` whose clock is ours. It counts what it is asked."""

    own: HostileProvider
    oidc: OidcWeb

    @property
    def url(self) -> str:
        return self.oidc.url

    def now_ms(self) -> int:
        return self.oidc.web.services.clock_ms()

    def pass_time(self, ms: int) -> None:
        self.oidc.web.set_now(self.now_ms() + ms)

    def be_honest(self) -> None:
        self.own.reset("bob-1")
        self.own.clock = lambda: self.now_ms() / 1_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(services: Any, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Staff]:
    async with AsyncExitStack() as stack:
        own = await stack.enter_async_context(HostileProvider())
        folder = tmp_path_factory.mktemp("oidc")
        configs = [provider_config(own, "own")]
        yield Staff(own, await stack.enter_async_context(oidc_web(services, folder, configs)))


@pytest.fixture
def staff(running: Staff) -> Staff:
    """Return the provider honest again, a day later: what was cached of it is too old."""
    running.pass_time(DAY_MS)
    running.be_honest()
    return running


async def stored(staff: Staff) -> list[Any]:
    async with staff.oidc.web.catalog.transaction() as connection:
        return await connection.fetch("SELECT * FROM oidc_sessions")


async def test_tokens_are_not_readable_in_the_catalog(staff: Staff) -> None:
    async with browser(staff.url) as bob:
        await bob.sign_in("own")
        rows = await stored(staff)
        assert rows
        for token in [*staff.own.refresh_tokens(), "at-bob-1"]:
            assert not any(token.encode() in row["tokens"] for row in rows)


async def test_who_loses_a_group_loses_its_role_within_five_minutes(staff: Staff) -> None:
    staff.own.groups = ["guards", "admins"]
    async with browser(staff.url) as bob:
        await bob.sign_in("own")
        assert (await bob.who() or {})["grants"] == [
            "admin:acme",
            "viewer:acme/hq",
            "viewer:globex",
        ]
        staff.own.groups = ["guards"]
        staff.pass_time(5 * MINUTE_MS)
        assert (await bob.who() or {})["grants"] == ["viewer:acme/hq"]
        # A new role counts from the next sign-in: then there is a new cookie too.
        staff.own.groups = ["guards", "admins"]
        staff.pass_time(5 * MINUTE_MS)
        assert (await bob.who() or {})["grants"] == ["viewer:acme/hq"]
        staff.own.groups = ["cleaners"]
        staff.pass_time(5 * MINUTE_MS)
        assert await bob.who() is None
        staff.own.groups = ["admins"]
        assert await bob.who() is None


async def test_without_refresh_tokens_the_access_token_asks_until_it_expires(staff: Staff) -> None:
    staff.own.refresh = False
    async with browser(staff.url) as bob:
        await bob.sign_in("own")
        staff.pass_time(5 * MINUTE_MS)
        assert await bob.who() is not None
        assert staff.own.requests.count("/userinfo") == 1
        staff.pass_time(5 * MINUTE_MS)  # it was valid for 10 minutes
        assert await bob.who() is None
    async with browser(staff.url) as bob:
        await bob.sign_in("own")
        staff.own.disabled = True
        staff.pass_time(5 * MINUTE_MS)
        assert await bob.who() is None


async def test_sessions_live_on_for_an_hour_without_the_provider(staff: Staff) -> None:
    away = staff.own.away
    async with browser(staff.url) as bob:
        await bob.sign_in("own")
        began = len(staff.own.requests)
        staff.own.overrides = {"/token": away}
        staff.pass_time(5 * MINUTE_MS)
        for _ in range(5):
            assert await bob.who() is not None
        assert len(staff.own.requests) == began + 1, "asked again only after a while"
        staff.pass_time(RETRY_AFTER_MS + RECHECK_MS)
        assert await bob.who() is not None
        assert len(staff.own.requests) == began + 2
        staff.own.overrides = {}
        staff.pass_time(RETRY_AFTER_MS + RECHECK_MS)
        assert await bob.who() is not None
        staff.own.overrides = {"/token": away}
        for _ in range(11):
            staff.pass_time(5 * MINUTE_MS)
            assert await bob.who() is not None
        staff.pass_time(5 * MINUTE_MS)
        assert await bob.who() is None


async def test_new_sign_ins_get_a_clear_page_while_the_provider_is_away(staff: Staff) -> None:
    staff.own.overrides = {"/.well-known/openid-configuration": staff.own.away}
    async with browser(staff.url) as bob:
        answer = await bob.get("/api/v1/session/oidc/own")
        assert answer.status == 503
        assert "Try again in a minute" in await answer.text()
    # The key of an administrator still works: break-glass.
    assert (await staff.oidc.web.client.get("/api/v1/cameras")).status == 200


async def test_one_check_for_many_requests_over_two_workers(staff: Staff) -> None:
    """A refresh token works once: 20 requests at two workers ask once, and all are answered."""
    async with browser(staff.url) as bob, second_worker(staff.oidc.web) as second:
        await bob.sign_in("own")
        async with browser(second) as elsewhere:
            elsewhere.session.cookie_jar.update_cookies(bob.cookies())
            staff.pass_time(5 * MINUTE_MS)
            asked = staff.own.requests.count("/token")
            found = await asyncio.gather(*(each.who() for each in [bob, elsewhere] * 10))
            assert all(found)
            assert staff.own.requests.count("/token") == asked + 1


async def test_a_request_that_is_cancelled_does_not_lose_the_refresh_token(staff: Staff) -> None:
    async with browser(staff.url) as bob:
        await bob.sign_in("own")
        staff.pass_time(5 * MINUTE_MS)
        hold = staff.own.hold("/token")
        request = asyncio.create_task(bob.who())
        await hold.reached.wait()
        request.cancel()
        hold.release.set()
        for _ in range(3):
            assert await bob.who() is not None
            staff.pass_time(5 * MINUTE_MS)


async def test_a_lie_at_the_renewal_confirms_no_one(staff: Staff) -> None:
    async with browser(staff.url) as bob:
        await bob.sign_in("own")
        staff.own.claims = {"sub": "root"}
        staff.pass_time(5 * MINUTE_MS)
        assert await bob.who() is None
    async with browser(staff.url) as bob:
        staff.be_honest()
        await bob.sign_in("own")
        staff.own.rotates = False
        staff.own.groups = ["admins", "guards"]
        staff.own.header = {"alg": "none"}
        staff.own.sign = lambda head, body: f"{segment(head)}.{segment(body)}."
        for _ in range(11):
            staff.pass_time(5 * MINUTE_MS)
            assert (await bob.who() or {})["grants"] == ["viewer:acme/hq"]
        staff.pass_time(5 * MINUTE_MS)
        assert await bob.who() is None


async def test_who_is_disabled_here_stays_out(staff: Staff) -> None:
    catalog = staff.oidc.web.catalog
    async with browser(staff.url) as bob:
        await bob.sign_in("own")
        found = await find_identity(catalog, staff.own.issuer, "bob-1")
        assert found is not None
        async with catalog.transaction() as connection:
            user = await get_user(connection, found.id)
            assert user is not None
            now_ms = staff.oidc.web.services.clock_ms()
            await change_user(connection, user, display_name="Bob", disabled=True, now_ms=now_ms)
        staff.pass_time(RECHECK_MS)
        assert await bob.who() is None
        answer = await bob.sign_in("own")
        assert (answer.status, await bob.who()) == (403, None)
        assert "is disabled here" in await answer.text()
        async with catalog.transaction() as connection:
            user = await get_user(connection, found.id)
            assert user is not None
            await change_user(connection, user, display_name="Bob", disabled=False, now_ms=now_ms)
        assert (await bob.sign_in("own")).status == 303


async def test_the_last_administrator_loses_his_role_at_the_provider_too(staff: Staff) -> None:
    staff.own.groups = ["admins"]
    async with browser(staff.url) as bob:
        await bob.sign_in("own")
        staff.own.groups = ["guards"]
        staff.pass_time(5 * MINUTE_MS)
        assert await bob.who() is None
        await bob.sign_in("own")
        assert (await bob.who() or {})["grants"] == ["viewer:acme/hq"]


async def test_a_sign_in_with_other_roles_ends_the_persons_other_sessions(staff: Staff) -> None:
    async with browser(staff.url) as bob, browser(staff.url) as bobs_phone:
        await bob.sign_in("own")
        await bobs_phone.sign_in("own")
        assert await bob.who() is not None
        staff.own.groups = ["admins"]
        await bobs_phone.sign_in("own")
        staff.pass_time(RECHECK_MS)
        assert await bob.who() is None
        assert (await bobs_phone.who() or {})["grants"] == ["admin:acme", "viewer:globex"]


async def test_a_forged_logout_token_ends_nothing(staff: Staff) -> None:
    path = "/api/v1/session/oidc/own/logout"
    async with browser(staff.url) as bob:
        await bob.sign_in("own")
        right = staff.own.logout_token()
        wrong = [
            "",
            "x",
            staff.own.logout_token(aud="other"),
            staff.own.logout_token(iss="https://id.example.com"),
            staff.own.logout_token(events={}),
            staff.own.logout_token(nonce="n"),
            staff.own.logout_token(exp=1),
            right[:-8] + "AAAAAAAA",
            staff.own.tokens("bob-1", "n")["id_token"],
        ]
        for token in wrong:
            answer = await bob.session.post(staff.url + path, data={"logout_token": token})
            assert (answer.status, answer.content_type) == (400, "application/problem+json"), token
        staff.pass_time(RECHECK_MS)
        assert await bob.who() is not None
        answer = await bob.session.post(staff.url + path, data={"logout_token": right})
        assert answer.status == 200
        staff.pass_time(RECHECK_MS)
        assert await bob.who() is None
        await bob.sign_in("own")
        answer = await bob.session.post(staff.url + path, data={"logout_token": right})
        assert answer.status == 400, "it was used"
        assert await bob.who() is not None


async def test_who_is_disabled_at_the_provider_loses_his_keys(staff: Staff) -> None:
    staff.own.groups = ["admins"]
    async with browser(staff.url) as bob:
        await bob.sign_in("own")
        keys = staff.url + "/api/v1/keys"
        origin = {"Origin": staff.url, "Sec-Fetch-Site": "same-origin"}

        async def made(**more: object) -> dict[str, str]:
            body = {"name": "Bob's", "grants": ["viewer:acme"], **more}
            answer = await bob.session.post(keys, json=body, headers=origin)
            assert answer.status == 201, await answer.text()
            return {"Authorization": f"Bearer {(await answer.json())['key']}"}

        own, service = await made(), await made(service=True)

        async def accepted(headers: dict[str, str]) -> bool:
            web = staff.oidc.web.stranger
            return (await web.get("/api/v1/cameras", headers=headers)).status == 200

        assert await accepted(own)
        staff.own.disabled = True
        staff.pass_time(5 * MINUTE_MS)
        assert await bob.who() is None
        staff.pass_time(RECHECK_MS)
        assert (await accepted(own), await accepted(service)) == (False, True)
        staff.own.disabled = False
        await bob.sign_in("own")
        staff.pass_time(RECHECK_MS)
        assert await accepted(own)
        # That a session ends because a token ran out is not the provider's word on him.
        staff.own.refresh = False
        await bob.sign_in("own")
        staff.pass_time(15 * MINUTE_MS)
        assert await bob.who() is None
        assert await accepted(own)


async def test_a_provider_can_be_asked_for_a_second_factor(staff: Staff) -> None:
    provider = staff.oidc.web.services.oidc.get("own")
    assert provider is not None
    plain = provider.config
    provider.config = plain.model_copy(
        update={"second_factor_amr": ("mfa",), "second_factor_acr": ("loa2",)}
    )
    try:
        for claims, status in (
            ({}, 403),
            ({"amr": ["pwd"], "acr": "loa1"}, 403),
            ({"amr": "mfa", "acr": ["loa2"]}, 403),
            ({"amr": ["pwd", "mfa"]}, 303),
            ({"acr": "loa2"}, 303),
        ):
            staff.own.claims = claims
            async with browser(staff.url) as bob:
                asked = await bob.begin("own")
                assert "acr_values=loa2" in asked
                answer = await bob.get((await bob.get(asked)).headers["Location"])
                assert answer.status == status, claims
                if status == 403:
                    assert "second factor" in await answer.text()
                    assert await bob.who() is None
    finally:
        provider.config = plain

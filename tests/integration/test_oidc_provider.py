"""A real provider (node-oidc-provider): signing in by its pages, groups, disabling, logout."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from domain.oidc import CHECK_EVERY_MS
from domain.times import utc_ms
from local.ports import HOST, find_free
from stores.catalog.users import find_identity
from tests.integration.oidc_support import ROLES, Browser, OidcWeb, browser, has_session, oidc_web
from tests.node_oidc import CLIENT_SECRET, NodeProvider, sign_in_at
from web.sessions import COOKIE, RECHECK_MS

pytestmark = pytest.mark.asyncio(loop_scope="module")

MINUTE_MS = 60_000


@dataclass
class Staff:
    """The views and a real provider `node`. Its clock is the real one; ours is `skew_ms` later."""

    node: NodeProvider
    oidc: OidcWeb
    skew_ms: int = 0

    @property
    def url(self) -> str:
        return self.oidc.url

    def pass_time(self, ms: int) -> None:
        """Let our clock go on. An hour later the provider's tokens would have expired."""
        self.skew_ms += ms

    async def sign_in(self, person: str, browser: Browser) -> aiohttp.ClientResponse:
        """Sign in by the provider's own pages."""
        url = await browser.begin("node", "/sites")
        return await browser.get(await sign_in_at(browser.session, url, person))

    async def open_sessions(self, person: str) -> int:
        async with self.oidc.web.catalog.transaction() as connection:
            statement = "SELECT count(*) FROM oidc_sessions WHERE sub = $1"
            return int(await connection.fetchval(statement, person))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def staff(services: Any, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Staff]:
    folder = tmp_path_factory.mktemp("oidc")
    port = find_free()
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(
            NodeProvider(folder, f"http://{HOST}:{port}", "node")
        )
        config = {
            "id": "node",
            "name": "Staff",
            "issuer": node.url,
            "client_id": "vigil",
            "client_secret": CLIENT_SECRET,
            "scopes": ["openid", "profile", "groups"],
            "groups": ROLES,
            "loopback_http": True,
        }
        oidc = await stack.enter_async_context(oidc_web(services, folder, [config], port=port))
        staff = Staff(node, oidc)
        oidc.web.services.clock_ms = lambda: utc_ms() + staff.skew_ms
        yield staff


async def test_a_person_signs_in_by_the_providers_own_pages(staff: Staff) -> None:
    await staff.node.allow(ann=["guards"])
    async with browser(staff.url) as ann:
        listed = await (await ann.get("/api/v1/session/oidc")).json()
        assert [each["id"] for each in listed["providers"]] == ["node"]
        answer = await staff.sign_in("ann", ann)
        assert (answer.status, answer.headers["Location"]) == (303, "/sites"), await answer.text()
        cookie = answer.headers.getall("Set-Cookie")[0]
        assert cookie.startswith(f"{COOKIE}=")
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        who = await ann.who() or {}
        assert (who["name"], who["grants"]) == ("ann of the test", ["viewer:acme/hq"])
        assert (await ann.get("/api/v1/cameras")).status == 200
        user = await find_identity(staff.oidc.web.catalog, staff.node.url, "ann")
        assert user is not None
        assert (user.login, user.scope, user.has_password) == (None, "acme", False)


async def test_groups_without_a_role_give_no_access(staff: Staff) -> None:
    await staff.node.allow(eve=["cleaners", "admin:*"])
    async with browser(staff.url) as eve:
        answer = await staff.sign_in("eve", eve)
        text = await answer.text()
        assert (answer.status, has_session(eve)) == (403, False)
        assert "names 2 groups of yours, none with access" in text
        assert "cleaners" not in text
    assert await find_identity(staff.oidc.web.catalog, staff.node.url, "eve") is None


async def test_signing_out_at_the_provider_signs_out_here(staff: Staff) -> None:
    """The provider sends its logout token; a session of another person goes on."""
    await staff.node.allow(ann=["guards"], bob=["guards"])
    async with browser(staff.url) as ann, browser(staff.url) as bob:
        await staff.sign_in("ann", ann)
        await staff.sign_in("bob", bob)
        await staff.node.log_out("ann")
        staff.pass_time(RECHECK_MS)
        assert await ann.who() is None
        assert await bob.who() is not None


async def test_who_is_disabled_at_the_provider_is_out_within_five_minutes(staff: Staff) -> None:
    await staff.node.allow(ann=["guards"])
    async with browser(staff.url) as ann:
        await staff.sign_in("ann", ann)
        for _ in range(3):  # refresh tokens rotate: each works once
            staff.pass_time(CHECK_EVERY_MS)
            assert await ann.who() is not None
        await staff.node.allow()
        staff.pass_time(CHECK_EVERY_MS - 2_000)
        assert await ann.who() is not None
        rows = await staff.open_sessions("ann")
        staff.pass_time(MINUTE_MS)
        assert await ann.who() is None
        assert await staff.open_sessions("ann") == rows - 1, "its tokens are deleted"

"""A browser that signs in by a provider, and the views with the providers of a test."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from local.ports import HOST, find_free
from streams.app import make_app
from streams.settings import get_settings
from tests.hostile_oidc import HostileProvider
from tests.integration.web_support import Web, running_web
from web.sessions import COOKIE
from web.views import serve

START = "/api/v1/session/oidc/{}"
ROLES = {"guards": ["viewer:acme/hq"], "admins": ["admin:acme", "viewer:globex"]}


def provider_config(provider: HostileProvider, name: str, **more: Any) -> dict[str, Any]:
    return {
        "id": name,
        "name": f"Staff of {name}",
        "issuer": provider.issuer,
        "client_id": provider.client_id,
        "client_secret": provider.client_secret,
        "groups": ROLES,
        "loopback_http": True,
        **more,
    }


@dataclass
class Browser:
    """Keeps cookies and follows redirects by hand, so that a test can change each step."""

    session: aiohttp.ClientSession
    web: str

    async def get(self, url: str, **more: Any) -> aiohttp.ClientResponse:
        answer = await self.session.get(
            URL(url if url.startswith("http") else self.web + url, encoded=True),
            allow_redirects=False,
            headers={"Accept": "text/html"},
            **more,
        )
        await answer.read()
        return answer

    async def begin(self, provider: str, path: str = "") -> str:
        """Press the button; return the address at the provider."""
        answer = await self.get(START.format(provider) + (f"?next={path}" if path else ""))
        assert answer.status == 303, await answer.text()
        return answer.headers["Location"]

    async def callback(self, provider: str) -> str:
        """Begin, let the provider sign in, and return the address that it sends the browser to."""
        answer = await self.get(await self.begin(provider))
        assert answer.status == 303, await answer.text()
        return answer.headers["Location"]

    async def sign_in(self, provider: str) -> aiohttp.ClientResponse:
        """Do all of it; return the answer to the callback."""
        return await self.get(await self.callback(provider))

    async def who(self) -> dict[str, Any] | None:
        """Return what the web says about the session; None: 401."""
        answer = await self.get("/api/v1/session")
        if answer.status == 401:
            return None
        assert answer.status == 200, await answer.text()
        return dict(await answer.json())

    def cookies(self) -> dict[str, str]:
        return {each.key: each.value for each in self.session.cookie_jar}


@asynccontextmanager
async def browser(web: str) -> AsyncIterator[Browser]:
    # Addresses, not names: the servers are on the loopback.
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield Browser(session, web)


@dataclass
class OidcWeb:
    """The views with providers, and where they are."""

    web: Web
    url: str


@asynccontextmanager
async def oidc_web(
    services: Any, folder: Path, providers: Sequence[dict[str, Any]], *, port: int = 0
) -> AsyncIterator[OidcWeb]:
    file = folder / "oidc.yaml"
    file.write_text(json.dumps({"providers": list(providers)}))  # JSON is YAML
    port = port or find_free()
    url = f"http://{HOST}:{port}"
    async with running_web(
        services, port=port, VIGIL_OIDC_FILE=str(file), VIGIL_PUBLIC_URL=url
    ) as web:
        yield OidcWeb(web, url)


@asynccontextmanager
async def second_worker(first: Web) -> AsyncIterator[str]:
    """Serve the views a second time on the same catalog; yield the address."""
    app = make_app("web-test-2", web=True)
    served = serve(app, get_settings(), lambda: True)
    served.clock_ms = first.services.clock_ms
    async with TestClient(TestServer(app.web.web_app)) as client:
        yield str(client.make_url("")).rstrip("/")
        await (await served.catalog.get()).__aexit__(None, None, None)


def has_session(browser: Browser) -> bool:
    return COOKIE in browser.cookies()

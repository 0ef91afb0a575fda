"""Who may ask what, and how errors and headers look."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator
from itertools import product

import pytest

from domain.sign_in import LIFETIME_MS
from stores.catalog.keys import revoke_key
from stores.http_server import BoundedRunner
from streams.settings import Settings
from tests.integration.catalog_support import CAMERA, T0, run_id
from tests.integration.web_support import BASE, Web, running_web
from tests.raw_requests import raw_request, send
from tests.waiting import wait_for
from web.access import PUBLIC
from web.middleware import security_headers
from web.sessions import COOKIE, HTTPS_COOKIE, RECHECK_MS
from web.views import VIEWS

RUN = run_id()
OIDC, API = "/api/v1/session/oidc", "/api/v1"
OPEN = {
    "/healthz", "/readyz", "/api/v1/session", "/{path:.*}",
    OIDC, f"{OIDC}/{{provider}}", f"{OIDC}/{{provider}}/callback", f"{OIDC}/{{provider}}/logout",
    f"{API}/openapi.json", f"{API}/docs", f"{API}/docs/style.css", f"{API}/problems/{{name}}",
}  # fmt: skip


@pytest.fixture
async def web(services) -> AsyncIterator[Web]:
    async with running_web(services) as running:
        yield running


def address(view_path: str) -> str:
    tenant, site, camera = CAMERA.split("/")
    named = {
        "tenant": tenant, "site": site, "camera": camera, "run": RUN,
        "window_start_ms": T0, "digest": "0" * 32, "name": "not-found",
    }  # fmt: skip
    # What else a route names: a number fits each of them.
    return view_path.format_map(defaultdict(int, named))


GUARDED = [
    *(view.view_path for view in VIEWS if view.view_path not in OPEN and view.access != PUBLIC),
    "/api/v1/session",
]


async def test_everything_asks_for_a_key(web: Web) -> None:
    assert len(GUARDED) >= 11
    strangers = (
        {},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": f"Basic {web.key}"},
        {"Authorization": "Bearer"},
        {"Cookie": f"{COOKIE}=e30.AAAA"},
    )
    for path, headers in product(GUARDED, strangers):
        answer = await web.stranger.get(address(path), headers=headers)
        assert answer.status == 401, (path, headers)
        assert answer.content_type == "application/problem+json"
        assert (await answer.json())["status"] == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    for path in GUARDED:
        assert (await web.client.get(address(path))).status != 401, path


async def test_unknown_addresses_of_the_api_ask_for_a_key_too(web: Web) -> None:
    assert (await web.stranger.get("/api/v1/nothing")).status == 401
    answer = await web.client.get("/api/v1/nothing")
    assert (answer.status, answer.content_type) == (404, "application/problem+json")


async def test_health_needs_none(web: Web) -> None:
    assert (await web.stranger.get("/healthz")).status == 200
    ready = await web.stranger.get("/readyz")
    assert (ready.status, (await ready.json())["status"]) == (200, "ready")
    web.services.is_ready = lambda: False
    ready = await web.stranger.get("/readyz")
    assert (ready.status, (await ready.json())["checks"]["stream"]) == (503, False)


async def test_signing_in_and_out(web: Web) -> None:
    answer = await web.stranger.post("/api/v1/session", json={"key": f" {web.key} "})
    assert answer.status == 204
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert web.key not in cookie
    value = answer.cookies[COOKIE].value
    sent = {"Cookie": f"{COOKIE}={value}"}
    who = await web.stranger.get("/api/v1/session", headers=sent)
    shown = await who.json()
    assert (shown["name"], shown["grants"]) == ("Ann", ["monitor:*", "viewer:*"])
    assert (shown["id"], shown["login"], shown["has_password"]) == ("key:1", None, False)
    assert (await web.stranger.get("/api/v1/cameras", headers=sent)).status == 200
    out = await web.stranger.delete("/api/v1/session")
    assert out.status == 204
    assert f'{COOKIE}="";' in out.headers["Set-Cookie"]
    assert "Secure" not in cookie
    secure = await web.stranger.post(
        "/api/v1/session", json={"key": web.key}, headers={"X-Forwarded-Proto": "https"}
    )
    set_cookie = secure.headers["Set-Cookie"]
    assert set_cookie.startswith(f"{HTTPS_COOKIE}=")
    assert "Secure" in set_cookie
    assert "Path=/;" in set_cookie
    https = {"X-Forwarded-Proto": "https", "Cookie": set_cookie.partition(";")[0]}
    assert (await web.stranger.get("/api/v1/cameras", headers=https)).status == 200
    plain = {"Cookie": set_cookie.partition(";")[0]}
    web.stranger.session.cookie_jar.clear()
    assert (await web.stranger.get("/api/v1/cameras", headers=plain)).status == 401
    out = await web.stranger.delete("/api/v1/session", headers=https)
    assert out.headers["Set-Cookie"].startswith(f'{HTTPS_COOKIE}="";')
    assert "Secure" in out.headers["Set-Cookie"]
    assert "Strict-Transport-Security" in secure.headers


async def test_signing_in_wrongly(web: Web) -> None:
    for body, status in (
        (b'{"key": "wrong"}', 401),
        (b'{"key": 5}', 400),
        (b"{}", 400),
        (b"[]", 400),
        (b"\xff", 400),
        (b"", 400),
        (b'{"key": "' + b"x" * 5_000 + b'"}', 400),
    ):
        headers = {"Content-Type": "application/json"}
        answer = await web.stranger.post("/api/v1/session", data=body, headers=headers)
        assert (answer.status, answer.content_type) == (status, "application/problem+json"), body


async def test_signing_in_works_however_the_body_is_cut(web: Web) -> None:
    body = b'{"key": "%s"}' % web.key.encode()
    port = web.client.server.port
    assert port is not None
    kind = b"Content-Type: application/json"
    request = raw_request("POST", "/api/v1/session", [kind], body)
    status, head, _ = await send(port, request[:-10], request[-10:])
    assert (status, b"Set-Cookie" in head) == (204, True)


@pytest.mark.parametrize(
    "headers",
    [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil"}],
)
async def test_another_site_cannot_sign_a_browser_in(web: Web, headers: dict[str, str]) -> None:
    body = {"key": web.key}
    answer = await web.stranger.post("/api/v1/session", json=body, headers=headers)
    assert (answer.status, "Set-Cookie" in answer.headers) == (403, False)
    own = {"Origin": f"http://{web.client.server.host}:{web.client.server.port}"}
    answer = await web.stranger.post("/api/v1/session", json=body, headers=own)
    assert answer.status == 204
    assert (await web.stranger.delete("/api/v1/session", headers=headers)).status == 403


async def test_redirected_media_come_from_our_bucket_only() -> None:
    settings = Settings(media_delivery="redirect", s3_bucket="ours", aws_region="eu-west-1")
    policy = security_headers(settings.model_copy(update={"s3_endpoint": None}))[
        "Content-Security-Policy"
    ]
    assert "https://ours.s3.eu-west-1.amazonaws.com" in policy
    assert "*" not in policy


async def test_signing_out_holds_in_other_workers(web: Web) -> None:
    mine, other = [await sign_in(web) for _ in "ab"]
    assert (await web.stranger.delete("/api/v1/session", headers=mine)).status == 204
    # Another worker remembers nothing but the catalog.
    web.services.sessions.forget()
    assert (await web.stranger.get("/api/v1/cameras", headers=mine)).status == 401
    assert (await web.stranger.get("/api/v1/cameras", headers=other)).status == 200
    web.set_now(T0 + LIFETIME_MS + 120_000)
    assert (await web.stranger.get("/api/v1/cameras", headers=other)).status == 401
    last = await sign_in(web)
    assert (await web.stranger.delete("/api/v1/session", headers=last)).status == 204
    async with web.catalog.transaction() as connection:
        rows = await connection.fetchval("SELECT count(*) FROM sessions")
    assert rows == 1, "of the session whose time is not over"


async def test_a_sign_in_never_takes_over_a_session_that_existed(web: Web) -> None:
    """A cookie that somebody planted, or the one before, does not become the new session."""
    before = await sign_in(web)
    for planted in (before, {"Cookie": f"{COOKIE}={'A' * 43}"}):
        answer = await web.stranger.post("/api/v1/session", json={"key": web.key}, headers=planted)
        assert answer.cookies[COOKIE].value not in planted["Cookie"]
        web.stranger.session.cookie_jar.clear()
        assert (await web.stranger.get("/api/v1/cameras", headers=planted)).status == 401


async def test_the_catalog_stores_no_cookie(web: Web) -> None:
    sent = await sign_in(web)
    async with web.catalog.transaction() as connection:
        rows = await connection.fetch("SELECT s::text AS row FROM sessions AS s")
    token = sent["Cookie"].partition("=")[2]
    assert len(rows) == 1
    assert token not in rows[0]["row"]
    assert token.encode().hex() not in rows[0]["row"]


async def sign_in(web: Web) -> dict[str, str]:
    """Sign in as a new browser; return the headers with the cookie."""
    web.stranger.session.cookie_jar.clear()
    answer = await web.stranger.post("/api/v1/session", json={"key": web.key})
    assert answer.status == 204
    web.stranger.session.cookie_jar.clear()  # only the cookies that a test names are sent
    return {"Cookie": f"{COOKIE}={answer.cookies[COOKIE].value}"}


async def test_half_requests_are_closed(web: Web) -> None:
    server = web.client.server
    assert server.port is not None
    runner = server.runner
    assert isinstance(runner, BoundedRunner)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: ")
    before = len(runner.table)
    await wait_for(lambda: len(runner.table) > 0, within_s=10, what=f"{before} connections")
    assert runner.table.check(1e9) >= 1
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read() == b""
    writer.close()
    assert (await web.stranger.get("/healthz")).status == 200


async def test_one_client_cannot_take_all_requests(web: Web) -> None:
    limit = web.services.settings.connections_per_address
    client = "192.0.2.1"
    web.services.clients[client] = limit
    behind_proxy = [{"X-Forwarded-For": address} for address in (client, "192.0.2.2")]
    refused, taken = [
        await web.client.get("/api/v1/cameras", headers=headers) for headers in behind_proxy
    ]
    assert (refused.status, refused.headers["Retry-After"], taken.status) == (503, "2", 200)
    assert dict(web.services.clients) == {client: limit}


async def test_revoking_a_key_ends_its_sessions(web: Web) -> None:
    answer = await web.stranger.post("/api/v1/session", json={"key": web.key})
    sent = {"Cookie": f"{COOKIE}={answer.cookies[COOKIE].value}"}
    assert (await web.stranger.get("/api/v1/cameras", headers=sent)).status == 200
    assert await revoke_key(web.catalog, 1, T0) == "Ann"
    web.set_now(T0 + 60_000 + RECHECK_MS)
    assert (await web.stranger.get("/api/v1/cameras", headers=sent)).status == 401
    assert (await web.client.get("/api/v1/cameras")).status == 401


async def test_security_headers(web: Web) -> None:
    for path in ("/healthz", "/", "/api/v1/cameras", f"{BASE}/playlist.m3u8"):
        headers = (await web.client.get(path)).headers
        policy = headers["Content-Security-Policy"]
        for part in ("frame-ancestors 'none'", "media-src 'self' blob:", "worker-src 'self' blob:"):
            assert part in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "aiohttp" not in headers["Server"]


PROBLEMS = [
    ("PUT", "/api/v1/cameras", 405),
    ("PUT", "/healthz", 405),
    ("GET", f"{BASE}/nothing", 404),
    ("GET", "/api/v1/cameras/acme/hq/unknown", 404),
    ("GET", "/api/v1/cameras/ACME/hq/gate", 404),
    ("GET", "/api/v1/cameras/acme/hq/unknown/timeline?from=0&to=1", 404),
    ("GET", "/api/v1/cameras/acme/hq/unknown/playlist.m3u8?live=1", 404),
    ("GET", f"{BASE}/fragments/{RUN}/0.ts", 404),
    ("GET", f"{BASE}/fragments/nonsense/0.ts", 404),
    ("GET", f"{BASE}/fragments/{RUN}/999999999.ts", 404),
    ("GET", f"{BASE}/chunks/{RUN}/0/..%2f..%2fx.ts", 404),
    ("GET", f"{BASE}/timeline?from=9&to=3", 400),
    ("GET", f"{BASE}/timeline?from=2026-11-22T10:00:00&to=9999999999999", 400),
    ("GET", f"{BASE}/timeline?from=0&to=2678400001", 400),
    ("GET", f"{BASE}/timeline?from=0&to=1&buckets=2001", 400),
    ("GET", f"{BASE}/chunks?from=0&to=90000001", 400),
    ("GET", f"{BASE}/detections?from=0&to=90000001", 400),
    ("GET", f"{BASE}/detections?from=0&to=1&limit=5001", 400),
    ("GET", f"{BASE}/detections?from=0&to=1&min_score=2", 400),
    ("GET", f"{BASE}/detections?from=0&to=1&cursor=WzFd", 400),
    ("GET", f"{BASE}/detections?from=0&to=1&cursor=%C3%A9", 400),
    ("GET", f"{BASE}/playlist.m3u8", 400),
    ("GET", f"{BASE}/playlist.m3u8?from=0&to=90000001", 400),
    ("GET", f"{BASE}/playlist.m3u8?live=1&from=0&to=5", 400),
    ("GET", f"{BASE}/playlist.m3u8?from=0&to=1", 404),
    ("GET", f"{BASE}/thumbnail.jpg", 404),
    ("GET", f"{BASE}/thumbnail.jpg?width=5000", 400),
    ("GET", f"{BASE}/thumbnail.jpg?at=noon", 400),
]


async def test_what_cannot_be_answered_is_a_problem(web: Web) -> None:
    for method, path, status in PROBLEMS:
        answer = await web.client.request(method, path)
        body = await answer.json(content_type="application/problem+json")
        assert (answer.status, body["status"]) == (status, status), (path, body)
        assert body["detail"]
        assert body["title"]


async def test_a_store_that_does_not_answer_is_a_503(web: Web, services) -> None:
    async with web.catalog.transaction() as connection:
        await connection.execute("ALTER TABLE cameras RENAME TO elsewhere")
    answer = await web.client.get("/api/v1/cameras")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
    assert "elsewhere" not in await answer.text()
    assert (await web.stranger.get("/readyz")).status == 503


async def test_the_access_log_and_metrics_hold_no_keys(web: Web, caplog) -> None:
    caplog.set_level("INFO", logger="web.access")
    await web.client.get(f"/api/v1/cameras?key={web.key}")
    await web.stranger.post("/api/v1/session", json={"key": web.key})
    text = await (await web.client.get("/metrics")).text()
    assert "GET /api/v1/cameras 200" in caplog.text
    assert web.key not in caplog.text
    assert web.key not in text
    assert 'route="/api/v1/cameras"' in text


async def test_the_page(web: Web, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("web.pages.DASHBOARD", tmp_path / "dist")
    missing = await web.stranger.get("/")
    assert missing.status == 503
    assert "not built" in await missing.text()
    (tmp_path / "dist" / "assets").mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "dist" / "index.html").write_text("<p>page")
    (tmp_path / "dist" / "assets" / "app-1a2b.js").write_text("1")
    for path in ("/", f"/camera/{CAMERA}", "/index.html"):
        answer = await web.stranger.get(path)
        assert (answer.status, await answer.text()) == (200, "<p>page")
        assert answer.headers["Cache-Control"] == "no-cache"
    asset = await web.stranger.get("/assets/app-1a2b.js")
    assert "immutable" in asset.headers["Cache-Control"]
    assert asset.content_type.endswith("javascript")
    assert (await web.stranger.get("/assets/none.js")).status == 404
    for path in ("/..%2fsecret.txt", "/assets/..%2f..%2fsecret.txt", "/%00.txt"):
        answer = await web.stranger.get(path)
        assert "secret" not in await answer.text()

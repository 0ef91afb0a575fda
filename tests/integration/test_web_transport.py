"""Compression and cross-origin requests, on the real views."""

import gzip
import zlib
from collections.abc import AsyncIterator

import pytest

from stores.catalog import add_camera, index_fragments
from tests.integration.catalog_support import T0, fragment, run_id
from tests.integration.web_support import BASE, Web, running_web, store_fragment
from web.sessions import COOKIE

PORTAL = "https://portal.example.com"
CAMERAS = "/api/v1/cameras"


@pytest.fixture
async def web(services) -> AsyncIterator[Web]:
    async with running_web(services, VIGIL_CORS_ORIGINS=f"{PORTAL}, http://127.0.0.1:5173") as web:
        for number in range(20):
            await add_camera(web.catalog, f"acme/hq/camera-{number}", "Camera", T0)
        yield web


async def test_answers_are_compressed_where_the_client_takes_it(web: Web, tmp_path) -> None:
    run = run_id()
    await index_fragments(web.catalog, [fragment(run, seq) for seq in range(50)], T0)
    media = await store_fragment(web.store, run, 60)
    await index_fragments(web.catalog, [media], T0)
    playlist = f"{BASE}/playlist.m3u8?from={T0}&to={T0 + 200_000}"
    for path in (CAMERAS, playlist, "/api/v1/openapi.json"):
        plain = await web.client.get(path, headers={"Accept-Encoding": "identity"})
        raw = await plain.read()
        assert (plain.status, plain.headers["Vary"]) == (200, "Accept-Encoding, Origin")
        assert "Content-Encoding" not in plain.headers
        async with web.client.session.get(
            web.client.make_url(path), headers={"Accept-Encoding": "gzip"}, auto_decompress=False
        ) as packed:
            body = await packed.read()
            assert packed.headers["Content-Encoding"] == "gzip"
            assert packed.headers["Vary"] == "Accept-Encoding, Origin"
            assert packed.headers["Content-Length"] == str(len(body))
            assert packed.content_type == plain.content_type
        assert gzip.decompress(body) == raw
        assert len(body) < len(raw) / 2
    for path in ("/healthz", f"{BASE}/fragments/{run}/60.ts"):
        answer = await web.client.get(path, headers={"Accept-Encoding": "gzip"})
        assert "Content-Encoding" not in answer.headers, path
    # Pages of a problem are short, and other methods than GET could answer with a secret.
    missing = await web.client.get(f"{CAMERAS}/acme/hq/none", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in missing.headers


async def test_the_tag_of_a_compressed_answer_is_its_own(web: Web) -> None:
    plain = await web.client.get(CAMERAS, headers={"Accept-Encoding": "identity"})
    packed = await web.client.get(CAMERAS, headers={"Accept-Encoding": "gzip"})
    assert packed.headers["ETag"] == plain.headers["ETag"][:-1] + '-gzip"'
    for tag in (plain.headers["ETag"], packed.headers["ETag"]):
        for coding in ("gzip", "identity"):
            known = {"If-None-Match": tag, "Accept-Encoding": coding}
            again = await web.client.get(CAMERAS, headers=known)
            assert (again.status, again.headers["ETag"]) == (304, tag)


async def test_the_dashboards_files_are_compressed_once(
    web: Web, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.pages.DASHBOARD", tmp_path)
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "app-1a2b.js").write_bytes(b"let a = 1;\n" * 5_000)
    calls = []
    monkeypatch.setattr(
        "web.compression.gzip", lambda body: calls.append(body) or gzip.compress(body)
    )
    for _ in range(3):
        async with web.stranger.get("/assets/app-1a2b.js") as answer:
            assert answer.headers["Content-Encoding"] == "gzip"
            assert await answer.read() == b"let a = 1;\n" * 5_000
    assert len(calls) == 1


async def test_a_page_of_an_allowed_origin_may_use_the_api(web: Web) -> None:
    asked = {"Origin": PORTAL, "Access-Control-Request-Method": "PATCH"}
    for path in (CAMERAS, f"{CAMERAS}/acme/hq/gate", "/api/v1/nothing"):
        preflight = await web.stranger.options(path, headers=asked)
        assert (preflight.status, await preflight.read()) == (204, b"")
        assert preflight.headers["Access-Control-Allow-Origin"] == PORTAL
        assert "PATCH" in preflight.headers["Access-Control-Allow-Methods"]
        assert "If-Match" in preflight.headers["Access-Control-Allow-Headers"]
        assert "Access-Control-Allow-Credentials" not in preflight.headers
    sent = {"Origin": PORTAL, "Sec-Fetch-Site": "cross-site"}
    for client, path, status in (
        (web.client, CAMERAS, 200),
        (web.client, f"{CAMERAS}/acme/hq/none", 404),
        (web.stranger, CAMERAS, 401),
    ):
        answer = await client.get(path, headers=sent)
        assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (status, PORTAL)
        assert "ETag" in answer.headers["Access-Control-Expose-Headers"]
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert "Origin" in answer.headers["Vary"]


async def test_others_may_not(web: Web) -> None:
    for origin in ("https://evil.example", "null", "http://portal.example.com", PORTAL + ".x", ""):
        asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
        preflight = await web.stranger.options(CAMERAS, headers=asked)
        assert preflight.status in {401, 405}
        answer = await web.client.get(CAMERAS, headers={"Origin": origin})
        for each in (preflight, answer):
            assert not [name for name in each.headers if name.startswith("Access-Control-")]
            assert "Origin" in each.headers["Vary"], "a cache must not give it to the portal"


async def test_an_allowed_page_has_no_session(web: Web) -> None:
    signed_in = await web.stranger.post("/api/v1/session", json={"key": web.key})
    cookie = {"Cookie": f"{COOKIE}={signed_in.cookies[COOKIE].value}"}
    sent = {"Origin": PORTAL, "Sec-Fetch-Site": "cross-site", **cookie}
    out = await web.stranger.delete("/api/v1/session", headers=sent)
    assert out.status == 403
    refused = await web.stranger.post("/api/v1/session", json={"key": web.key}, headers=sent)
    assert (refused.status, "Set-Cookie" in refused.headers) == (403, False)
    files = await web.stranger.get("/", headers={"Origin": PORTAL})
    assert "Access-Control-Allow-Origin" not in files.headers, "only the API"


def test_gzip_is_the_same_each_time() -> None:
    from web.compression import gzip as pack

    assert pack(b"a" * 5_000) == pack(b"a" * 5_000)
    assert zlib.decompress(pack(b"a" * 5_000), wbits=31) == b"a" * 5_000

"""Providers that lie: no one gets in, in bounded time and memory, with a clear text."""

import asyncio
import random
import resource
import secrets
import time
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import pytest_asyncio
from aiohttp import web as aiohttp_web
from joserfc.jwk import RSAKey

from streams.metrics import REGISTRY
from tests.hostile_oidc import (
    EC_KEY,
    RSA_KEY,
    HostileProvider,
    endless,
    hmac_signed,
    redirect,
    segment,
    signed,
    slow,
)
from tests.integration.oidc_support import (
    Browser,
    OidcWeb,
    browser,
    has_session,
    oidc_web,
    provider_config,
    second_worker,
)
from web.oidc import http

pytestmark = pytest.mark.asyncio(loop_scope="module")

STRANGE_KEY = RSAKey.generate_key(2048, {"kid": "strange"})
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    WEAK_KEY = RSAKey.generate_key(1024, {"kid": "weak"})


@dataclass
class Hostile:
    """One hostile provider `a`, an honest one `b`, and the views that know both."""

    provider: HostileProvider
    other: HostileProvider
    oidc: OidcWeb

    @property
    def url(self) -> str:
        return self.oidc.url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(
    services: Any, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Hostile]:
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(HostileProvider())
        other = await stack.enter_async_context(HostileProvider())
        configs = [provider_config(provider, "a"), provider_config(other, "b")]
        folder = tmp_path_factory.mktemp("oidc")
        oidc = await stack.enter_async_context(oidc_web(services, folder, configs))
        yield Hostile(provider, other, oidc)


@pytest.fixture
def hostile(running: Hostile) -> Hostile:
    """Return both providers honest again, a day later: what was cached of them is too old."""
    web = running.oidc.web
    web.set_now(web.services.clock_ms() + DAY_MS)
    for each, subject in ((running.provider, "ann-1"), (running.other, "bob-1")):
        each.reset(subject)
        each.clock = lambda: web.services.clock_ms() / 1_000
    return running


def refusals(provider: str, reason: str) -> float:
    labels = {"provider": provider, "outcome": reason}
    return REGISTRY.get_sample_value("vigil_oidc_sign_ins_total", labels) or 0.0


async def refused(
    hostile: Hostile,
    browser: Browser,
    reason: str,
    answer: Any = None,
    *,
    by: str = "a",
) -> str:
    """Sign in, and check that it is refused for this reason; return the page."""
    before = refusals(by, reason)
    if answer is None:
        answer = await browser.sign_in(by)
        assert refusals(by, reason) == before + 1
    assert refusals(by, reason) > 0
    text: str = await answer.text()
    assert f" · {reason} · " in text, text
    assert 400 <= answer.status < 600, answer.status
    assert answer.status != 500
    assert answer.content_type == "text/html"
    assert not has_session(browser)
    assert await browser.who() is None
    return text


Lie = Callable[[HostileProvider], None]
DAY_MS = 25 * 3_600_000
NOW = 1_000_000_000
"""Far before the test's time."""
RSA_PUBLIC_PEM = RSA_KEY.as_pem(private=False)


def claims(**changes: Any) -> Lie:
    return lambda provider: provider.claims.update(changes)


def header(key: Any = RSA_KEY, **fields: Any) -> Lie:
    def change(provider: HostileProvider) -> None:
        provider.header = {"alg": "RS256", "kid": "rsa"} | fields
        provider.sign = lambda head, body: signed(head, body, key)

    return change


def forged(sign: Callable[[dict[str, Any], dict[str, Any]], str], **fields: Any) -> Lie:
    def change(provider: HostileProvider) -> None:
        provider.header = fields
        provider.sign = sign

    return change


def with_keys(*keys: dict[str, Any], **fields: Any) -> Lie:
    def change(provider: HostileProvider) -> None:
        provider.keys = list(keys)
        provider.header = {"alg": "RS256", "kid": "rsa"} | fields
        provider.header = {name: value for name, value in provider.header.items() if value}

    return change


def more_keys(*keys: dict[str, Any]) -> Lie:
    return lambda provider: provider.keys.extend(keys)


def both(*lies: Lie) -> Lie:
    def change(provider: HostileProvider) -> None:
        for lie in lies:
            lie(provider)

    return change


def unsigned(head: dict[str, Any], body: dict[str, Any]) -> str:
    return f"{segment(head)}.{segment(body)}."


def tampered(head: dict[str, Any], body: dict[str, Any]) -> str:
    first, _, last = signed(head, body, RSA_KEY).split(".")
    return f"{first}.{segment(body | {'sub': 'root'})}.{last}"


PUBLIC = RSA_KEY.as_dict(private=False)
STRANGE = STRANGE_KEY.as_dict(private=False)

LIES: list[tuple[str, str, Lie]] = [
    ("no signature, alg none", "algorithm", forged(unsigned, alg="none", kid="rsa")),
    ("alg None in other letters", "algorithm", forged(unsigned, alg="nOnE", kid="rsa")),
    ("no alg", "algorithm", forged(unsigned, kid="rsa")),
    ("alg is a list", "algorithm", forged(unsigned, alg=["RS256"], kid="rsa")),
    (
        "HS256 with the public key as secret",
        "algorithm",
        forged(lambda head, body: hmac_signed(head, body, RSA_PUBLIC_PEM), alg="HS256", kid="rsa"),
    ),
    (
        "HS256 with the client's own secret",
        "algorithm",
        forged(lambda head, body: hmac_signed(head, body, b"a secret"), alg="HS256"),
    ),
    (
        "HS256 with a secret of the JWKS",
        "algorithm",
        both(
            more_keys({"kty": "oct", "k": segment(b"k" * 32), "kid": "oct"}),
            forged(lambda head, body: hmac_signed(head, body, b"k" * 32), alg="HS256", kid="oct"),
        ),
    ),
    ("changed claims", "signature", lambda p: setattr(p, "sign", tampered)),
    ("signature of another key", "signature", header(STRANGE_KEY)),
    ("signature cut off", "signature", lambda p: setattr(p, "sign", unsigned)),
    ("key that is not listed", "key", header(STRANGE_KEY, kid="strange")),
    ("key named by a path", "key", header(STRANGE_KEY, kid="../../dev/null")),
    ("no kid, several keys fit", "key", with_keys(PUBLIC, STRANGE, kid=None)),
    ("two keys of one kid", "key", with_keys(PUBLIC, {**STRANGE, "kid": "rsa"})),
    ("kid of a key of another type", "key", header(RSA_KEY, kid="ec")),
    ("kid is a number", "header", header(RSA_KEY, kid=7)),
    ("key for encryption", "key", with_keys({**PUBLIC, "use": "enc"})),
    ("key for another algorithm", "key", with_keys({**PUBLIC, "alg": "RS512"})),
    (
        "weak key",
        "key",
        both(more_keys(WEAK_KEY.as_dict(private=False)), header(WEAK_KEY, kid="weak")),
    ),
    (
        "RSA algorithm with the elliptic key",
        "key",
        forged(lambda h, b: signed({**h, "alg": "ES256"}, b, EC_KEY), alg="ES256", kid="rsa"),
    ),
    ("crit", "header", header(crit=["exp"], exp=1)),
    ("embedded jwk", "header", header(STRANGE_KEY, jwk=STRANGE)),
    ("jku", "header", header(STRANGE_KEY, jku="https://evil.example/jwks")),
    ("x5u", "header", header(STRANGE_KEY, x5u="https://evil.example/x5u")),
    ("x5c", "header", header(STRANGE_KEY, x5c=["AAAA"])),
    ("access token as ID token", "header", header(typ="at+jwt")),
    ("encrypted", "token", lambda p: setattr(p, "sign", lambda _h, _b: "a.b.c.d.e")),
    ("not a token", "token", lambda p: setattr(p, "sign", lambda _h, _b: "x")),
    ("huge token", "token", lambda p: setattr(p, "sign", lambda _h, _b: "a." * 2 + "b" * 70_000)),
    ("not text", "token", lambda p: setattr(p, "sign", lambda _h, _b: "é.é.é")),
    (
        "nested header",
        "token",
        lambda p: setattr(p, "sign", lambda _h, _b: f"{segment(b'[' * 20_000)}.e30.AA"),
    ),
    ("ID token is a number", "answer", lambda p: p.token.update(id_token=5)),
    ("no ID token", "answer", lambda p: p.token.update(id_token=None)),
    ("other audience", "audience", claims(aud="other")),
    ("two audiences, no azp", "audience", claims(aud=["vigil", "other"])),
    ("two audiences, wrong azp", "audience", claims(aud=["vigil", "other"], azp="other")),
    ("wrong azp", "audience", claims(azp="other")),
    ("other issuer", "issuer", claims(iss="https://id.example.com")),
    ("no issuer", "issuer", claims(iss=None)),
    ("no nonce", "nonce", claims(nonce=None)),
    ("replayed nonce", "nonce", claims(nonce="of-an-earlier-sign-in")),
    ("expired", "time", claims(exp=NOW)),
    ("no exp", "time", claims(exp=None)),
    ("of the future", "time", claims(iat=NOW * 10, exp=NOW * 11)),
    ("infinite", "time", claims(exp=float("inf"))),
    ("no subject", "subject", claims(sub=None)),
    ("groups are a number", "groups", claims(groups=7)),
    ("100,000 groups", "groups", claims(groups=["g"] * 3_000)),
    ("no groups", "no-access", claims(groups=[])),
    ("groups without a role", "no-access", claims(groups=["guard", "Guards", "*", "admin:*"])),
    ("other access token", "token", claims(at_hash="AAAA")),
    (
        "user info of another person",
        "subject",
        both(claims(groups=None), lambda p: p.token.update(access_token="at-someone")),
    ),
    ("iss of the answer", "issuer", lambda p: p.callback.update(iss="https://id.example.com")),
    ("no iss in the answer", "issuer", lambda p: p.callback.update(iss=None)),
    ("no code", "request", lambda p: p.callback.update(code=None)),
    ("wrong code", "refused", lambda p: p.callback.update(code="guessed")),
    ("no state", "state", lambda p: p.callback.update(state=None)),
    ("wrong state", "state", lambda p: p.callback.update(state="guessed")),
]


@pytest.mark.parametrize(("reason", "lie"), [x[1:] for x in LIES], ids=[x[0] for x in LIES])
async def test_no_one_gets_in_by_a_lie(hostile: Hostile, reason: str, lie: Lie) -> None:
    lie(hostile.provider)
    async with browser(hostile.url) as strange:
        await refused(hostile, strange, reason)


async def test_honest_providers_let_their_people_in(hostile: Hostile) -> None:
    async with browser(hostile.url) as ann, browser(hostile.url) as bob:
        answer = await ann.sign_in("a")
        assert (answer.status, answer.headers["Location"]) == (303, "/"), await answer.text()
        assert (await ann.who() or {})["grants"] == ["viewer:acme/hq"]
        await bob.sign_in("b")
        assert has_session(bob)


async def test_large_keys_cost_little(hostile: Hostile) -> None:
    """100 MB of JWKS, discovery, tokens: all are cut off at 256 KiB."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for path in ("/jwks", "/token"):
        hostile.provider.overrides = {path: endless}
        async with browser(hostile.url) as strange:
            await refused(hostile, strange, "answer")
    hostile.oidc.web.set_now(hostile.oidc.web.services.clock_ms() + DAY_MS)
    hostile.provider.overrides = {"/.well-known/openid-configuration": endless}
    async with browser(hostile.url) as strange:
        answer = await strange.get("/api/v1/session/oidc/a")
        await refused(hostile, strange, "answer", answer)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 32 << 10, "KiB: the test's own server sends 64 KiB at a time"


async def test_a_slow_provider_costs_a_bounded_time(
    hostile: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten people wait for keys that never come: together as long as one."""
    provider = hostile.oidc.web.services.oidc.get("a")
    assert provider is not None
    monkeypatch.setattr(provider._http, "_timeout_s", 1.0)
    hostile.provider.overrides = {"/jwks": slow}
    async with AsyncExitStack() as stack:
        people = [await stack.enter_async_context(browser(hostile.url)) for _ in range(10)]
        callbacks = [await each.callback("a") for each in people]
        answers = await asyncio.gather(
            *(each.get(url) for each, url in zip(people, callbacks, strict=True))
        )
        for answer in answers:
            assert answer.status == 503
            assert "does not answer" in await answer.text()
    assert hostile.provider.requests.count("/jwks") <= 1, "one waits for all"


async def test_compressed_answers_are_refused(hostile: Hostile) -> None:
    async def bomb(_: aiohttp_web.Request) -> aiohttp_web.Response:
        return aiohttp_web.Response(body=b"x", headers={"Content-Encoding": "gzip"})

    hostile.provider.overrides = {"/jwks": bomb}
    async with browser(hostile.url) as strange:
        await refused(hostile, strange, "answer")


async def test_redirects_are_not_followed(hostile: Hostile) -> None:
    for path in ("/jwks", "/token"):
        hostile.provider.overrides = {path: redirect(f"{hostile.other.url}/metadata")}
        async with browser(hostile.url) as strange:
            await refused(hostile, strange, "answer")
    assert "/metadata" not in hostile.other.requests


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"issuer": "https://id.example.com"}, "issuer"),
        ({"issuer": None}, "issuer"),
        ({"jwks_uri": "http://id.example.com/jwks"}, "answer"),
        ({"jwks_uri": "file:///etc/passwd"}, "answer"),
        ({"token_endpoint": "http://169.254.169.254/token"}, "answer"),
        ({"token_endpoint": None}, "answer"),
        ({"token_endpoint": ["https://a"]}, "answer"),
        ({"token_endpoint": "https://user:password@id.example.com/"}, "answer"),
        ({"token_endpoint": "https://id.example.com:99999/"}, "answer"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "answer"),
        ({"authorization_endpoint": "https://a\r\nSet-Cookie: x"}, "answer"),
        ({"userinfo_endpoint": "gopher://id.example.com/"}, "answer"),
        ({"id_token_signing_alg_values_supported": ["HS256", "none"]}, "answer"),
        ({"code_challenge_methods_supported": ["plain"]}, "answer"),
        ({"response_types_supported": ["id_token"]}, "answer"),
    ],
)
async def test_a_wrong_discovery_document_begins_no_sign_in(
    hostile: Hostile, change: dict[str, Any], reason: str
) -> None:
    hostile.provider.discovery = change
    async with browser(hostile.url) as strange:
        answer = await strange.get("/api/v1/session/oidc/a")
        await refused(hostile, strange, reason, answer)
        assert not strange.cookies()


async def test_keys_at_an_inner_address_are_not_asked_for(hostile: Hostile) -> None:
    """https, but private: the name or address is refused when the socket is made."""
    for address in ("10.0.0.1", "169.254.169.254", "[fd00::1]", "[::ffff:192.168.0.1]"):
        hostile.oidc.web.set_now(hostile.oidc.web.services.clock_ms() + DAY_MS)
        hostile.provider.discovery = {"jwks_uri": f"https://{address}/jwks"}
        async with browser(hostile.url) as strange:
            began = time.monotonic()
            await refused(hostile, strange, "unreachable")
            assert time.monotonic() - began < http.TIMEOUT_S, "refused, not timed out"


async def test_an_answer_of_one_provider_is_not_one_of_another(hostile: Hostile) -> None:
    """Mix-up: the person begins at `a`; what comes back is of `b`, or is sent to `b`."""
    async with browser(hostile.url) as person:
        back = urlsplit(await person.callback("a"))
        elsewhere = f"{hostile.url}/api/v1/session/oidc/b/callback?{back.query}"
        await refused(hostile, person, "state", await person.get(elsewhere), by="b")
    async with browser(hostile.url) as person:
        # `a` sends the browser on to the honest `b`, with a's state: b's code comes to a.
        url = urlsplit(await person.begin("a"))
        moved = await person.get(f"{hostile.other.url}/authorize?{url.query}")
        asked = hostile.provider.requests.count("/token")
        await refused(hostile, person, "issuer", await person.get(moved.headers["Location"]))
        assert hostile.provider.requests.count("/token") == asked, "b's code was sent to a"


async def test_an_answer_works_once_over_all_workers(hostile: Hostile) -> None:
    async with browser(hostile.url) as ann, second_worker(hostile.oidc.web) as second:
        url = await ann.callback("a")
        # The same cookie and answer at both workers at the same time, as a thief would.
        cookie = ann.cookies()
        async with browser(second) as thief:
            thief.session.cookie_jar.update_cookies(cookie)
            path = url.removeprefix(hostile.url)
            answers = await asyncio.gather(ann.get(url), thief.get(path), ann.get(url))
            texts = [await each.text() for each in answers]
        assert sorted(each.status for each in answers) == [303, 400, 400], texts
        assert sum(" · reused · " in text for text in texts) == 2
    assert hostile.provider.requests.count("/token") == 1


async def test_a_used_answer_is_refused_later(hostile: Hostile) -> None:
    async with browser(hostile.url) as ann:
        url = await ann.callback("a")
        kept = ann.cookies()
        assert (await ann.get(url)).status == 303
        assert "vigil_oidc" not in ann.cookies()
    async with browser(hostile.url) as thief:
        await refused(hostile, thief, "cookie", await thief.get(url))
        thief.session.cookie_jar.update_cookies(kept)
        await refused(hostile, thief, "reused", await thief.get(url))


async def test_a_code_that_the_provider_gives_twice_works_once(hostile: Hostile) -> None:
    """The provider accepts any code: then state, nonce and verifier still bind the answer."""
    hostile.provider.checks_code = False
    async with browser(hostile.url) as ann, browser(hostile.url) as thief:
        url = await ann.callback("a")
        assert (await ann.get(url)).status == 303
        hostile.provider.callback = {"code": parse_qs(urlsplit(url).query)["code"][0]}
        # The second use has the nonce of no sign-in.
        await refused(hostile, thief, "nonce")


async def test_an_answer_belongs_to_the_browser_that_began(hostile: Hostile) -> None:
    """Login CSRF: a person who is sent the attacker's answer is not signed in as the attacker."""
    async with browser(hostile.url) as attacker, browser(hostile.url) as victim:
        link = await attacker.callback("a")
        await refused(hostile, victim, "cookie", await victim.get(link))
        await victim.begin("a")
        await refused(hostile, victim, "state", await victim.get(link))


async def test_a_sign_in_ends_after_ten_minutes(hostile: Hostile) -> None:
    async with browser(hostile.url) as slow_person:
        url = await slow_person.callback("a")
        web = hostile.oidc.web
        web.set_now(web.services.clock_ms() + 10 * 60_000)
        await refused(hostile, slow_person, "cookie", await slow_person.get(url))


@pytest.mark.parametrize(
    "cookie", ["", "x", "AAAA", "e30.AAAA", "A" * 4_000, "%00", "=" * 100, "A" * 300]
)
async def test_a_forged_cookie_is_none(hostile: Hostile, cookie: str) -> None:
    async with browser(hostile.url) as strange:
        strange.session.cookie_jar.update_cookies({"vigil_oidc": cookie})
        url = "/api/v1/session/oidc/a/callback?state=x&code=y"
        await refused(hostile, strange, "cookie", await strange.get(url))


@pytest.mark.parametrize(
    "query",
    [
        "state=a&state=b&code=c",
        "state=a&code=b&code=c",
        "iss=a&iss=b",
        "error=a&error=b",
    ],
)
async def test_a_parameter_that_is_there_twice_is_refused(hostile: Hostile, query: str) -> None:
    async with browser(hostile.url) as strange:
        url = f"/api/v1/session/oidc/a/callback?{query}"
        await refused(hostile, strange, "request", await strange.get(url))


async def test_the_providers_words_are_shown_as_text(hostile: Hostile) -> None:
    words = "<script>alert(1)</script>\r\n\x1b[2J&amp;" + "x" * 4_000
    hostile.provider.callback = {"code": None, "error": "server_error", "error_description": words}
    async with browser(hostile.url) as person:
        text = await refused(hostile, person, "cancelled")
        assert "<script>" not in text
        assert "&lt;script&gt;alert(1)" in text
        assert "\x1b" not in text
        assert len(text) < 3_000
    async with browser(hostile.url) as stranger:
        # Only who began a sign-in sees a provider's words: a link cannot put words on our page.
        url = "/api/v1/session/oidc/a/callback?" + urlencode({"error": "call 555 now"})
        text = await refused(hostile, stranger, "cookie", await stranger.get(url))
        assert "555" not in text


async def test_unknown_keys_are_read_once_a_minute(hostile: Hostile) -> None:
    async with browser(hostile.url) as ann:
        assert (await ann.sign_in("a")).status == 303
    assert hostile.provider.requests.count("/jwks") == 1
    web = hostile.oidc.web
    header(STRANGE_KEY, kid="strange")(hostile.provider)
    for after_ms, asked in ((1_000, 1), (58_000, 1), (1_000, 2), (1_000, 2), (59_000, 3)):
        web.set_now(web.services.clock_ms() + after_ms)
        async with browser(hostile.url) as strange:
            await refused(hostile, strange, "key")
        assert hostile.provider.requests.count("/jwks") == asked
    # The provider has new keys, and lists them: its people get in a minute later.
    hostile.provider.keys = [STRANGE]
    web.set_now(web.services.clock_ms() + 60_000)
    async with browser(hostile.url) as ann:
        assert (await ann.sign_in("a")).status == 303


async def test_junk_never_ends_in_a_fault_of_ours(hostile: Hostile) -> None:
    """Random answers of each endpoint: refused with a reason, never 500."""
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    chooser = random.Random(seed)
    junk = [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"[" * 9_000,
        b'{"keys": 5}',
        b'{"keys": [5, {}]}',
        b"\xff",
        b'{"keys": [{"kty": "RSA", "n": "AQ", "e": "AQAB", "kid": "rsa"}]}',
        b'{"id_token": "a.b.c", "access_token": {}}',
        b'{"error": {"a": [1]}}',
        b"1" * 5_000,
    ]
    for _ in range(30):
        web = hostile.oidc.web
        web.set_now(web.services.clock_ms() + DAY_MS)
        path = chooser.choice(["/.well-known/openid-configuration", "/token", "/jwks", "/userinfo"])
        body, status = (
            chooser.choice(junk),
            chooser.choice([200, 200, 204, 400, 401, 404, 429, 500]),
        )

        async def answer(
            _: aiohttp_web.Request, body: bytes = body, status: int = status
        ) -> aiohttp_web.Response:
            return aiohttp_web.Response(
                body=None if status == 204 else body, status=status, content_type="application/json"
            )

        hostile.provider.claims = {"groups": None}  # so that the user info is asked
        hostile.provider.overrides = {path: answer}
        async with browser(hostile.url) as strange:
            began = await strange.get("/api/v1/session/oidc/a")
            if began.status == 303:
                back = await strange.get(began.headers["Location"])
                began = await strange.get(back.headers["Location"])
            assert began.status in {303, 400, 403, 502, 503}, (path, body, status)
            if began.status == 303:  # the user info says nothing; the token has no groups
                raise AssertionError((path, body, status))
            assert not has_session(strange)

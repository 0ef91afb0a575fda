"""An OpenID provider that can lie in every way, on the loopback. Each lie is one attribute.

/authorize   signs everybody in at once, and sends the browser back with a code
/token       answers with tokens as `claims`, `header` and `sign` say
"""

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, fields
from typing import Any
from urllib.parse import parse_qs, urlencode

from aiohttp import web
from aiohttp.test_utils import TestServer
from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

from domain.oidc import LOGOUT_EVENT

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

RSA_KEY = RSAKey.generate_key(2048, {"kid": "rsa"})
EC_KEY = ECKey.generate_key("P-256", {"kid": "ec"})
ED_KEY = OKPKey.generate_key("Ed25519", {"kid": "ed"})


def segment(data: bytes | dict[str, Any]) -> str:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(header: dict[str, Any], claims: dict[str, Any], key: Any) -> str:
    """Sign, whatever the header says besides `alg`: the library would refuse some of it."""
    text = f"{segment(header)}.{segment(claims)}"
    algorithm = jws.JWSRegistry.algorithms[header["alg"]]
    return f"{text}.{segment(algorithm.sign(text.encode(), key))}"


def hmac_signed(header: dict[str, Any], claims: dict[str, Any], key: bytes) -> str:
    """Sign with HS256, by hand: the library rightly refuses a public key as the secret."""
    text = f"{segment(header)}.{segment(claims)}"
    return f"{text}.{segment(hmac.digest(key, text.encode(), 'sha256'))}"


@dataclass
class Hold:
    """A request that waits at the provider."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class HostileProvider:
    """Honest until an attribute is changed. Use as an async context manager."""

    client_id: str = "vigil"
    client_secret: str = "a secret: with/odd+characters"
    subject: str = "ann-1"
    groups: object = field(default_factory=lambda: ["guards"])
    issuer: str = ""
    discovery: dict[str, Any] = field(default_factory=dict)
    """Changes of the discovery document; None deletes."""
    claims: dict[str, Any] = field(default_factory=dict)
    """Changes of the ID token's claims; None deletes."""
    header: dict[str, Any] = field(default_factory=lambda: {"alg": "RS256", "kid": "rsa"})
    sign: Callable[[dict[str, Any], dict[str, Any]], str] = field(
        default=lambda header, claims: signed(header, claims, RSA_KEY)
    )
    keys: list[dict[str, Any]] = field(
        default_factory=lambda: [key.as_dict(private=False) for key in (RSA_KEY, EC_KEY, ED_KEY)]
    )
    callback: dict[str, Any] = field(default_factory=dict)
    """Changes of what the browser brings back; None deletes."""
    overrides: dict[str, Answer] = field(default_factory=dict)
    """Path -> a handler that answers instead."""
    token: dict[str, Any] = field(default_factory=dict)
    """Changes of the token endpoint's answer; None deletes."""
    refresh: bool = True
    rotates: bool = True
    """A refresh token works once."""
    disabled: bool = False
    checks_code: bool = True
    requests: list[str] = field(default_factory=list)
    clock: Callable[[], float] = time.time
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)
    _refresh: dict[str, str] = field(default_factory=dict)

    def reset(self, subject: str) -> None:
        """Make the provider honest again."""
        honest = HostileProvider(subject=subject)
        for each in fields(self):
            if each.name not in {"issuer", "client_id", "client_secret"}:
                setattr(self, each.name, getattr(honest, each.name))

    def refresh_tokens(self) -> list[str]:
        return list(self._refresh)

    def logout_token(self, **changes: Any) -> str:
        now = int(self.clock())
        claims = {
            "iss": self.issuer,
            "aud": self.client_id,
            "iat": now,
            "exp": now + 120,
            "jti": secrets.token_urlsafe(8),
            "sub": self.subject,
            "events": {LOGOUT_EVENT: {}},
        }
        head = {"alg": "RS256", "kid": "rsa", "typ": "logout+jwt"}
        return signed(head, changed(claims, changes), RSA_KEY)

    async def away(self, _: web.Request) -> web.Response:
        """Answer as a provider that does not work."""
        return web.Response(status=503)

    def hold(self, path: str) -> "Hold":
        """Let the next requests of a path wait until they are released."""
        hold = Hold()

        async def answer(request: web.Request) -> web.StreamResponse:
            hold.reached.set()
            await hold.release.wait()
            del self.overrides[path]
            return await self._answer(request)

        self.overrides[path] = answer
        return hold

    async def __aenter__(self) -> "HostileProvider":
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self.server = TestServer(app)
        await self.server.start_server()
        self.url = str(self.server.make_url("")).rstrip("/")
        self.issuer = self.url
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.server.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request.path)
        if request.path in self.overrides:
            return await self.overrides[request.path](request)
        handler = {
            "/.well-known/openid-configuration": self._discover,
            "/authorize": self._authorize,
            "/token": self._token,
            "/jwks": self._jwks,
            "/userinfo": self._user_info,
        }.get(request.path)
        return web.Response(status=404) if handler is None else await handler(request)

    async def _discover(self, _: web.Request) -> web.Response:
        return web.json_response(
            changed(
                {
                    "issuer": self.issuer,
                    "authorization_endpoint": f"{self.url}/authorize",
                    "token_endpoint": f"{self.url}/token",
                    "jwks_uri": f"{self.url}/jwks",
                    "userinfo_endpoint": f"{self.url}/userinfo",
                    "response_types_supported": ["code"],
                    "code_challenge_methods_supported": ["S256"],
                    "id_token_signing_alg_values_supported": ["RS256", "ES256"],
                    "authorization_response_iss_parameter_supported": True,
                },
                self.discovery,
            )
        )

    async def _authorize(self, request: web.Request) -> web.Response:
        query = dict(request.query)
        code = secrets.token_urlsafe(16)
        self._codes[code] = query
        back = changed({"code": code, "state": query["state"], "iss": self.issuer}, self.callback)
        return web.Response(
            status=303, headers={"Location": f"{query['redirect_uri']}?{urlencode(back)}"}
        )

    async def _jwks(self, _: web.Request) -> web.Response:
        return web.json_response({"keys": self.keys})

    async def _user_info(self, request: web.Request) -> web.Response:
        subject = request.headers.get("Authorization", "").removeprefix("Bearer at-")
        if self.disabled:
            return web.json_response({"error": "invalid_token"}, status=401)
        return web.json_response({"sub": subject, "groups": self.groups})

    async def _token(self, request: web.Request) -> web.Response:
        form = {name: values[0] for name, values in parse_qs(await request.text()).items()}
        nonce, subject = None, self.subject
        if form["grant_type"] == "refresh_token":
            known = self._refresh.get(form["refresh_token"])
            if self.rotates:
                self._refresh.pop(form["refresh_token"], None)
            if known is None or self.disabled:
                return web.json_response({"error": "invalid_grant"}, status=400)
            subject = known
        else:
            began = self._codes.get(form["code"])
            if self.checks_code:
                self._codes.pop(form["code"], None)
            if self.checks_code and (
                began is None
                or began["redirect_uri"] != form["redirect_uri"]
                or began["code_challenge"] != challenge(form["code_verifier"])
            ):
                return web.json_response({"error": "invalid_grant"}, status=400)
            nonce = (began or {}).get("nonce")
        return web.json_response(changed(self.tokens(subject, nonce), self.token))

    def tokens(self, subject: str, nonce: str | None) -> dict[str, Any]:
        now = int(self.clock())
        claims = changed(
            {
                "iss": self.issuer,
                "sub": subject,
                "aud": self.client_id,
                "exp": now + 300,
                "iat": now,
                "nonce": nonce,
                "name": "Ann Guard",
                "sid": "session-1",
                "groups": self.groups,
            },
            {"nonce": nonce, **self.claims},
        )
        answer: dict[str, Any] = {
            "token_type": "Bearer",
            "access_token": f"at-{subject}",
            "expires_in": 600,
            "id_token": self.sign(self.header, claims),
        }
        if self.refresh:
            answer["refresh_token"] = secrets.token_urlsafe(16)
            self._refresh[answer["refresh_token"]] = subject
        return answer


def challenge(verifier: str) -> str:
    return segment(hashlib.sha256(verifier.encode()).digest())


def changed(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = {**values, **changes}
    return {name: value for name, value in merged.items() if value is not None}


async def endless(request: web.Request) -> web.StreamResponse:
    """Answer with as many bytes as the client takes, up to 100 MB."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"keys": [')
    for _ in range(1_600):
        await response.write(b" " * 65_536)
    return response


async def slow(request: web.Request) -> web.StreamResponse:
    """Send a byte now and then, forever."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(0.05)


def redirect(where: str) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": where})

    return answer

"""A gate before local S3 and SQS that knows devices: STS, and the policies that it gave.

`python -m local.aws_gate PORT S3_PORT SQS_PORT SECRET_FILE` serves three services on one port, by
the service in each request's signature:

- STS: AssumeRole, for the owner's credentials. The answer's session token holds the policy.
- S3 and SQS: for a session token, the gate checks the signature, the expiry and the policy. Then it
  sends the request on with the owner's credentials. The owner's own requests are not limited.

The workers use the servers behind it, as before. A token is valid across restarts of the gate.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import re
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote
from xml.sax.saxutils import escape

import aiohttp
from aiohttp import web
from yarl import URL

from domain.times import format_ms, utc_ms
from local.aws import CREDENTIALS, REGION
from local.gate import ROLE_ARN
from local.iam import is_allowed, s3_actions, sqs_action
from local.ports import HOST
from stores.aws_credentials import AwsCredentials
from stores.sigv4 import sign

ACCOUNT = "000000000000"
MAX_BODY_BYTES = 128 << 20
_SKEW_MS = 900_000
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<day>[0-9]{8})/(?P<region>[a-z0-9-]+)/"
    r"(?P<service>[a-z0-9]+)/aws4_request, ?SignedHeaders=(?P<names>[a-z0-9;-]+), ?"
    r"Signature=(?P<signature>[0-9a-f]{64})"
)
_HOP_BY_HOP = {
    "connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "content-length",
    "host", "authorization", "x-amz-security-token", "x-amz-date", "x-amz-content-sha256",
    "content-encoding", "date", "server",
}  # fmt: skip


class GateError(Exception):
    """The gate refuses a request. `code`: AWS's."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class GivenSession:
    """Credentials that the gate gave: all is in the token."""

    access_key_id: str
    secret: str
    token: str
    policy: dict[str, Any]
    expires_ms: int


class SessionTokens:
    """Gives session credentials and reads them again. The secret stays in a file."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def give(self, policy: dict[str, Any], expires_ms: int) -> GivenSession:
        """Return new credentials."""
        claims = {"id": secrets.token_hex(8), "policy": policy, "expires_ms": expires_ms}
        body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode()
        return self.read(f"{body}.{self._mac(body)}")

    def read(self, token: str) -> GivenSession:
        """Return the credentials of a token. GateError: this gate did not give it."""
        body, _, mac = token.partition(".")
        if not hmac.compare_digest(mac.encode(), self._mac(body).encode()):
            raise GateError(403, "InvalidToken", "The security token is not valid.")
        claims = json.loads(base64.urlsafe_b64decode(body))
        return GivenSession(
            f"ASIA{claims['id'].upper()}",
            self._mac(f"secret:{token}"),
            token,
            claims["policy"],
            int(claims["expires_ms"]),
        )

    def _mac(self, text: str) -> str:
        return hmac.new(self._secret, text.encode(), "sha256").hexdigest()


def check_signature(
    request: web.Request, body: bytes, secret: str, parsed: Mapping[str, str], now_ms: int
) -> None:
    """Raise GateError where a request's signature (version 4, in its headers) is not valid."""
    stamp = request.headers.get("X-Amz-Date", "")
    try:
        at = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise GateError(403, "AccessDenied", "The request has no X-Amz-Date.") from None
    if abs(at.timestamp() * 1000 - now_ms) > _SKEW_MS:
        raise GateError(403, "RequestTimeTooSkewed", "The request's time differs too much.")
    digest = hashlib.sha256(body).hexdigest()
    declared = request.headers.get("X-Amz-Content-SHA256", digest)
    if declared not in (digest, "UNSIGNED-PAYLOAD"):
        raise GateError(
            400, "XAmzContentSHA256Mismatch", "The body is not the one that was signed."
        )
    names = parsed["names"].split(";")
    query = sorted(parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True))
    canonical = "\n".join(
        (
            request.method,
            request.rel_url.raw_path,
            "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query),
            *(f"{name}:{' '.join(request.headers.get(name, '').split())}" for name in names),
            "",
            parsed["names"],
            declared,
        )
    )
    scope = f"{parsed['day']}/{parsed['region']}/{parsed['service']}/aws4_request"
    to_sign = "\n".join(
        ("AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest())
    )
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    expected = hmac.digest(key, to_sign.encode(), "sha256").hex()
    if not hmac.compare_digest(expected, parsed["signature"]) or stamp[:8] != parsed["day"]:
        raise GateError(403, "SignatureDoesNotMatch", "The signature is not valid.")


class AwsGate:
    """The three services."""

    def __init__(self, s3: str, sqs: str, sessions: SessionTokens) -> None:
        """`s3` and `sqs`: addresses of the servers behind the gate."""
        self._s3 = s3
        self._sqs = sqs
        self._sessions = sessions
        self.clock_ms = utc_ms
        self._client: aiohttp.ClientSession | None = None

    def application(self) -> web.Application:
        """Return the application to serve."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_route("*", "/{path:.*}", self._answer)

        async def client(_: web.Application) -> Any:
            async with aiohttp.ClientSession(
                auto_decompress=False, connector=aiohttp.TCPConnector(limit=0)
            ) as self._client:
                yield

        app.cleanup_ctx.append(client)
        return app

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        parsed = _AUTHORIZATION.fullmatch(request.headers.get("Authorization", ""))
        service = "s3" if parsed is None else parsed["service"]
        try:
            if parsed is None:
                raise GateError(403, "AccessDenied", "The request is not signed.")
            return await self._serve(request, body, parsed.groupdict())
        except GateError as error:
            return _error(service, error)

    async def _serve(
        self, request: web.Request, body: bytes, parsed: dict[str, str]
    ) -> web.StreamResponse:
        service, now_ms = parsed["service"], self.clock_ms()
        if parsed["key"] == CREDENTIALS["AWS_ACCESS_KEY_ID"]:
            check_signature(request, body, CREDENTIALS["AWS_SECRET_ACCESS_KEY"], parsed, now_ms)
            if service == "sts":
                return self._assume_role(body, now_ms)
            return await self._forward(request, body, service)
        if service == "sts":
            raise GateError(403, "AccessDenied", "Only the owner may assume a role.")
        session = self._sessions.read(request.headers.get("X-Amz-Security-Token", ""))
        if session.access_key_id != parsed["key"]:
            raise GateError(403, "InvalidToken", "The security token is of another key.")
        check_signature(request, body, session.secret, parsed, now_ms)
        if now_ms >= session.expires_ms:
            raise GateError(400, "ExpiredToken", "The provided token has expired.")
        headers = {name.lower(): value for name, value in request.headers.items()}
        path, query = request.rel_url.raw_path, request.rel_url.raw_query_string
        actions = (
            s3_actions(request.method, path, query, headers)
            if service == "s3"
            else [sqs_action(path, headers, body, REGION, ACCOUNT)]
        )
        for action in actions:
            if not is_allowed(session.policy, action):
                text = f"not authorized to perform {action.name} on {action.resource}"
                raise GateError(403, "AccessDenied", text)
        return await self._forward(request, body, service)

    def _assume_role(self, body: bytes, now_ms: int) -> web.Response:
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        if form.get("Action") != "AssumeRole" or form.get("RoleArn") != ROLE_ARN:
            raise GateError(403, "AccessDenied", "Only AssumeRole of the role of devices.")
        tags = {form.get(f"Tags.member.{number}.Key") for number in (1, 2)}
        if tags != {"tenant", "site"}:
            raise GateError(403, "AccessDenied", "The role needs the tags tenant and site.")
        expires_ms = now_ms + int(form.get("DurationSeconds", "3600")) * 1_000
        session = self._sessions.give(json.loads(form["Policy"]), expires_ms // 1000 * 1000)
        return web.Response(
            content_type="text/xml",
            text=f"""\
<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
<AssumedRoleUser><AssumedRoleId>AROA:x</AssumedRoleId><Arn>{ROLE_ARN}</Arn></AssumedRoleUser>
<Credentials><AccessKeyId>{session.access_key_id}</AccessKeyId>
<SecretAccessKey>{session.secret}</SecretAccessKey><SessionToken>{session.token}</SessionToken>
<Expiration>{format_ms(session.expires_ms)}</Expiration></Credentials></AssumeRoleResult>
<ResponseMetadata><RequestId>local</RequestId></ResponseMetadata></AssumeRoleResponse>""",
        )

    async def _forward(self, request: web.Request, body: bytes, service: str) -> web.Response:
        assert self._client is not None
        base = self._s3 if service == "s3" else self._sqs
        url = URL(f"{base}{request.rel_url.raw_path_qs}", encoded=True)
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in _HOP_BY_HOP
        }
        if service == "s3":  # it checks signatures
            headers = sign(
                request.method,
                url.raw_path,
                {**headers, "Host": f"{url.host}:{url.port}"},
                payload_sha256=hashlib.sha256(body).hexdigest(),
                credentials=AwsCredentials(
                    CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"]
                ),
                region=REGION,
                service="s3",
                now_ms=utc_ms(),
            )
        try:
            async with self._client.request(
                request.method, url, headers=headers, data=body or None, allow_redirects=False
            ) as answer:
                content = await answer.read()
        except aiohttp.ClientError as error:
            raise GateError(503, "ServiceUnavailable", str(error)) from error
        kept = {
            name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP
        }
        return web.Response(status=answer.status, body=content, headers=kept)


def _error(service: str, error: GateError) -> web.Response:
    """Return an error as the service does: JSON for SQS, XML for the others."""
    if service == "sqs":
        kind = f"com.amazonaws.sqs#{error.code}"
        return web.json_response({"__type": kind, "message": str(error)}, status=error.status)
    inner = f"<Code>{error.code}</Code><Message>{escape(str(error))}</Message>"
    text = f"<ErrorResponse><Error>{inner}</Error></ErrorResponse>"
    text = text if service == "sts" else f"<Error>{inner}</Error>"
    return web.Response(status=error.status, text=text, content_type="application/xml")


def secret_of(path: Path) -> bytes:
    """Return the gate's secret, which `path` keeps."""
    if not path.exists():
        path.touch(0o600)
        path.write_bytes(secrets.token_bytes(32))
    return path.read_bytes()


async def _run(port: int, s3_port: int, sqs_port: int, secret_file: Path) -> None:
    gate = AwsGate(
        f"http://{HOST}:{s3_port}",
        f"http://{HOST}:{sqs_port}",
        SessionTokens(secret_of(secret_file)),
    )
    runner = web.AppRunner(gate.application())
    await runner.setup()
    await web.TCPSite(runner, HOST, port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    _port, _s3_port, _sqs_port = (int(number) for number in sys.argv[1:4])
    asyncio.run(_run(_port, _s3_port, _sqs_port, Path(sys.argv[4])))

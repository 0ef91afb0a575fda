"""The devices' address as this device asks it: enrolment, renewal, state, time."""

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from domain.errors import StoreError
from domain.times import format_ms, utc_ms
from stores.tls import ANSWERS_WITHOUT_TLS, certificate_error_text

_TIMEOUT = aiohttp.ClientTimeout(total=30, connect=10)
_MAX_BODY_BYTES = 64 << 10
CLOCK_ERROR_MS = 300_000
"""A clock that is wrong by more is named as the cause of a failure."""


class EnrolmentRefusedError(StoreError):
    """The server refused this device. `code`: locked, revoked, expired, unknown, or refused."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class WrongClockError(StoreError):
    """The server cannot be trusted, because this device's clock is wrong."""


class NotServedError(StoreError):
    """The server does not give what was asked for (404)."""


@dataclass(frozen=True, slots=True)
class DeviceServer:
    """Where devices are answered. Its methods raise StoreError, EnrolmentRefusedError."""

    url: str

    async def post(
        self, path: str, body: Mapping[str, Any], context: ssl.SSLContext
    ) -> dict[str, Any]:
        """Send JSON, and return the answer's."""
        return await self._ask("POST", path, context, json=dict(body))

    async def get(self, path: str, context: ssl.SSLContext) -> dict[str, Any]:
        """Return the JSON of an answer."""
        return await self._ask("GET", path, context)

    async def _ask(
        self, method: str, path: str, context: ssl.SSLContext, **more: Any
    ) -> dict[str, Any]:
        try:
            async with (
                aiohttp.ClientSession(timeout=_TIMEOUT) as session,
                session.request(
                    method, self.url + path, ssl=context, allow_redirects=False, **more
                ) as answer,
            ):
                body = await _read_json(answer)
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise await self._failure(error) from error
        if status == 200:
            return body
        detail = str(body.get("detail", ""))[:1_000] or f"{self.url} answers {status}."
        kind = str(body.get("type", "")).rsplit("/", 1)[-1]
        if status in (400, 403) and (kind.startswith("device-") or kind == "enrolment-refused"):
            raise EnrolmentRefusedError(kind.removeprefix("device-"), detail)
        raise NotServedError(detail) if status == 404 else StoreError(detail)

    async def _failure(self, error: Exception) -> StoreError:
        """Return why nothing was answered. A wrong clock is the most frequent cause with TLS."""
        text = certificate_error_text(error)
        if text is None:
            return StoreError(f"{self.url} does not answer: {_cause(error)}.")
        if (wrong := await self.clock_problem()) is not None:
            return WrongClockError(wrong)
        way = " Let this device through without it." if text == ANSWERS_WITHOUT_TLS else ""
        return StoreError(f"{self.url} cannot be trusted: {text}.{way}")

    async def clock_problem(self) -> str | None:
        """Return how wrong this device's clock is, by the server's; None: right, or not known.

        The answer is only shown to people, so the server's certificate is not checked: with a wrong
        clock no certificate is valid. Nothing secret is sent.
        """
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        try:
            answer = await DeviceServer(self.url)._quick_time(context)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, TypeError, KeyError):
            return None
        return clock_problem(answer, utc_ms())

    async def _quick_time(self, context: ssl.SSLContext) -> int:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session,
            session.get(self.url + "/device/v1/time", ssl=context, allow_redirects=False) as answer,
        ):
            return int((await _read_json(answer))["now_ms"])


def clock_problem(server_ms: int, now_ms: int) -> str | None:
    """Return how wrong a clock is, in words; None: it is right enough. UTC ms."""
    if abs(server_ms - now_ms) <= CLOCK_ERROR_MS or not 0 <= server_ms < 1 << 42:
        return None
    return (
        f"this device's clock is wrong: it says {format_ms(now_ms)[:16]}, the server says "
        f"{format_ms(server_ms)[:16]}, UTC. Set it: allow NTP (UDP 123), and start chrony or "
        "systemd-timesyncd."
    )


async def _read_json(answer: aiohttp.ClientResponse) -> dict[str, Any]:
    data = bytearray()
    async for part in answer.content.iter_any():
        data += part
        if len(data) > _MAX_BODY_BYTES:
            raise aiohttp.ClientPayloadError("the answer is larger than allowed")
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        body = None
    return body if isinstance(body, dict) else {}


def _cause(error: Exception) -> str:
    """Return the system's error text if there is one: aiohttp's names its internals."""
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.strerror:
        return error.os_error.strerror
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        return "no response in time"
    return (str(error) or type(error).__name__)[:200]

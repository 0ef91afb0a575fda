"""Checks that people ask for over the link: the clock, and what this device can reach. In words."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp

from domain.errors import ConfigError
from domain.times import utc_ms
from edge_bridge.clock_sync import ClockSync
from edge_bridge.config import EdgeConfig
from edge_bridge.link.handler import CommandOutcome
from stores import tls

REACH_S = 5.0
AT_ONCE = 16
FAIR_MS = 5_000
BAD_MS = 120_000
"""The cloud refuses events that are more than 5 minutes ahead."""
RTSP_PORTS = {"rtsp": 554, "rtsps": 322}
MAX_NAMED = 8


@dataclass(frozen=True, slots=True)
class RouteResult:
    """Whether one system can be reached."""

    what: str
    reachable: bool
    detail: str


def clock_outcome(sync: ClockSync, cloud_ms: int | None, plainly_wrong: bool) -> CommandOutcome:
    """Say how good the clock is; `cloud_ms`: the cloud's clock, UTC ms."""
    offset_ms = None if cloud_ms is None else utc_ms() - cloud_ms
    kernel = {
        "synchronised": "The clock is synchronised.",
        "unsynchronised": "The clock is not synchronised: allow NTP (UDP 123).",
        "unknown": "The system does not say whether the clock is synchronised.",
    }[sync.state]
    if plainly_wrong:
        kernel = "The clock is plainly wrong: footage waits until it is set. Allow NTP (UDP 123)."
    compared = ""
    if offset_ms is not None:
        side = "ahead of" if offset_ms > 0 else "behind"
        text = _length(abs(offset_ms))
        compared = f" It is {text} {side} the cloud's clock."
        if abs(offset_ms) >= FAIR_MS:
            compared += " Set it."
    result = {"state": sync.state, "error_ms": sync.error_ms, "offset_ms": offset_ms}
    return CommandOutcome(kernel + compared, result)


def _length(ms: int) -> str:
    if ms < 1_000:
        return f"{ms} ms"
    seconds = ms / 1_000
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


async def route_outcome(config: EdgeConfig) -> CommandOutcome:
    """Say which of S3, SQS and the cameras answer. Nothing is written, no password is sent."""
    limit = asyncio.Semaphore(AT_ONCE)
    cloud = config.cloud
    s3 = cloud.s3_endpoint or f"https://s3.{cloud.region}.amazonaws.com"
    sqs = cloud.sqs_endpoint or cloud.queue_url
    checks = [_web_route("S3", s3, config), _web_route("SQS", sqs, config)]
    for camera in config.cameras:
        parts = urlsplit(camera.url)
        if parts.scheme in RTSP_PORTS and parts.hostname:
            port = parts.port or RTSP_PORTS[parts.scheme]
            checks.append(_camera_route(camera.id, parts.hostname, port, limit))
    results = await asyncio.gather(*checks)
    return CommandOutcome(
        _sentence(results),
        {
            "routes": [
                {"what": each.what, "reachable": each.reachable, "detail": each.detail}
                for each in results
            ]
        },
    )


def _sentence(results: Sequence[RouteResult]) -> str:
    bad = [each for each in results if not each.reachable]
    if not bad:
        return f"All {len(results)} answer: S3, SQS and {len(results) - 2} cameras."
    named = "; ".join(f"{each.what} ({each.detail})" for each in bad[:MAX_NAMED])
    more = f"; and {len(bad) - MAX_NAMED} more" if len(bad) > MAX_NAMED else ""
    return f"{len(bad)} of {len(results)} do not answer: {named}{more}."


async def _web_route(what: str, url: str, config: EdgeConfig) -> RouteResult:
    """Any answer counts: it shows that DNS, the route and TLS work."""
    parts = urlsplit(url)
    began_s = time.monotonic()
    try:
        context = tls.client_context(config.cloud.ca_file)
        timeout = aiohttp.ClientTimeout(total=REACH_S)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.head(
                f"{parts.scheme}://{parts.netloc}/", ssl=context, allow_redirects=False
            ) as answer,
        ):
            took_s = time.monotonic() - began_s
            return RouteResult(what, True, f"answers {answer.status} in {took_s:.2f} s")
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError, ConfigError) as error:
        text = tls.certificate_error_text(error)
        return RouteResult(what, False, text or _error_text(error))


async def _camera_route(name: str, host: str, port: int, limit: asyncio.Semaphore) -> RouteResult:
    what = f"camera {name}"
    began_s = time.monotonic()
    try:
        async with limit, asyncio.timeout(REACH_S):
            _, writer = await asyncio.open_connection(host, port)
        writer.close()
    except (OSError, TimeoutError) as error:
        return RouteResult(what, False, _error_text(error))
    return RouteResult(what, True, f"its port answers in {time.monotonic() - began_s:.2f} s")


def _error_text(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {REACH_S:.0f} s"
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error.strerror or "no connection"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error)[:100] or type(error).__name__

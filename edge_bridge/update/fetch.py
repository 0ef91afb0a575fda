"""Fetches a bundle next to a recorder that works: its health says how fast that may be."""

import asyncio
import json
import logging
import time
from pathlib import Path
from typing import Any

import aiohttp

from domain.download_rate import FLOOR_BYTES_PER_S, download_bytes_per_s
from edge_bridge.update.download import Artifact, Download
from edge_bridge.update.source import HttpSource

log = logging.getLogger(__name__)

_POLL_S = 5.0
_REPORT_S = 60.0
_MAX_REPORT_BYTES = 1 << 20


def rate_of(report: dict[str, Any] | None, cap_bytes_per_s: int, now_ms: int) -> int:
    """Return how fast a download may be by the recorder's health report, bytes a second.

    The report counts live and old footage together. So the rate is low while
    anything waits. None, or a report that cannot be read: the recorder may need the line.
    """
    try:
        spool, links = (report or {})["spool"], (report or {})["links"]
        oldest_ms = spool["oldest_ms"] if spool["waiting"] else None
        lag_s = 0.0 if oldest_ms is None else max(0.0, (now_ms - oldest_ms) / 1_000)
        line_up = all(link["down_since_s"] is None for link in links.values())
    except (KeyError, TypeError, AttributeError):
        return min(FLOOR_BYTES_PER_S, cap_bytes_per_s)
    return download_bytes_per_s(cap_bytes_per_s, live_lag_s=lag_s, line_up=line_up)


async def fetch_bundle(
    url: str, artifact: Artifact, folder: Path, *, cap_bytes_per_s: int, health_url: str
) -> Path:
    """Return the path of the whole, verified file. Raises DownloadError; call it again then."""
    rate = min(FLOOR_BYTES_PER_S, cap_bytes_per_s)
    download = Download(artifact, HttpSource(url), folder, bytes_per_s=lambda: rate)

    async def watch() -> None:
        nonlocal rate
        reported_s = time.monotonic()
        timeout = aiohttp.ClientTimeout(total=_POLL_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                rate = rate_of(
                    await _report(session, health_url), cap_bytes_per_s, time.time_ns() // 1_000_000
                )
                state = download.state
                if time.monotonic() - reported_s >= _REPORT_S:
                    reported_s = time.monotonic()
                    log.info(
                        "%s: %d of %d bytes, %d bytes a second are allowed. %s",
                        state.phase, state.received, state.size, rate, state.detail,
                    )  # fmt: skip
                await asyncio.sleep(_POLL_S)

    watching = asyncio.create_task(watch())
    try:
        return await download.run()
    finally:
        watching.cancel()
        await asyncio.wait([watching])


async def _report(session: aiohttp.ClientSession, url: str) -> dict[str, Any] | None:
    """Return the recorder's health report; None: it does not answer with one."""
    try:
        async with session.get(url, allow_redirects=False) as response:
            report = json.loads(await response.content.read(_MAX_REPORT_BYTES))
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, RecursionError):
        return None
    return report if isinstance(report, dict) else None

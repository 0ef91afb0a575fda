"""Heartbeats: how cameras, disk, spool and clock fare, as event, metrics and log.

every heartbeat_s    the newest one, from memory, whatever the disk does
a camera's state or the disk's changed    through the outbox, so that the change is told even
                                          where it came and went while the cloud was away
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from math import nan
from typing import Any

from domain.events import CameraStatus, Heartbeat
from domain.events.registry import encode
from domain.unset_clock import true_ms
from edge_bridge import metrics
from edge_bridge.clock import EdgeClock
from edge_bridge.clock_sync import ClockSync, clock_sync
from edge_bridge.config import EdgeConfig
from edge_bridge.remote_config.manager import ConfigStatus
from edge_bridge.spool.disk import DiskError
from edge_bridge.spool.rows import SpoolCounts
from edge_bridge.spool.thread import SpoolStatus, SpoolThread
from edge_bridge.temperatures import temperatures
from edge_bridge.upload.bandwidth import BandwidthLimiter
from edge_bridge.upload.outbox_sender import OutboxSender

log = logging.getLogger(__name__)

_LATE_S = 300.0
"""Footage that waits longer is told in the log, as often as this."""
_ASK_S = 5.0
"""How long the spool may take to count: a disk that hangs stops no heartbeat."""


class HeartbeatSender:
    """Tells how the edge fares; `run` goes on until cancelled."""

    def __init__(
        self,
        config: EdgeConfig,
        spool: SpoolThread,
        sender: OutboxSender,
        bandwidth: BandwidthLimiter,
        *,
        clock: EdgeClock,
        statuses: Callable[[], list[CameraStatus]],
        config_status: Callable[[], ConfigStatus | None] = lambda: None,
        ask_sync: Callable[[], ClockSync] = clock_sync,
    ) -> None:
        self._config, self._spool, self._sender = config, spool, sender
        self._bandwidth, self._clock, self._statuses = bandwidth, clock, statuses
        self._config_status, self._ask_sync = config_status, ask_sync
        self._counts = SpoolCounts(0, 0, None, 0, 0, 0)
        self._sync: ClockSync | None = None
        self._told: Any = None
        self._asking: asyncio.Task[tuple[int, int]] | None = None
        self._late_told_s: float | None = None

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            await self._beat()
            await asyncio.sleep(self._config.heartbeat_s)

    def report(self) -> dict[str, Any]:
        """Return how disk, spool and clock fare, for health; the spool as of the last beat."""
        status = self._spool.status()
        return {
            "clock_sync": asdict(self._ask_sync()),
            "disk": {
                "state": status.disk,
                "detail": status.detail,
                "since_ms": status.since_ms,
            },
            "spool": {
                "bytes": status.file_bytes,
                "mending": status.recovering,
                "waiting": self._counts.stored,
                "oldest_ms": self._counts.oldest_ms,
                "unnoticed": self._counts.uploaded,
                "messages": self._counts.messages,
                "given_up": status.given_up,
                "upload_limit_kbit": self._bandwidth.kbit,
            },
        }

    async def _beat(self) -> None:
        try:
            async with asyncio.timeout(_ASK_S):
                self._counts = await self._spool.call(lambda spool: spool.counts())
        except (DiskError, TimeoutError):
            pass  # the disk's state says it; what was counted last is told on
        status = self._spool.status()
        free, floor = await self._space(status.disk)
        self._measure(status, free, floor)
        sync = self._look_at_sync()
        shift = self._clock.shift_ms()
        if shift is None:  # nothing is sent with a wrong time
            return
        counts = self._counts
        cameras = [
            one.model_copy(update={"since_ms": true_ms(one.since_ms, shift)})
            for one in self._statuses()
        ]
        told = self._config_status()
        event = Heartbeat(
            site=self._config.site,
            edge=self._config.edge,
            sent_ms=self._clock.now_ms(),
            software=_software(),
            spool_bytes=max(status.file_bytes, 0),
            spool_waiting=counts.stored,
            spool_oldest_ms=counts.oldest_ms,
            disk_free_bytes=free,
            disk_state=status.disk,
            disk_since_ms=status.since_ms,
            given_up=status.given_up,
            clock_state=sync.state,
            clock_error_ms=sync.error_ms,
            temperatures=await asyncio.to_thread(temperatures) or None,
            config_version=told and told.version,
            config_state=told and told.state,
            config_detail=(told and told.detail) or None,
            cameras=cameras,
        )
        changed = (status.disk, [(one.camera, one.state) for one in cameras], told)
        if self._told is not None and changed != self._told and status.accepts_rows:
            self._spool.message(event.type, encode(event))
        else:
            self._sender.heartbeat(encode(event))
        self._told = changed

    async def _space(self, state: str) -> tuple[int, int]:
        """Return the disk's free bytes and those that stay free; 0 where it does not say.

        It is asked by one thread at a time: one that hangs is waited for by no other.
        """
        if state == "hanging":
            return 0, 0
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(asyncio.to_thread(self._spool.space))
        done, _ = await asyncio.wait([self._asking], timeout=_ASK_S)
        return self._asking.result() if done else (0, 0)

    def _look_at_sync(self) -> ClockSync:
        """Ask whether the clock is kept; a change is told in the log."""
        sync, before = self._ask_sync(), self._sync
        self._sync = sync
        metrics.CLOCK_SYNCHRONISED.set(
            nan if sync.state == "unknown" else int(sync.state == "synchronised")
        )
        metrics.CLOCK_ERROR.set(nan if sync.error_ms is None else sync.error_ms / 1_000)
        if before is None or before.state != sync.state:
            if sync.state == "unsynchronised":
                log.warning("this device's clock is not synchronised: let NTP reach it")
            elif before is not None and before.state == "unsynchronised":
                log.info("this device's clock: %s", sync.state)
        return sync

    def _measure(self, status: SpoolStatus, free: int, floor: int) -> None:
        good, counts = status.disk == "good", self._counts
        metrics.SPOOL_BYTES.set(status.file_bytes)
        metrics.SPOOL_WAITING.set(counts.stored)
        metrics.UNNOTICED.set(counts.uploaded)
        metrics.OUTBOX.set(counts.messages)
        metrics.DISK_FREE.set(free)
        metrics.DISK_GOOD.set(int(good))
        metrics.UNDATED.set(counts.held)
        metrics.RECOVERING.set(int(status.recovering))
        metrics.MIN_FREE.set(floor if good else 0)
        metrics.RATE.set(status.hour_bytes)
        metrics.UPLOAD_LIMIT.set(self._bandwidth.kbit or 0)
        oldest_ms = counts.oldest_ms
        oldest_s = 0.0 if oldest_ms is None else max(time.time() - oldest_ms / 1_000, 0.0)
        metrics.SPOOL_OLDEST.set(oldest_s)
        now_s = time.monotonic()
        if oldest_s > _LATE_S:
            if self._late_told_s is None or now_s - self._late_told_s >= _LATE_S:
                self._late_told_s = now_s
                log.warning(
                    "%d fragments wait in the spool, the oldest for %d min; %d messages",
                    counts.stored, oldest_s // 60, counts.messages,
                )  # fmt: skip
        elif self._late_told_s is not None:
            self._late_told_s = None
            log.info("what waited in the spool is uploaded")


def _software() -> str:
    try:
        return version("vigil")
    except PackageNotFoundError:
        return ""

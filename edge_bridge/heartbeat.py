"""Heartbeats: the state of cameras, disk, spool and clock, as event, metrics and log.

- Every `heartbeat_s`: the newest one is sent from memory, also if the disk has a problem.
- When the state of a camera or of the disk has changed: it is sent through the outbox. So the
  change is reported even if it came and ended while the cloud was not reachable.
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
from domain.events.edge import ClockTrust
from domain.events.registry import encode
from domain.unset_clock import true_ms
from edge_bridge import metrics
from edge_bridge.clock import EdgeClock
from edge_bridge.clock_sync import ClockSync, clock_sync
from edge_bridge.config import EdgeConfig
from edge_bridge.identity.identity import DeviceIdentity
from edge_bridge.remote_config.manager import ConfigStatus
from edge_bridge.spool.access import SpoolStatus
from edge_bridge.spool.disk import DiskError
from edge_bridge.spool.rows import SpoolCounts
from edge_bridge.spool.thread import SpoolThread
from edge_bridge.temperatures import temperatures
from edge_bridge.upload.bandwidth import BandwidthLimiter
from edge_bridge.upload.outbox_sender import OutboxSender

log = logging.getLogger(__name__)

_LATE_S = 300.0
"""A longer wait in the spool is logged, as often as this."""
_SPOOL_TIMEOUT_S = 5.0
"""How long the spool may take to answer: a hanging disk stops no heartbeat."""


class HeartbeatSender:
    """Reports the state of the edge; `run` continues until cancelled."""

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
        identity: DeviceIdentity | None = None,
        clock_trust: Callable[[], ClockTrust] = lambda: "unconfirmed",
        read_clock_sync: Callable[[], ClockSync] = clock_sync,
    ) -> None:
        self._config = config
        self._spool = spool
        self._sender = sender
        self._bandwidth = bandwidth
        self._clock = clock
        self._statuses = statuses
        self._config_status = config_status
        self._identity = identity
        self._clock_trust = clock_trust
        self._read_clock_sync = read_clock_sync
        self._counts = SpoolCounts(0, 0, None, 0, 0, 0)
        self._clock_sync: ClockSync | None = None
        self._reported: Any = None
        """The state in the last heartbeat, without numbers and times."""
        self._space_task: asyncio.Task[tuple[int, int]] | None = None
        self._late_logged_s: float | None = None

    async def run(self) -> None:
        """Send heartbeats until cancelled."""
        while True:
            await self._send()
            await asyncio.sleep(self._config.heartbeat_s)

    def report(self) -> dict[str, Any]:
        """Return the state of disk, spool and clock; the counts are of the last heartbeat."""
        status = self._spool.status()
        return {
            "clock_sync": asdict(self._read_clock_sync()),
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

    async def _send(self) -> None:
        try:
            async with asyncio.timeout(_SPOOL_TIMEOUT_S):
                self._counts = await self._spool.call(lambda spool: spool.counts())
        except (DiskError, TimeoutError):
            pass  # the heartbeat reports the disk; the last counts are reported again
        status = self._spool.status()
        free, min_free = await self._space(status.disk)
        self._set_metrics(status, free, min_free)
        sync = self._check_clock()
        shift_ms = self._clock.shift_ms()
        if shift_ms is None:  # a heartbeat with a wrong time would mislead
            return
        counts = self._counts
        cameras = [
            one.model_copy(update={"since_ms": true_ms(one.since_ms, shift_ms)})
            for one in self._statuses()
        ]
        config = self._config_status()
        identity = self._identity_fields()
        event = Heartbeat(
            site=self._config.site,
            edge=self._config.edge,
            sent_ms=self._clock.now_ms(),
            software=software(),
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
            config_version=config and config.version,
            config_state=config and config.state,
            config_detail=(config and config.detail) or None,
            cameras=cameras,
            **identity,
        )
        cameras_now = [(one.camera, one.state) for one in cameras]
        state = (status.disk, cameras_now, config, identity.get("identity_state"))
        changed = self._reported is not None and state != self._reported
        if changed and status.accepts_rows:
            self._spool.message(event.type, encode(event))
        else:
            self._sender.heartbeat(encode(event))
        self._reported = state

    def _identity_fields(self) -> dict[str, Any]:
        """Return what version 2 has; empty: this device is not enrolled, and sends version 1."""
        identity = self._identity
        if identity is None or identity.state == "none":
            return {}
        certificate = identity.certificate
        return {
            "version": 2,
            "identity_state": identity.state,
            "identity_generation": certificate and certificate.generation,
            "identity_renew_ms": certificate and certificate.half_ms,
            "identity_expires_ms": certificate and certificate.not_after_ms,
            "clock_trust": self._clock_trust(),
        }

    async def _space(self, disk: str) -> tuple[int, int]:
        """Return the disk's free bytes and the bytes to leave free; 0 if it does not answer.

        One thread at most waits for a hanging disk.
        """
        if disk == "hanging":
            return 0, 0
        if self._space_task is None or self._space_task.done():
            self._space_task = asyncio.create_task(asyncio.to_thread(self._spool.space))
        done, _ = await asyncio.wait([self._space_task], timeout=_SPOOL_TIMEOUT_S)
        return self._space_task.result() if done else (0, 0)

    def _check_clock(self) -> ClockSync:
        """Return whether the clock is synchronised; a change is logged."""
        sync, previous = self._read_clock_sync(), self._clock_sync
        self._clock_sync = sync
        metrics.CLOCK_SYNCHRONISED.set(
            nan if sync.state == "unknown" else int(sync.state == "synchronised")
        )
        metrics.CLOCK_ERROR.set(nan if sync.error_ms is None else sync.error_ms / 1_000)
        if previous is None or previous.state != sync.state:
            if sync.state == "unsynchronised":
                log.warning("this device's clock is not synchronised: allow NTP (UDP 123)")
            elif previous is not None and previous.state == "unsynchronised":
                log.info("this device's clock: %s", sync.state)
        return sync

    def _set_metrics(self, status: SpoolStatus, free: int, min_free: int) -> None:
        good, counts = status.disk == "good", self._counts
        metrics.SPOOL_BYTES.set(status.file_bytes)
        metrics.SPOOL_WAITING.set(counts.stored)
        metrics.UNNOTICED.set(counts.uploaded)
        metrics.OUTBOX.set(counts.messages)
        metrics.DISK_FREE.set(free)
        metrics.DISK_GOOD.set(int(good))
        metrics.UNDATED.set(counts.undated)
        metrics.RECOVERING.set(int(status.recovering))
        metrics.MIN_FREE.set(min_free if good else 0)
        metrics.RATE.set(status.hour_bytes)
        metrics.UPLOAD_LIMIT.set(self._bandwidth.kbit or 0)
        oldest_ms = counts.oldest_ms
        oldest_s = 0.0 if oldest_ms is None else max(time.time() - oldest_ms / 1_000, 0.0)
        metrics.SPOOL_OLDEST.set(oldest_s)
        self._log_lateness(oldest_s)

    def _log_lateness(self, oldest_s: float) -> None:
        """Log a backlog, at most once in `_LATE_S`, and its end."""
        now_s = time.monotonic()
        if oldest_s > _LATE_S:
            if self._late_logged_s is None or now_s - self._late_logged_s >= _LATE_S:
                self._late_logged_s = now_s
                log.warning(
                    "%d fragments wait for upload, the oldest since %d min; %d messages wait too",
                    self._counts.stored,
                    oldest_s // 60,
                    self._counts.messages,
                )
        elif self._late_logged_s is not None:
            self._late_logged_s = None
            log.info("the backlog of the spool is uploaded")


def software() -> str:
    """Return the version of this program."""
    try:
        return version("vigil")
    except PackageNotFoundError:
        return ""

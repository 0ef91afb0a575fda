"""Checks this device: the spool's disk, the clock, the model."""

import os
import shutil
import tempfile
import time
from email.utils import parsedate_to_datetime
from pathlib import Path

import aiohttp

from domain.errors import ConfigError, VigilError
from domain.times import utc_ms
from domain.unset_clock import plainly_wrong
from edge_bridge.check.result import CheckResult
from edge_bridge.clock_sync import clock_sync
from edge_bridge.config import CloudConfig, EdgeConfig
from edge_bridge.config.inference import InferenceConfig
from edge_bridge.spool.disk import check_own_disk
from stores import tls

_GIB = 1 << 30
_NTP = "start chrony or systemd-timesyncd, and allow NTP (UDP 123)"
_ASK_HOST = "check NTP on the host itself: timedatectl, or chronyc tracking"
_CLOCK_FAIR_S, _CLOCK_BAD_S = 5, 120
"""The cloud rejects events more than 5 minutes ahead, and S3 requests 15 minutes off."""
_ANSWER_S = 5


def check_disk(config: EdgeConfig) -> CheckResult:
    """Write, sync and read back; compare the free space with the limits."""
    spool = config.spool
    folder, what = spool.dir, f"disk {spool.dir}"
    try:
        if spool.own_disk:
            check_own_disk(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            data = os.urandom(1 << 20)
            started_s = time.monotonic()
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            took_s = time.monotonic() - started_s
            if Path(file.name).read_bytes() != data:
                return CheckResult(
                    what, "bad", "returns other bytes than were written", "replace it"
                )
        free = shutil.disk_usage(folder).free
    except ConfigError as error:
        found, _, remedy = str(error).rstrip(".").partition(": ")
        return CheckResult(what, "bad", found, remedy)
    except OSError as error:
        return CheckResult(
            what, "bad", f"cannot be written ({error.strerror or error})",
            "mount it writable for this user, or choose another spool.dir",
        )  # fmt: skip
    text = f"{free / _GIB:.1f} GiB free, 1 MiB written and synced in {took_s * 1_000:.0f} ms"
    min_free = spool.free_floor_bytes
    if free < min_free:
        text += f"; {min_free / _GIB:.1f} GiB must stay free"
        return CheckResult(what, "bad", text, "free space on it, or lower spool.free_floor_bytes")
    if free - min_free < spool.max_bytes:
        text += f"; the spool may take {spool.max_bytes / _GIB:.1f} GiB"
        fitting = max((free - min_free) * 9 // 10, 1)
        return CheckResult(what, "fair", text, f"lower spool.max_bytes to {_size(fitting)}")
    return CheckResult(what, "good", text)


async def check_clock(cloud: CloudConfig) -> CheckResult:
    """Compare the clock with that of S3; ask the kernel whether it is synchronised."""
    if plainly_wrong(utc_ms()):
        return CheckResult("clock", "bad", time.strftime("set to %Y-%m-%d", time.gmtime()), _NTP)
    ahead_s = await _ahead_s(cloud)
    if ahead_s is not None and abs(ahead_s) > _CLOCK_FAIR_S:
        side = "ahead of" if ahead_s > 0 else "behind"
        text = f"{abs(ahead_s):.0f} s {side} the clock of S3"
        return CheckResult("clock", "bad" if abs(ahead_s) > _CLOCK_BAD_S else "fair", text, _NTP)
    agrees = "" if ahead_s is None else ", and agrees with S3's"
    sync = clock_sync()
    if sync.state == "synchronised":
        return CheckResult("clock", "good", f"synchronised, within {sync.error_ms} ms{agrees}")
    detail, remedy = {
        "unsynchronised": ("not synchronised", _NTP),
        "unknown": ("the kernel does not say whether it is synchronised", _ASK_HOST),
    }[sync.state]
    return CheckResult("clock", "fair", detail + agrees.replace(", and", ", but it"), remedy)


def check_model(config: InferenceConfig) -> CheckResult:
    """Load the model as local inference does."""
    if not config.enabled:
        return CheckResult("model", "good", "off: this device records only")
    from edge_bridge.inference.detectors import describe_configured as load  # noqa: PLC0415 - slow to load

    try:
        text = load(config)
    except VigilError as error:
        remedy = "correct inference.model or inference.providers"
        return CheckResult("model", "bad", str(error).rstrip("."), remedy)
    return CheckResult("model", "good", text)


async def _ahead_s(cloud: CloudConfig) -> float | None:
    """Return how far this device's clock is ahead of S3's, None where S3 does not answer."""
    url = cloud.s3_endpoint or f"https://s3.{cloud.region}.amazonaws.com"
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_ANSWER_S)) as session,
            session.head(
                url, ssl=tls.client_context(cloud.ca_file), allow_redirects=False
            ) as answer,
        ):
            there = parsedate_to_datetime(answer.headers["Date"]).timestamp()
    except (aiohttp.ClientError, OSError, TimeoutError, KeyError, ValueError, ConfigError):
        return None
    return utc_ms() / 1_000 - there


def _size(size: int) -> str:
    return f"{size / _GIB:.0f} GiB" if size >= 10 * _GIB else f"{size / (1 << 20):.0f} MiB"

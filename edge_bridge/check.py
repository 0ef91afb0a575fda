"""`vigil edge check`: tries all that recording needs, and says what to do about what fails."""

import asyncio
import hashlib
import os
import shutil
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

from domain.errors import ConfigError, MediaError, StoreError, VigilError
from domain.events import Heartbeat
from domain.events.registry import encode
from domain.unset_clock import plainly_wrong
from edge_bridge.capture.recorder import open_source
from edge_bridge.central.trying import counting
from edge_bridge.config import CameraConfig, EdgeConfig
from edge_bridge.edge import endpoints, utc_ms
from edge_bridge.inference.config import InferenceConfig
from media.fragmenter import Fragmenter, Limits
from stores.objects import ObjectStore
from stores.queue import Queue

_KEYFRAME_S = 20.0
_ADVISED_KEYFRAME_S = 10.0
_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing tried."""

    what: str
    state: Literal["good", "fair", "bad"]
    detail: str
    remedy: str = ""


async def check(config: EdgeConfig) -> list[Finding]:
    """Try everything; faults are findings, nothing is raised."""
    config, found, fault = await counting(config)
    limit = asyncio.Semaphore(_AT_ONCE)

    async def camera(one: CameraConfig) -> Finding:
        async with limit:
            return await asyncio.to_thread(check_camera, one, config.no_data_s)

    streams = [stream for one in config.cameras for stream in streams_of(one)]
    cameras = await asyncio.gather(*(camera(one) for one in streams))
    disk = await asyncio.to_thread(check_disk, config)
    clock = await asyncio.to_thread(check_clock)
    cloud = await asyncio.gather(check_store(config), check_queue(config))
    model = await asyncio.to_thread(check_model, config.inference)
    findings = [*cameras, disk, clock, *cloud, model]
    if config.central is not None:
        remedy = "mend central.*, its key, or the site's configuration" if fault else ""
        state: Literal["good", "bad"] = "bad" if fault else "good"
        findings.append(Finding("configuration", state, fault or found, remedy))
    return findings


def streams_of(camera: CameraConfig) -> list[CameraConfig]:
    """Return the camera, and its sub stream as one of its own where it has one."""
    if camera.sub_url is None:
        return [camera]
    changes = {"id": f"{camera.id}, sub stream", "url": camera.sub_url, "audio": False}
    return [camera, camera.model_copy(update={**changes, "sub_url": None})]


def check_camera(camera: CameraConfig, no_data_s: float) -> Finding:
    """Connect, and wait for a keyframe and what comes up to the next one."""
    what = f"camera {camera.id}"
    began_s = time.monotonic()
    try:
        source = open_source(camera, no_data_s, threading.Event(), utc_ms)
    except (MediaError, ConfigError) as error:
        return Finding(
            what, "bad", str(error), "mend url, username or password; is it switched on?"
        )
    try:
        fragmenter = Fragmenter(source.video, source.audio, Limits())
        sound = fragmenter.audio_codec or "no sound"
        text = f"{fragmenter.video_codec} {fragmenter.width}x{fragmenter.height}, {sound}"
        first_pts: int | None = None
        for packet, _ in source.packets():
            if packet.stream is source.video and packet.is_keyframe and packet.pts is not None:
                if first_pts is not None:
                    gap_s = float((packet.pts - first_pts) * (packet.time_base or 0))
                    return Finding(what, "good", f"{text}, keyframe every {gap_s:.1f} s")
                first_pts = packet.pts
            if time.monotonic() - began_s > _KEYFRAME_S:
                break
    except MediaError as error:
        return Finding(what, "bad", str(error), "mend the camera's stream settings")
    finally:
        source.close()
    if first_pts is None:
        return Finding(
            what, "bad", f"{text}, no keyframe within {_KEYFRAME_S:.0f} s",
            "set the camera's keyframe interval (GOP) to 2 to 4 s",
        )  # fmt: skip
    return Finding(
        what, "fair", f"{text}, keyframes more than {_ADVISED_KEYFRAME_S:.0f} s apart",
        "set the camera's keyframe interval (GOP) to 2 to 4 s",
    )  # fmt: skip


def check_disk(config: EdgeConfig) -> Finding:
    """Write, force to disk and read back; compare space with the limits."""
    folder, what = config.spool.dir, f"disk {config.spool.dir}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            data = os.urandom(1 << 20)
            began_s = time.monotonic()
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            took_s = time.monotonic() - began_s
            if Path(file.name).read_bytes() != data:
                return Finding(what, "bad", "reads other bytes than were written", "replace it")
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return Finding(what, "bad", error.strerror or str(error), "choose a writable spool.dir")
    text = f"{free / (1 << 30):.1f} GiB free, 1 MiB durable in {took_s * 1_000:.0f} ms"
    if free < config.spool.free_floor_bytes:
        return Finding(what, "bad", text, "free space, or lower spool.free_floor_bytes")
    if free - config.spool.free_floor_bytes < config.spool.max_bytes:
        return Finding(what, "fair", text, "spool.max_bytes is more than the disk can hold")
    return Finding(what, "good", text)


def check_clock() -> Finding:
    """Ask the system whether its clock is kept by NTP."""
    if plainly_wrong(utc_ms()):
        return Finding("clock", "bad", time.strftime("it says %Y-%m-%d", time.gmtime()), "set it")
    said = ""
    if shutil.which("timedatectl"):
        done = subprocess.run(
            ["timedatectl", "show", "-p", "NTPSynchronized", "--value"],
            check=False, capture_output=True, text=True, timeout=5,
        )  # fmt: skip
        said = done.stdout.strip()
    if said == "yes":
        return Finding("clock", "good", "kept by NTP")
    detail = "not kept by NTP" if said == "no" else "whether NTP keeps it is unknown"
    return Finding("clock", "fair", detail, "let chrony or systemd-timesyncd run")


async def check_store(config: EdgeConfig) -> Finding:
    """PUT a small object under the edge's own prefix, read it, delete it."""
    what = f"S3 {config.cloud.bucket}"
    key = f"fragments/{config.site}/.check/{uuid.uuid4()}"
    at_s3, _ = endpoints(config)
    began_s = time.monotonic()
    try:
        async with ObjectStore(at_s3, config.cloud.bucket) as store:
            await store.put_once(
                key,
                b"check",
                sha256=hashlib.sha256(b"check").hexdigest(),
                metadata={},
                content_type="text/plain",
            )
            await store.head(key)
            took_s = time.monotonic() - began_s
            try:
                await store.delete([key])
            except StoreError:
                return Finding(what, "good", f"written in {took_s:.2f} s (may not delete: fine)")
    except VigilError as error:
        return Finding(what, "bad", str(error), "mend cloud.*, credentials, or the route")
    except Exception as error:
        return Finding(what, "bad", str(error), "mend cloud.* and the credentials")
    return Finding(what, "good", f"written and read in {took_s:.2f} s")


async def check_queue(config: EdgeConfig) -> Finding:
    """Send a heartbeat, which the cloud may get at any time."""
    what = "SQS " + config.cloud.queue_url.rsplit("/", 1)[-1]
    beat = Heartbeat(
        site=config.site, edge=config.edge, sent_ms=utc_ms(), spool_bytes=0, spool_waiting=0,
        disk_free_bytes=0,
    )  # fmt: skip
    _, at_sqs = endpoints(config)
    began_s = time.monotonic()
    try:
        async with Queue(at_sqs, config.cloud.queue_url) as queue:
            refused = await queue.send([encode(beat)])
    except VigilError as error:
        return Finding(what, "bad", str(error), "mend cloud.*, credentials, or the route")
    except Exception as error:
        return Finding(what, "bad", str(error), "mend cloud.* and the credentials")
    if refused:
        return Finding(what, "bad", "refuses messages", "look at the queue's policy")
    return Finding(what, "good", f"a message sent in {time.monotonic() - began_s:.2f} s")


def check_model(config: InferenceConfig) -> Finding:
    """Load the model as local inference will."""
    if not config.enabled:
        return Finding("model", "good", "off: this device records only")
    from edge_bridge.inference.detectors import check as load  # noqa: PLC0415 - slow to load

    try:
        said = load(config)
    except VigilError as error:
        return Finding("model", "bad", str(error), "mend inference.model or inference.providers")
    return Finding("model", "good", said)


def print_table(findings: Sequence[Finding]) -> None:
    """Print what was found, and what to do."""
    colours = {"good": "green", "fair": "yellow", "bad": "red"}
    table = Table(box=None, pad_edge=False)
    for title in ("", "what", "found", "remedy"):
        table.add_column(title, overflow="fold")
    for one in findings:
        mark = f"[{colours[one.state]}]{one.state}[/]"
        table.add_row(mark, one.what, one.detail, one.remedy)
    Console(highlight=False).print(table)

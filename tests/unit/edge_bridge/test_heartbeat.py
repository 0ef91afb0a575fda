"""Heartbeats: what they report of disk and spool. Changes of state use the outbox."""

import asyncio
import json
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client import REGISTRY

from cli import main as cli
from domain.events import CameraStatus, Heartbeat, parse
from edge_bridge import heartbeat as heartbeat_module
from edge_bridge.clock import EdgeClock
from edge_bridge.clock_sync import ClockSync
from edge_bridge.config import EdgeConfig
from edge_bridge.health_client import HealthSummary, parse_report
from edge_bridge.heartbeat import HeartbeatSender
from edge_bridge.identity.identity import DeviceIdentity
from edge_bridge.spool import thread as spool_thread
from edge_bridge.spool.disk import SpoolDisk
from edge_bridge.spool.spool import open_spool
from edge_bridge.spool.thread import SpoolThread
from edge_bridge.upload.bandwidth import BandwidthLimiter
from edge_bridge.upload.link import Link
from edge_bridge.upload.outbox_sender import OutboxSender
from edge_bridge.upload.wakeup import Wakeup
from tests.unit.edge_bridge.cloud import MemoryCloud
from tests.unit.edge_bridge.material import CAMERA, RUN, T0_MS, fragment, started
from tests.waiting import wait_for

CONFIG: dict[str, Any] = {
    "site": "acme/berlin",
    "edge": "e1",
    "cloud": {"bucket": "bucket", "queue_url": "http://127.0.0.1/queue"},
    "cameras": [{"id": "gate", "url": "rtsp://192.0.2.1/x"}],
    "upload": {"limit_kbit": 4_000},
}


class Device:
    """An edge without cameras, whose one camera's state the test sets."""

    def __init__(self, folder: Path, cloud: MemoryCloud) -> None:
        self.config = EdgeConfig.model_validate({**CONFIG, "spool": {"dir": str(folder)}})
        self.state: Any = "recording"
        self.sync = ClockSync("unknown")
        work = Wakeup()
        self.spool = SpoolThread(
            lambda: open_spool(folder, "e1", self.config.spool_limits()), work.set
        )
        store: Any = cloud
        self.sender = OutboxSender(
            self.spool, store, store, to_s3=Link("s3"), to_sqs=Link("sqs"), work=work
        )
        self.heartbeats = HeartbeatSender(
            self.config, self.spool, self.sender, BandwidthLimiter.from_config(self.config.upload),
            clock=EdgeClock(), statuses=self._statuses, read_clock_sync=lambda: self.sync,
        )  # fmt: skip

    def _statuses(self) -> list[CameraStatus]:
        return [CameraStatus(camera=CAMERA, state=self.state, since_ms=T0_MS)]


def summary_of(report: dict[str, Any]) -> HealthSummary:
    """Return what `vigil edge health` shows."""
    return parse_report(True, json.dumps(report).encode())


def gauge(name: str) -> float | None:
    return REGISTRY.get_sample_value(name)


@pytest.fixture
def cloud() -> MemoryCloud:
    return MemoryCloud()


def heartbeats_of(cloud: MemoryCloud) -> list[Heartbeat]:
    events = [parse(body) for body in cloud.messages]
    return [event for event in events if isinstance(event, Heartbeat)]


async def test_changes_of_state_during_an_outage_are_all_reported(
    tmp_path: Path, cloud: MemoryCloud
) -> None:
    device = Device(tmp_path, cloud)
    try:
        # recording ─ failing ─ recording ─ recording ─ recording      the cloud receives none of it
        for state in ("recording", "failing", "recording", "recording", "recording"):
            device.state = state
            await device.heartbeats._send()
        sending = asyncio.create_task(device.sender.run())
        await wait_for(lambda: len(heartbeats_of(cloud)) == 3, within_s=20, what="three heartbeats")
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        found = sorted(heartbeats_of(cloud), key=lambda beat: beat.sent_ms)
        assert [beat.cameras[0].state for beat in found] == ["failing", "recording", "recording"]
    finally:
        device.spool.close()


async def test_a_heartbeat_reports_disk_and_spool(tmp_path: Path, cloud: MemoryCloud) -> None:
    device = Device(tmp_path, cloud)
    try:
        device.spool.fragment(*fragment(0), started())
        device.spool.fragment(*fragment(1), started())
        first = (await device.spool.call(lambda spool: spool.waiting(1)))[0]
        await device.spool.call(lambda spool: spool.give_up(first.id, "space"))
        await device.heartbeats._send()
        assert device.sender._heartbeat is not None
        beat = parse(device.sender._heartbeat)
        assert isinstance(beat, Heartbeat)
        assert (beat.disk_state, beat.given_up, beat.spool_waiting) == ("good", 1, 1)
        assert beat.spool_oldest_ms == T0_MS + 4_000
        report = device.heartbeats.report()
        assert report["disk"]["state"] == "good"
        assert report["spool"]["upload_limit_kbit"] == 4_000
    finally:
        device.spool.close()


async def test_an_enrolled_device_reports_its_identity(tmp_path: Path, cloud: MemoryCloud) -> None:
    """In version 2 of the event. A device that is not enrolled sends version 1, as before."""
    device = Device(tmp_path, cloud)
    certificate = SimpleNamespace(generation=7, half_ms=T0_MS, not_after_ms=T0_MS + 9)
    identity = SimpleNamespace(state="none", certificate=None)
    device.heartbeats._identity = cast("DeviceIdentity", identity)
    device.heartbeats._clock_trust = lambda: "agreed"
    found = []
    try:
        for state, held in (("none", None), ("enrolled", certificate), ("damaged", None)):
            identity.state, identity.certificate = state, held
            device.heartbeats._reported = None  # a change is sent by the outbox
            await device.heartbeats._send()
            beat = parse(device.sender._heartbeat or b"")
            assert isinstance(beat, Heartbeat)
            reported = (beat.identity_generation, beat.identity_renew_ms, beat.identity_expires_ms)
            found.append((beat.version, beat.identity_state, reported, beat.clock_trust))
    finally:
        device.spool.close()
    nothing = (None, None, None)
    assert found == [
        (1, None, nothing, None),
        (2, "enrolled", (7, T0_MS, T0_MS + 9), "agreed"),
        (2, "damaged", nothing, "agreed"),
    ]


async def test_an_unsynchronised_clock_is_reported_everywhere(
    tmp_path: Path, cloud: MemoryCloud, caplog: pytest.LogCaptureFixture
) -> None:
    device = Device(tmp_path, cloud)
    caplog.set_level("INFO", "edge_bridge.heartbeat")
    gauges = []
    try:
        for sync in (
            ClockSync("unknown"),
            ClockSync("unsynchronised"),
            ClockSync("unsynchronised"),
            ClockSync("synchronised", 34),
        ):
            device.sync = sync
            await device.heartbeats._send()
            beat = parse(device.sender._heartbeat or b"")
            assert isinstance(beat, Heartbeat)
            assert (beat.clock_state, beat.clock_error_ms) == (sync.state, sync.error_ms)
            report = {"cameras": [], "clock": "right", **device.heartbeats.report()}
            assert report["clock_sync"] == {"state": sync.state, "error_ms": sync.error_ms}
            about_clock = [line for line in summary_of(report).lines if line.startswith("clock")]
            assert len(about_clock) == (sync.state == "unsynchronised")
            gauges.append(
                (gauge("vigil_edge_clock_synchronised"), gauge("vigil_edge_clock_error_seconds"))
            )
    finally:
        device.spool.close()
    assert str(gauges) == "[(nan, nan), (0.0, nan), (0.0, nan), (1.0, 0.034)]"
    assert [(each.levelname, each.getMessage()) for each in caplog.records] == [
        ("WARNING", "this device's clock is not synchronised: allow NTP (UDP 123)"),
        ("INFO", "this device's clock: synchronised"),
    ]


async def test_a_disk_that_is_gone_or_hangs_stops_no_heartbeat(
    tmp_path: Path, cloud: MemoryCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "spool"
    device = Device(folder, cloud)
    monkeypatch.setattr(spool_thread, "_PROBE_EVERY_S", 3_600.0)
    sending = asyncio.create_task(device.sender.run())
    try:
        await device.heartbeats._send()
        await wait_for(lambda: len(heartbeats_of(cloud)) == 1, within_s=20, what="the first")
        # First: the spool's own thread may check the disk at any moment.
        monkeypatch.setattr(SpoolDisk, "may_open", lambda _: False)
        folder.rename(tmp_path / "away")
        await device.heartbeats._send()
        await wait_for(
            lambda: len(heartbeats_of(cloud)) == 2, within_s=20, what="one without a disk"
        )
        assert heartbeats_of(cloud)[-1].disk_state == "gone"
        await device.heartbeats._send()
        await wait_for(lambda: len(heartbeats_of(cloud)) == 3, within_s=20, what="one more")
        assert not sending.done()
        assert not folder.exists()
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        device.spool.close()


def test_what_was_given_up_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "edge.yaml"
    config.write_text(json.dumps({**CONFIG, "spool": {"dir": "spool"}}))
    spool = open_spool(tmp_path / "spool", "e1", EdgeConfig.model_validate(
        {**CONFIG, "spool": {"dir": "spool"}}).spool_limits())  # fmt: skip
    for seq in range(4):
        spool.store(*fragment(seq), started())
    for row in spool.waiting(2):
        spool.give_up(row.id, "space")
    spool.give_up(spool.waiting(5)[-1].id, "damaged")

    def output(*arguments: str) -> str:
        with pytest.raises(SystemExit) as ended:
            cli.main(["edge", "given-up", "--config", str(config), *arguments])
        assert not ended.value.code
        return capsys.readouterr().out

    rows = [json.loads(line) for line in output("--json").splitlines()]  # also while it runs
    assert [(one["first_seq"], one["last_seq"], one["why"]) for one in rows] == [
        (0, 1, "space"), (3, 3, "damaged"),
    ]  # fmt: skip
    assert rows[0]["run"] == RUN
    assert (rows[0]["from_ms"], rows[0]["to_ms"]) == (T0_MS, T0_MS + 8_000)
    assert "2025-10-09" in output()
    spool.close()


async def test_a_disk_that_does_not_say_how_full_it_is_stops_no_heartbeat(
    tmp_path: Path, cloud: MemoryCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging, asked = threading.Event(), []

    def hang(_: SpoolDisk) -> tuple[int, int]:
        asked.append(threading.get_ident())
        hanging.wait(20)
        return 7, 7

    device = Device(tmp_path / "spool", cloud)
    sending = asyncio.create_task(device.sender.run())
    monkeypatch.setattr(heartbeat_module, "_SPOOL_TIMEOUT_S", 0.3)
    monkeypatch.setattr(SpoolDisk, "free", hang)
    try:
        for _ in range(3):
            await device.heartbeats._send()
        await wait_for(lambda: heartbeats_of(cloud), within_s=20, what="a heartbeat")
        assert heartbeats_of(cloud)[-1].disk_free_bytes == 0
        assert len(asked) == 1
        hanging.set()
        monkeypatch.setattr(heartbeat_module, "_SPOOL_TIMEOUT_S", 60)
        assert device.heartbeats._space_task is not None
        await device.heartbeats._space_task
        await device.heartbeats._send()
        await wait_for(
            lambda: heartbeats_of(cloud)[-1].disk_free_bytes == 7,
            within_s=20,
            what="it is reported",
        )
    finally:
        hanging.set()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        device.spool.close()

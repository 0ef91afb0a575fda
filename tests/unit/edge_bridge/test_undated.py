"""Footage of a device whose clock starts in 1970: it waits, then it is sent with its true time.

steady   60 s ─── fragments of 4 s ─────┬───────────────►
wall     1970                           │ 2026
sent     nothing                        │ all, under the true id
"""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from domain.events import Detection, FragmentArrived, RunEnded, RunStarted
from domain.events.detections import DetectionFrame
from domain.events.registry import encode
from domain.unset_clock import is_undated, true_run
from edge_bridge.capture.recorder import Recorder
from edge_bridge.capture.run import RecordingContext
from edge_bridge.clock import EdgeClock
from edge_bridge.config import CameraConfig
from edge_bridge.config.spool import SpoolLimits
from edge_bridge.rtsp.errors import CameraError
from edge_bridge.spool.rows import FragmentState
from edge_bridge.spool.spool import Spool, open_spool
from edge_bridge.spool.undated_rows import UNDATED_PREFIX
from media.fragmenter import FragmentLimits
from tests.footage import write_clip
from tests.unit.edge_bridge.material import CAMERA, fragment
from tests.unit.edge_bridge.test_capture import Film, RecordingCollector, finished
from tests.unit.edge_bridge.test_spool import CrashError, crash_at

PLENTY = SpoolLimits(max_bytes=1 << 30, free_floor_bytes=0)
UP_MS = 60_000
Sent = tuple[list[FragmentArrived], list[bytes], list[RunEnded]]
TRUE_MS = 1_790_000_000_000
"""UTC at the device's start."""


class Device:
    """A device with a clock that can be set."""

    def __init__(self, folder: Path, boot: str = "0a0b0c0d") -> None:
        self.folder = folder
        self.steady_ms = UP_MS
        self.right = False
        self.ntp_ms = 0
        self.clock = EdgeClock(self._wall_ms, lambda: self.steady_ms, boot)

    def _wall_ms(self) -> int:
        return self.steady_ms + (TRUE_MS + self.ntp_ms if self.right else 0)

    def spool(self, **options: Any) -> Spool:
        return open_spool(self.folder, "e1", PLENTY, clock=self.clock, **options)


def undated_fragment(run: str, seq: int) -> tuple[FragmentArrived, bytes]:
    event, data = fragment(seq, run=run)
    start_ms = UP_MS + seq * 4_000
    times = {"start_ms": start_ms, "arrived_ms": start_ms + 5, "closed_ms": start_ms + 4_000}
    return event.model_copy(update=times), data


def record(spool: Spool, run: str, seqs: range) -> None:
    start = RunStarted(camera=CAMERA, run=run, started_ms=UP_MS, edge="e1", stream="sub")
    for seq in seqs:
        assert spool.store(*undated_fragment(run, seq), start)
    frames = [DetectionFrame(pts=1, at_ms=UP_MS + 1, objects=[])]
    seen = Detection(camera=CAMERA, run=run, model="m", model_version="1", frames=frames)
    spool.put_message(UNDATED_PREFIX + "detection", encode(seen))


def stamp_all(spool: Spool) -> None:
    for _ in range(100):
        if not spool.stamp_undated():
            return
    raise AssertionError("stamping does not end")


def send_all(spool: Spool) -> Sent:
    """Return what would be sent: fragments, messages, ends of runs."""
    rows = spool.waiting(1_000)
    events = [FragmentArrived.model_validate_json(row.event) for row in rows]
    for row in rows:
        spool.uploaded(row.id)
    messages = spool.journal.messages(1_000)
    spool.sent([row.id for row in spool.unnoticed(1_000)], messages, [])
    ends = [event for _, event in spool.ends_to_write(100)]
    return events, [message.body for message in messages], ends


def check_all_true(
    spool: Spool, run: str, seqs: int, reason: str, early: Sent = ([], [], [])
) -> None:
    true = true_run(run, TRUE_MS)
    events, messages, ends = send_all(spool)
    events, messages = early[0] + events, early[1] + messages
    assert sorted(event.seq for event in events) == list(range(seqs))
    for event in events:
        wanted, data = undated_fragment(run, event.seq)
        assert (event.run, event.start_ms) == (true, TRUE_MS + wanted.start_ms)
        assert event.arrived_ms == TRUE_MS + wanted.arrived_ms
        assert spool.files.read(CAMERA, true, event.seq, len(data)) == data
        assert spool.files.inspect(spool.files.path(CAMERA, true, event.seq)) == event
    assert [(end.run, end.last_seq, end.reason) for end in ends] == [(true, seqs - 1, reason)]
    assert ends[0].ended_ms == TRUE_MS + UP_MS + seqs * 4_000
    assert not ends[0].given_up
    assert messages and all(true.encode() in body for body in messages)
    assert str(TRUE_MS + UP_MS + 1).encode() in b"".join(messages)
    assert not (spool.files.root / CAMERA / run).exists()
    assert spool.counts().undated == 0


def test_nothing_is_sent_before_the_time_is_known(tmp_path: Path) -> None:
    device = Device(tmp_path)
    spool, run = device.spool(), device.clock.new_run(device.clock.now_ms())
    assert is_undated(run)
    record(spool, run, range(10))
    spool.end_run(run, UP_MS + 40_000, "camera closed")
    stamp_all(spool)
    assert send_all(spool) == ([], [], [])
    counts = spool.counts()
    assert counts.idle and counts.undated == 10 and counts.oldest_ms is None
    before = spool.file_bytes
    device.right = True
    stamp_all(spool)
    assert spool.file_bytes == before
    check_all_true(spool, run, 10, "camera closed")
    spool.close()


def test_a_run_that_continues_while_it_is_stamped(tmp_path: Path) -> None:
    device = Device(tmp_path)
    spool, run = device.spool(), device.clock.new_run(device.clock.now_ms())
    record(spool, run, range(3))
    device.right = True
    stamp_all(spool)
    early = send_all(spool)
    assert len(early[0]) == 3 and early[2] == []
    record(spool, run, range(3, 5))  # closed after the clock was set
    device.steady_ms += 3_600_000
    spool.end_run(run, UP_MS + 20_000, "the clock was set")
    assert spool.ends_to_write(10) == []
    stamp_all(spool)
    check_all_true(spool, run, 5, "the clock was set", early)
    spool.close()


@pytest.mark.parametrize("nth", [1, 3])
@pytest.mark.parametrize("step", ["written in part", "renamed", "folder synced"])
def test_a_crash_during_stamping_is_repaired(step: str, nth: int, tmp_path: Path) -> None:
    device = Device(tmp_path)
    spool, run = device.spool(), device.clock.new_run(device.clock.now_ms())
    record(spool, run, range(5))
    spool.end_run(run, UP_MS + 20_000, "camera closed")
    spool.close()
    device.right = True
    spool = device.spool(step=crash_at(step, nth))
    with pytest.raises(CrashError):
        stamp_all(spool)
    spool.close()
    device.steady_ms += 777
    device.ntp_ms = 50  # NTP corrects further: undated footage keeps the first shift
    spool = device.spool()
    early = send_all(spool)
    assert early[2] == []  # the rest is still held
    stamp_all(spool)
    check_all_true(spool, run, 5, "camera closed", early)
    spool.close()


def test_a_restart_of_the_program_keeps_the_time_one_of_the_device_does_not(tmp_path: Path) -> None:
    device = Device(tmp_path)
    spool, run = device.spool(), device.clock.new_run(device.clock.now_ms())
    record(spool, run, range(2))
    spool.close()
    after = Device(tmp_path, boot="ffffffff")
    after.right = True
    spool = after.spool()
    stamp_all(spool)
    assert send_all(spool) == ([], [], [])  # its time is not known
    assert spool.counts().undated == 2
    spool.close()
    device.right = True
    spool = device.spool()  # as if the program alone had ended
    stamp_all(spool)
    events, _, ends = send_all(spool)
    assert len(events) == 2
    assert [end.reason for end in ends] == ["edge restarted"]
    spool.close()


def test_undated_footage_is_evicted_last_and_listed(tmp_path: Path) -> None:
    device = Device(tmp_path)
    spool, run = device.spool(), device.clock.new_run(device.clock.now_ms())
    record(spool, run, range(3))
    spool.set_limits(SpoolLimits(max_bytes=2 * 1_880, free_floor_bytes=0))
    spool.evict()
    assert spool.counts().undated == 2
    device.right = True
    spool.end_run(run, UP_MS + 12_000, "camera closed")
    stamp_all(spool)
    events, _, ends = send_all(spool)
    assert [event.seq for event in events] == [1, 2]
    assert ends[0].given_up == [(0, 0)]
    spool.close()


def test_the_journal_is_rebuilt_with_undated_footage(tmp_path: Path) -> None:
    device = Device(tmp_path)
    spool, run = device.spool(), device.clock.new_run(device.clock.now_ms())
    record(spool, run, range(2))
    spool.close()
    (tmp_path / "journal.db").write_bytes(b"no journal" * 100)
    for extra in ("journal.db-wal", "journal.db-shm"):
        (tmp_path / extra).unlink(missing_ok=True)
    spool = device.spool()
    assert {state for _, state, _ in spool.journal.all_fragments()} == {FragmentState.STORED}
    assert send_all(spool) == ([], [], [])
    device.right = True
    stamp_all(spool)
    events, messages, ends = send_all(spool)
    assert [event.seq for event in events] == [0, 1]
    assert (len(messages), len(ends)) == (1, 1)
    spool.close()


async def test_a_camera_is_recorded_through_the_setting_of_the_clock(tmp_path: Path) -> None:
    """The run ends when the clock is set, and the next one has its true time at once."""
    clip = write_clip(tmp_path / "clip.mp4", 250)
    device, kept = Device(tmp_path / "spool"), RecordingCollector()
    clock = [device.clock.now_ms()]

    def jump(n: int, packet: Any) -> Any:
        if n == 120:  # 4.8 s in: NTP answers
            device.right = True
            clock[0] += TRUE_MS
        return packet

    openers = iter([lambda: Film(clip, clock, jump)])

    def opener(*_: Any) -> Any:
        return next(openers, gone)()

    def gone() -> Any:
        raise CameraError("no more connections")

    recording = RecordingContext(
        CAMERA,
        "e1",
        "main",
        FragmentLimits(target_ms=2_000),
        kept,
        None,
        lambda: clock[0],
        device.clock,
    )
    recorder = Recorder(
        CameraConfig(id="gate", url="rtsp://192.0.2.1/x"), recording, 10, opener=opener
    )
    await finished(recorder, kept, 2)
    (held, held_end_ms, why), (true, _, _) = kept.ends
    assert is_undated(held) and not is_undated(true)
    assert "has been set" in why
    assert held_end_ms < UP_MS + 10_000
    # The run goes on until the next keyframe: no frame is lost between the two.
    assert [sum(event.frames for event in kept.of(run)) for run in (held, true)] == [125, 125]
    assert all(event.start_ms >= TRUE_MS for event in kept.of(true))
    spool = device.spool()
    starts = {start.run: start for start in kept.starts}
    for event, data in kept.fragments:
        assert spool.store(event, data, starts[event.run])
    for run, ended_ms, reason in kept.ends:
        spool.end_run(run, ended_ms, reason)
    device.steady_ms = clock[0] - TRUE_MS
    stamp_all(spool)
    events, _, ends = send_all(spool)
    events.sort(key=lambda event: event.start_ms)
    assert len({event.run for event in events}) == 2 == len(ends)
    for one, following in pairwise(events):
        assert one.end_ms <= following.start_ms
    assert events[0].start_ms == TRUE_MS + UP_MS + 40
    spool.close()

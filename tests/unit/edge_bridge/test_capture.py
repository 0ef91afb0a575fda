"""One camera's thread: runs, their reasons, and faults that stay its own."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import pytest

from domain.errors import ConfigError
from domain.events import FragmentArrived, RunStarted
from edge_bridge.capture import recorder as recorder_module
from edge_bridge.capture.clip_source import ClipSource
from edge_bridge.capture.error_text import error_text
from edge_bridge.capture.ffmpeg_source import HoldbackBuffer
from edge_bridge.capture.recorder import Recorder, failures_after, wait_s
from edge_bridge.capture.run import RecordingContext
from edge_bridge.capture.source import WAITS_FOR_KEYFRAME
from edge_bridge.capture.watchdog import Watchdog
from edge_bridge.config import CameraConfig
from edge_bridge.encoded_frame import EncodedFrame
from edge_bridge.rtsp.errors import CameraError
from media import keyframes
from media.fragmenter import FragmentLimits
from tests.footage import numbers_in, write_clip
from tests.recording_sink import PieceCollector
from tests.waiting import wait_for

T0_MS = 1_760_000_000_000
CAMERA = "acme/berlin/gate"


class RecordingCollector(PieceCollector):
    """What capture hands over."""

    def __init__(self) -> None:
        super().__init__()
        self.fragments: list[tuple[FragmentArrived, bytes]] = []
        self.starts: list[RunStarted] = []
        self.ends: list[tuple[str, int, str]] = []

    def fragment(self, event: FragmentArrived, data: bytes, started: RunStarted) -> None:
        self.fragments.append((event, self.whole(event, data)))
        if started not in self.starts:
            self.starts.append(started)

    def end_run(self, run: str, ended_ms: int, reason: str) -> None:
        self.ends.append((run, ended_ms, reason))

    def of(self, run: str) -> list[FragmentArrived]:
        return [event for event, _ in self.fragments if event.run == run]


class FrameCollector:
    """Counts what inference is offered."""

    def __init__(self) -> None:
        self.offered: list[EncodedFrame] = []

    def offer(self, picture: EncodedFrame) -> bool:
        self.offered.append(picture.with_owned_data())
        return True


class Film:
    """A source that plays a clip at once, on a simulated clock; `change` alters packets."""

    def __init__(
        self,
        path: Path,
        clock: list[int],
        change: Callable[[int, Any], Any] = lambda _, packet: packet,
        end: Exception | None = None,
    ) -> None:
        self._container = av.open(str(path))
        self.video = self._container.streams.video[0]
        self.audio = None
        self._clock, self._change = clock, change
        self._end = end or CameraError("the camera closed the stream")

    def packets(self) -> Iterator[tuple[Any, int]]:
        for n, packet in enumerate(self._container.demux(self.video)):
            if packet.size:
                self._clock[0] += 40
                yield self._change(n, packet), self._clock[0]
        raise self._end

    def close(self) -> None:
        self._container.close()


def made(
    openers: list[Callable[[], Any]],
    kept: RecordingCollector,
    clock: list[int],
    frames: FrameCollector | None = None,
) -> Recorder:
    """Return a recorder whose n-th connection is made by the n-th opener; then none is made."""
    left = iter(openers)

    def opener(*_: Any) -> Any:
        return next(left, lambda: raising(CameraError("no more connections")))()

    config = CameraConfig(id="gate", url="rtsp://192.0.2.1/x")
    recording = RecordingContext(
        CAMERA, "e1", "main", FragmentLimits(target_ms=2_000), kept, frames, lambda: clock[0]
    )
    return Recorder(config, recording, 10, opener=opener)


def raising(error: Exception) -> Any:
    raise error


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "wait_s", lambda *_: 0.001)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", 250)


async def finished(recorder: Recorder, kept: RecordingCollector, ends: int) -> None:
    recorder.start()
    await wait_for(lambda: len(kept.ends) >= ends, within_s=20, what="runs end")
    recorder.stop()
    assert recorder.join(60)


async def test_fragments_of_a_run_adjoin_and_say_all(clip: Path) -> None:
    kept, clock, frames = RecordingCollector(), [T0_MS], FrameCollector()
    await finished(made([lambda: Film(clip, clock)], kept, clock, frames), kept, 1)
    events = [event for event, _ in kept.fragments]
    assert [event.seq for event in events] == [0, 1, 2, 3, 4]
    assert [event.frames for event in events] == [50] * 5
    for one, following in pairwise(events):
        assert one.end_ms == following.start_ms
    assert events[0].start_ms == T0_MS + 40  # the least-delayed picture's arrival
    assert events[0].arrived_ms == T0_MS + 40
    assert kept.ends == [(events[0].run, events[-1].end_ms, "the camera closed the stream")]
    assert [start.started_ms for start in kept.starts] == [events[0].start_ms]
    for event, data in kept.fragments:
        assert list(keyframes.index_video(data, event.start_pts).keyframes) == event.keyframes
        assert FragmentArrived.from_metadata(event.metadata()).sha256 == event.sha256
    assert len(frames.offered) == 250
    first = frames.offered[0]
    assert first.keyframe and first.pts == events[0].start_pts
    assert first.codec_parameters.extradata and (
        first.codec_parameters.codec,
        first.codec_parameters.width,
    ) == ("h264", 192)


async def test_a_broken_connection_is_followed_by_a_new_run(clip: Path) -> None:
    kept, clock = RecordingCollector(), [T0_MS]
    lost = CameraError("no data for 10 s")
    openers = [
        lambda: raising(CameraError("refused")),
        lambda: Film(clip, clock, end=lost),
        lambda: raising(CameraError("refused")),
        lambda: Film(clip, clock),
    ]
    await finished(made(openers, kept, clock), kept, 2)
    (one, _, why), (other, _, _) = kept.ends
    assert one < other  # sortable by start
    assert why == "no data for 10 s"
    assert [len(kept.of(run)) for run in (one, other)] == [5, 5]


def later(seconds: int, since: int) -> Callable[[int, Any], Any]:
    def change(n: int, packet: Any) -> Any:
        if n >= since:
            ticks = int(seconds / packet.time_base)
            packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
        return packet

    return change


@pytest.mark.parametrize(
    "change",
    [
        later(-30, 110),
        later(3_600, 110),
        later(-30, 100),
        lambda n, p: later(37_600, 0)(n, p) if n % 50 == 20 else p,
        lambda n, p: later(-9_800, 0)(n, p) if n % 50 == 20 else p,
        lambda n, p: later(2, 0)(n, p) if n % 7 in (3, 4) else p,
        lambda n, p: later(3, 0)(n, p) if n == 0 else p,
        lambda n, p: later(-n // 10, 0)(n, p) if n % 10 < 2 else p,
    ],
    ids=["back", "ahead", "back at a keyframe", "future", "past", "pairs", "first", "any"],
)
async def test_stamps_that_stray_or_jump_are_corrected(
    change: Callable[[int, Any], Any], clip: Path
) -> None:
    kept, clock = RecordingCollector(), [T0_MS]
    await finished(made([lambda: Film(clip, clock, change)], kept, clock), kept, 1)
    ((run, _, why),) = kept.ends
    assert why == "the camera closed the stream"
    assert sum(event.frames for event in kept.of(run)) == 250
    events = kept.of(run)
    assert events[-1].end_ms - events[0].start_ms == pytest.approx(10_000, abs=300)
    for event in events:
        assert abs(event.closed_ms - event.end_ms) < 2_500


@pytest.mark.parametrize("at", [110, 125])
async def test_a_step_of_the_devices_clock_begins_a_new_run_without_a_gap(
    at: int, clip: Path
) -> None:
    """The run goes on until the keyframe at which the next one begins: no frame is lost."""
    kept, clock = RecordingCollector(), [T0_MS]

    def step(n: int, packet: Any) -> Any:
        clock[0] -= 60_000 if n == at else 0
        return packet

    await finished(made([lambda: Film(clip, clock, step)], kept, clock), kept, 2)
    (second, _, _), (first, _, why) = sorted(kept.ends)  # ids are sorted by time
    assert "drifted apart by more than 5 s" in why
    assert sum(event.frames for event in kept.of(first)) == 125
    assert sum(event.frames for event in kept.of(second)) == 125
    assert kept.of(second)[0].start_ms == T0_MS + 126 * 40 - 60_000


@pytest.mark.parametrize(
    ("fps", "words"),
    [(20, "stamps 25 frames a second and sends 20"), (32, "stamps 25 frames a second and sends")],
)
async def test_a_wrong_frame_rate_is_followed_and_reported(
    fps: int, words: str, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "long.mp4", 1_500)
    kept, clock = RecordingCollector(), [T0_MS]

    def slower(n: int, packet: Any) -> Any:
        clock[0] += 1_000 // fps - 40
        return packet

    recorder = made([lambda: Film(clip, clock, slower)], kept, clock)
    notes = []
    set_state = recorder._set_state
    recorder._set_state = lambda *state: (notes.append(state), set_state(*state))  # type: ignore
    await finished(recorder, kept, 1)
    ((run, _, _),) = kept.ends
    events = kept.of(run)
    assert sum(event.frames for event in events) == 1_500
    for one, following in pairwise(events):
        assert one.end_ms == following.start_ms
    seconds = 1_500 * (1_000 // fps) / 1_000
    assert (events[-1].end_ms - events[0].start_ms) / 1_000 == pytest.approx(seconds, abs=2)
    assert any(state == "recording" and words in detail for state, detail in notes)


async def test_changed_parameter_sets_begin_a_new_run_on_the_same_connection(
    tmp_path: Path,
) -> None:
    small, large = tmp_path / "small.ts", tmp_path / "large.ts"
    write_clip(small, 100)
    write_clip(large, 100, width=256)
    kept, clock = RecordingCollector(), [T0_MS]

    class Changes(Film):
        def packets(self) -> Iterator[tuple[Any, int]]:
            with contextlib.suppress(CameraError):
                yield from super().packets()
            other = Film(large, self._clock)
            for n, (packet, arrived_ms) in enumerate(other.packets()):
                packet.stream = self.video
                packet.pts = packet.dts = 90_000 * 20 + n * 3_600
                yield packet, arrived_ms

    await finished(made([lambda: Changes(small, clock)], kept, clock), kept, 2)
    (first, _, why), (second, _, _) = kept.ends
    assert "size from 192x128 to 256x128" in why
    assert [(event.width, event.frames) for event in kept.of(first)] == [(192, 50)] * 2
    assert [(event.width, event.frames) for event in kept.of(second)] == [(256, 50)] * 2
    (tmp_path / "second.ts").write_bytes(
        b"".join(data for event, data in kept.fragments if event.run == second)
    )
    assert list(numbers_in(tmp_path / "second.ts")) == list(range(100))


async def test_time_stamps_that_do_not_advance_are_replaced_and_reported(tmp_path: Path) -> None:
    def still(n: int, packet: Any) -> Any:
        if n >= 100:
            packet.pts = packet.dts = 100 * 512
        return packet

    clip = write_clip(tmp_path / "long.mp4", 500)
    kept, clock = RecordingCollector(), [T0_MS]
    recorder = made([lambda: Film(clip, clock, still)], kept, clock)
    notes = []
    set_state = recorder._set_state
    recorder._set_state = lambda *state: (notes.append(state), set_state(*state))  # type: ignore
    await finished(recorder, kept, 1)
    ((run, _, _),) = kept.ends
    events = kept.of(run)
    assert sum(event.frames for event in events) == 500
    assert events[-1].end_ms - events[0].start_ms == pytest.approx(20_000, abs=500)
    assert any("time stamps do not advance" in detail for _, detail in notes)


async def test_keyframes_each_90_s_are_recorded_without_a_hole(tmp_path: Path) -> None:
    """The recorder joins after 10 s, and waits 80 s for the first keyframe."""
    clip = write_clip(tmp_path / "seldom.mp4", 600, fps=2, gop=180)
    kept, clock = RecordingCollector(), [T0_MS]

    class Seldom(Film):
        def packets(self) -> Iterator[tuple[Any, int]]:
            for n, (packet, _) in enumerate(super().packets()):
                self._clock[0] += 460
                if n >= 20:
                    yield packet, self._clock[0]

    recorder = made([lambda: Seldom(clip, clock)], kept, clock)
    recorder._watchdog = Watchdog(70, Steady(clock))
    states: list[tuple[str, str]] = []
    set_state = recorder._set_state
    recorder._set_state = lambda *state: (states.append(state), set_state(*state))  # type: ignore
    await finished(recorder, kept, 1)
    ((run, _, why),) = kept.ends
    assert why == "the camera closed the stream"
    events = kept.of(run)
    assert sum(event.frames for event in events) == 600 - 180
    assert max(event.duration_ms for event in events) <= 60_000
    assert [len(event.keyframes or []) for event in events] == [1, 0, 1, 0, 1]
    for one, following in pairwise(events):
        assert one.end_ms == following.start_ms
    assert states[0] == ("connecting", WAITS_FOR_KEYFRAME)
    assert any(state == "recording" and "no keyframe for 60 s" in text for state, text in states)
    failures = {text for state, text in states if state == "failing"}
    assert failures <= {"the camera closed the stream", "no more connections"}


async def test_an_unexpected_error_is_survived(clip: Path) -> None:
    kept, clock = RecordingCollector(), [T0_MS]
    openers = [lambda: raising(RuntimeError("?")), lambda: Film(clip, clock)]
    await finished(made(openers, kept, clock), kept, 1)
    assert len(kept.fragments) == 5


async def test_a_state_is_logged_once(clip: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept, clock = RecordingCollector(), [T0_MS]
    openers: list[Callable[[], Any]] = [lambda: raising(CameraError("refused"))] * 5
    openers.append(lambda: Film(clip, clock))
    with caplog.at_level("INFO", logger="edge_bridge"):
        recorder = made(openers, kept, clock)
        await finished(recorder, kept, 1)
    messages = [record.getMessage() for record in caplog.records]
    assert messages[:3] == [
        "refused; the recorder tries again",
        "recording",
        "the camera closed the stream; the recorder tries again",
    ]
    assert recorder.status.state == "stopped"


async def test_stopping_closes_the_fragment_and_says_so(clip: Path) -> None:
    kept, clock = RecordingCollector(), [T0_MS]
    gate = threading.Event()

    def wait_here(n: int, packet: Any) -> Any:
        if n == 60:
            gate.set()
            recorder.stop()
        return packet

    recorder = made([lambda: Film(clip, clock, wait_here)], kept, clock)
    await finished(recorder, kept, 1)
    assert gate.is_set()
    assert kept.ends[0][2] == "edge stopped"
    assert sum(event.frames for event, _ in kept.fragments) == 60


async def test_a_run_without_any_fragment_is_not_reported(clip: Path) -> None:
    kept, clock = RecordingCollector(), [T0_MS]
    no_keys = [lambda: Film(clip, clock, lambda _, packet: _not_key(packet))]
    recorder = made(no_keys, kept, clock)
    recorder.start()
    await wait_for(
        lambda: recorder.status.detail == "no more connections", within_s=20, what="it tried"
    )
    recorder.stop()
    recorder.join(60)
    assert (kept.fragments, kept.ends) == ([], [])


def _not_key(packet: Any) -> Any:
    packet.is_keyframe = False
    return packet


@pytest.mark.parametrize(
    ("pictures", "recorded"),
    [
        # (dts, pts) in decode order; the last one may be cut off
        ([(0, 0), (1, 1), (2, 2), (3, 3)], [0, 1, 2]),
        ([(-1, 0), (0, 3), (1, 1), (2, 2), (3, 6), (4, 4)], [0, 3, 1, 2]),
        ([(-1, 0), (0, 3), (1, 1)], [0]),
        ([(0, 0)], []),
        ([], []),
    ],
)
def test_a_picture_that_may_be_cut_off_leaves_no_hole(
    pictures: list[tuple[int, int]], recorded: list[int]
) -> None:
    held = HoldbackBuffer()
    out: list[int] = []
    for dts, pts in pictures:
        packet: Any = SimpleNamespace(dts=dts, pts=pts)
        out += [one.pts for one, _ in held.push((packet, 0))]
    out += [one.pts for one, _ in held.flush()]
    assert out == recorded


def test_back_off_grows_to_half_a_minute_and_is_spread() -> None:
    assert [wait_s(n, 0.5) for n in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    assert wait_s(0, 0) == 0.5
    assert wait_s(99, 1) == 45


def test_a_refused_password_is_tried_seldom() -> None:
    assert [wait_s(n, 0.5, refused=True) for n in range(6)] == [1, 4, 16, 64, 256, 300]
    soonest_s = [wait_s(n, 0, refused=True) for n in range(5)]
    assert sum(soonest_s) > 150  # six tries take minutes, however the dice fall


def test_a_camera_that_flaps_but_records_is_never_left_alone_for_long() -> None:
    failures = 0
    for _ in range(50):
        failures = failures_after(failures, recorded=True, lasted_s=8)
        assert wait_s(failures - 1, 1.0) <= 6
    assert failures_after(failures, recorded=True, lasted_s=60) == 0
    for n in range(50):
        assert failures_after(n, recorded=False, lasted_s=60) == n + 1


class Steady:
    """A steady clock that runs with a film's, in seconds; `stopped` pictures make no fragment."""

    def __init__(self, clock: list[int]) -> None:
        self.clock = clock

    def __call__(self) -> float:
        return self.clock[0] / 1_000


async def test_pictures_that_never_make_a_fragment_are_noticed(tmp_path: Path) -> None:
    """One picture every 8 s, the camera's time hardly advancing: never silent, never recorded."""
    kept, clock = RecordingCollector(), [T0_MS]
    path = write_clip(tmp_path / "clip.mp4", 250)

    def slow(n: int, packet: Any) -> Any:
        if n >= 100:
            clock[0] += 8_000
            packet = _not_key(packet) if packet.is_keyframe else packet
            packet.pts = packet.dts = 100 * 512 + n
        return packet

    recorder = made([lambda: Film(path, clock, slow), lambda: Film(path, clock)], kept, clock)
    recorder._watchdog = Watchdog(70, Steady(clock))
    await finished(recorder, kept, 2)
    assert "no complete fragment for 7" in kept.ends[0][2]
    assert sum(event.frames for event in kept.of(kept.ends[0][0])) < 120
    assert sum(event.frames for event in kept.of(kept.ends[1][0])) == 250


async def test_a_thread_that_hangs_is_shown_failing_by_others(clip: Path) -> None:
    kept, clock, hanging, entered = (
        RecordingCollector(),
        [T0_MS],
        threading.Event(),
        threading.Event(),
    )

    def hang() -> Any:
        entered.set()
        hanging.wait(20)
        raise CameraError("it came back")

    recorder = made([hang], kept, clock)
    recorder._watchdog = Watchdog(70, Steady(clock))
    recorder.start()
    await wait_for(entered.is_set, within_s=20, what="it connects")
    assert recorder.status.state == "connecting"
    clock[0] += 90_000
    assert recorder.status.state == "connecting"
    clock[0] += 60_000
    assert (recorder.status.state, recorder.status.detail) == (
        "failing", "no fragment for 2 min: its thread hangs; restart the camera, then the edge",
    )  # fmt: skip
    hanging.set()
    await wait_for(lambda: recorder.status.detail != "", within_s=20, what="it goes on")
    recorder.stop()
    assert recorder.join(60)


def test_errors_never_repeat_the_address() -> None:
    with pytest.raises(av.FFmpegError) as caught:
        av.open("rtsp://user:hidden@127.0.0.1:9/x", timeout=5)
    assert "hidden" not in error_text(caught.value)


def test_a_clip_goes_on_when_it_loops(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", 50)
    source = ClipSource(f"{path.as_uri()}?loop=1&offset_ms=1000", True, Unpaced(), lambda: 0)
    times = []
    for packet, _ in source.packets():
        times.append(round(float(packet.pts * packet.time_base) * 25))
        if len(times) == 120:
            break
    source.close()
    assert times == list(range(25, 145))


class Unpaced(threading.Event):
    """Never set, and never waited for."""

    def wait(self, timeout: float | None = None) -> bool:
        return False


def test_a_clip_keeps_its_pace(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", 50)
    waits: list[float] = []

    class Waits(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(time.monotonic() + (timeout or 0))
            return False

    source = ClipSource(path.as_uri(), True, Waits(), lambda: 0)
    with pytest.raises(CameraError, match="the clip has ended"):
        list(source.packets())
    assert len(waits) == 50
    assert waits[-1] - waits[0] == pytest.approx(49 / 25, abs=0.2)
    assert len(list(numbers_in(path))) == 50


@pytest.mark.parametrize("query", ["?loop=yes", "?ofset_ms=3", "?offset_ms=-1"])
def test_a_clips_address_lints_itself(query: str, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", 5)
    with pytest.raises(ConfigError, match="loop"):
        ClipSource(path.as_uri() + query, True, threading.Event(), lambda: 0)

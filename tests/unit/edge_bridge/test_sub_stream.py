"""The sub stream, analysed in the main run's time; on simulated clocks and a real server."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import pytest
from prometheus_client import REGISTRY

from domain.clock import RunClock
from domain.events import FragmentArrived, RunStarted
from domain.times import utc_ms
from edge_bridge.capture import sub_stream as sub_module
from edge_bridge.capture.gop_cache import GopCache
from edge_bridge.capture.reader_choice import ReaderChoice
from edge_bridge.capture.recorder import Recorder
from edge_bridge.capture.run import RecordingContext
from edge_bridge.capture.sub_stream import SubStream
from edge_bridge.check import check_camera, streams_of
from edge_bridge.config import CameraConfig
from edge_bridge.encoded_frame import CodecParameters, EncodedFrame
from edge_bridge.rtsp.errors import CameraError
from local.cameras import CameraServer
from media.fragmenter import FragmentLimits
from tests.footage import numbers_in, read_number, write_clip
from tests.recording_sink import PieceCollector
from tests.waiting import wait_for

CAMERA = "acme/berlin/gate"
T0_MS = 1_760_000_000_000
FPS = 25
TICKS = 90_000 // FPS


class FrameCollector:
    """Keeps what inference is offered."""

    def __init__(self) -> None:
        self.offered: list[EncodedFrame] = []

    def offer(self, picture: EncodedFrame) -> bool:
        self.offered.append(picture.with_owned_data())
        return True

    def of(self, width: int) -> list[EncodedFrame]:
        return [one for one in self.offered if one.codec_parameters.width == width]


class Main:
    """A main run whose pictures come 40 ms apart, each `delay_ms` after it was taken."""

    def __init__(self, delay_ms: int) -> None:
        self.clock, self.delay_ms = RunClock(), delay_ms

    def play(self, stream: SubStream, first: int, count: int, run: str = "run") -> None:
        for n in range(first, first + count):
            pts = 900_000 + n * TICKS
            assert self.clock.observe(pts, T0_MS + n * 40 + self.delay_ms)
            if n % FPS == 0:
                self.clock.advance(pts)
            at_ms, parameters = self.clock.utc_ms(pts), CodecParameters("h264", b"", 192, 128)
            stream.offer(EncodedFrame(CAMERA, run, b"main", pts, at_ms, n % FPS == 0, parameters))


class Turns:
    """Lets a film go on, and counts how often it asked to."""

    def __init__(self) -> None:
        self._left, self.asked = threading.Semaphore(0), 0

    def acquire(self) -> None:
        self.asked += 1
        self._left.acquire()

    def release(self, turns: int = 1) -> None:
        self._left.release(turns)


class Film:
    """A sub stream of numbered pictures, each `delay_ms` after it was taken; turns let it go on.

    Its picture n is taken `n * 40` ms after T0, as main's is.
    """

    def __init__(self, path: Path, delay_ms: int, turns: Turns, *, per: int) -> None:
        self._container = av.open(str(path))
        self.video = self._container.streams.video[0]
        self.audio = None
        self._delay_ms, self._turns, self._per = delay_ms, turns, per

    def packets(self) -> Iterator[tuple[Any, int]]:
        for n, packet in enumerate(one for one in self._container.demux(self.video) if one.size):
            if n % self._per == 0:
                self._turns.acquire()
            yield packet, T0_MS + n * 40 + self._delay_ms
        raise CameraError("the camera closed the stream")

    def close(self) -> None:
        self._container.close()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "sub.mp4", 400, width=96, height=64)


Made = Callable[..., tuple[SubStream, FrameCollector, Main, Turns]]


@pytest.fixture
def made(clip: Path) -> Iterator[Made]:
    streams: list[SubStream] = []

    def make(main_ms: int = 80, sub_ms: int = 80) -> tuple[Any, ...]:
        frames, main, turns = FrameCollector(), Main(main_ms), Turns()
        stream = SubStream(
            CAMERA,
            frames,
            lambda _: Film(clip, sub_ms, turns, per=FPS),
            lambda run: main.clock if run == "run" else None,
            lambda *_: 60,
            gop=GopCache(),
        )
        streams.append(stream)
        stream.start()
        return stream, frames, main, turns

    yield make
    for stream in streams:
        stream.stop()


def analysed() -> str:
    """Return the stream that metrics say is analysed."""
    values = {
        stream: REGISTRY.get_sample_value(
            "vigil_edge_looked_at", {"camera": CAMERA, "stream": stream}
        )
        for stream in ("main", "sub")
    }
    (one,) = [stream for stream, value in values.items() if value]
    return one


async def next_turn(turns: Turns) -> None:
    """Let the sub stream go on by a second; return once that is analysed."""
    await wait_for(lambda: turns.asked > 0, within_s=20, what="it is opened")
    before = turns.asked
    turns.release()
    await wait_for(lambda: turns.asked > before, within_s=20, what="it advanced")


async def together(stream: SubStream, main: Main, turns: Turns, seconds: range) -> None:
    """Let both streams go on by whole seconds, main first."""
    for second in seconds:
        main.play(stream, second * FPS, FPS)
        await next_turn(turns)


@pytest.mark.parametrize(("main_ms", "sub_ms"), [(80, 80), (200, 80), (80, 140)])
async def test_a_sub_picture_has_the_main_runs_time(made: Made, main_ms: int, sub_ms: int) -> None:
    stream, frames, main, turns = made(main_ms, sub_ms)
    await together(stream, main, turns, range(8))
    await wait_for(
        lambda: len(frames.of(96)) >= 4 * FPS, within_s=20, what="the sub stream is used"
    )
    found = frames.of(96)
    # Picture n of both was taken at the same time: the places differ by the delays' difference.
    first = int(found[0].pts - 900_000) // TICKS // FPS * FPS
    apart = (sub_ms - main_ms) * 90
    got = [one.pts for one in found]
    at = round((got[0] - apart - 900_000) / TICKS)
    assert at % FPS == 0 and at >= 2 * FPS and first >= 0
    for n, pts in enumerate(got):
        assert abs(pts - (900_000 + (at + n) * TICKS + apart)) <= 400  # 500 ppm of 8 s
    assert found[0].keyframe and {one.run for one in found} == {"run"}
    assert all(one.at_ms == main.clock.utc_ms(one.pts) for one in found[-FPS:])


async def test_main_is_analysed_before_and_after_from_a_keyframe(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, frames, main, turns = made()
    await together(stream, main, turns, range(6))
    await wait_for(lambda: len(frames.of(96)) >= FPS, within_s=20, what="the sub stream is used")
    assert (stream.detail, analysed()) == ("", "sub")
    assert frames.offered[0].codec_parameters.width == 192 and frames.offered[0].keyframe
    before = len(frames.of(192))
    monkeypatch.setattr(sub_module, "LOST_S", -1.0)  # silence for so long
    main.play(stream, 6 * FPS + 3, FPS)
    after = frames.of(192)[before:]
    assert after and after[0].keyframe, "from main's next keyframe"
    assert after[0].pts == 900_000 + 7 * FPS * TICKS
    assert "the main stream is analysed; the sub stream: no video for" in stream.detail
    assert analysed() == "main"
    monkeypatch.setattr(sub_module, "LOST_S", 60.0)
    for second in range(8, 12):
        main.play(stream, second * FPS, FPS)
    turns.release(7)  # seconds 6 to 12; the last alone is newer than what was analysed
    await wait_for(lambda: stream.detail == "", within_s=20, what="it is used again")
    assert analysed() == "sub"
    times = [one.pts for one in frames.offered]
    assert times == sorted(set(times)), "no picture's time comes twice or goes back"


async def test_a_new_run_is_analysed_by_main_until_its_clock_has_started(made: Made) -> None:
    stream, frames, main, turns = made()
    await together(stream, main, turns, range(5))
    await wait_for(lambda: frames.of(96), within_s=20, what="the sub stream is used")
    seen = len(frames.of(96))
    main.play(stream, 5 * FPS, FPS, run="next")
    await next_turn(turns)
    assert [one.run for one in frames.offered[-FPS:]] == ["next"] * FPS
    assert analysed() == "main"
    assert {one.run for one in frames.of(96)[seen:]} <= {"run"}


async def test_a_sub_stream_does_not_run_ahead_of_a_recording_that_stalls(made: Made) -> None:
    stream, frames, main, turns = made()
    await together(stream, main, turns, range(5))
    await wait_for(lambda: frames.of(96), within_s=20, what="the sub stream is used")
    turns.release(6)  # six seconds more, and nothing of main
    await asyncio.sleep(0.2)
    assert max(one.pts for one in frames.offered) <= 900_000 + 5 * FPS * TICKS + 180_000
    stream.stop()


class RecordingCollector(PieceCollector):
    """What capture hands over."""

    def __init__(self) -> None:
        super().__init__()
        self.fragments: list[tuple[FragmentArrived, bytes]] = []
        self.ends: list[str] = []

    def fragment(self, event: FragmentArrived, data: bytes, started: RunStarted) -> None:
        assert started.stream == "main"
        self.fragments.append((event, self.whole(event, data)))

    def end_run(self, run: str, ended_ms: int, reason: str) -> None:
        self.ends.append(reason)


@pytest.mark.slow
async def test_a_real_camera_is_recorded_by_one_stream_and_analysed_by_the_other(
    tmp_path: Path,
) -> None:
    """A server begins a session at most a group of pictures (0.2 s) behind its own time."""
    main = write_clip(tmp_path / "main.mp4", 60 * FPS, gop=5)
    small = write_clip(tmp_path / "sub.mp4", 60 * FPS, gop=5, width=96, height=64)
    of_main = await asyncio.to_thread(
        CameraServer.start,
        tmp_path / "a",
        [{"name": "main", "file": str(main)}, {"name": "sub", "file": str(small)}],
    )
    of_sub = await asyncio.to_thread(
        CameraServer.start, tmp_path / "b", [{"name": "sub", "file": str(small)}]
    )
    kept, frames = RecordingCollector(), FrameCollector()
    recording = RecordingContext(
        CAMERA, "e1", "main", FragmentLimits(target_ms=2_000), kept, frames,
        utc_ms,
    )  # fmt: skip
    config = CameraConfig(id="gate", url=of_main.urls["main"], sub_url=of_main.urls["sub"])
    recorder = Recorder(config, recording, 3, opener=ReaderChoice().open)
    recorder.start()
    try:
        await wait_for(lambda: len(frames.of(96)) >= 3 * FPS, within_s=60, what="sub is analysed")
        assert recorder.status.state == "recording" and recorder.status.detail == ""
        pictures = decoded(frames.of(96))
        seen = len(frames.of(96))
        recorder.set_frame_sink(frames, of_sub.urls["sub"])
        await wait_for(lambda: len(frames.of(96)) >= seen + FPS, within_s=60, what="another sub")
        seen = len(frames.offered)
        await asyncio.to_thread(of_sub.kill)
        await wait_for(lambda: recorder.status.detail, within_s=30, what="it is reported")
        await wait_for(
            lambda: any(one.codec_parameters.width == 192 for one in frames.offered[seen:]),
            within_s=30, what="main is analysed",
        )  # fmt: skip
        again = len(frames.of(96))
        await asyncio.to_thread(of_sub.restart)
        await wait_for(lambda: len(frames.of(96)) >= again + FPS, within_s=60, what="sub again")
        assert recorder.status.detail == ""
    finally:
        recorder.stop()
        joined = await asyncio.to_thread(recorder.join, 15)
        await asyncio.to_thread(of_main.stop)
        await asyncio.to_thread(of_sub.stop)
    assert joined
    assert kept.ends == ["edge stopped"], "the recording is one run"
    path = tmp_path / "run.ts"
    path.write_bytes(b"".join(data for _, data in kept.fragments))
    numbers = list(numbers_in(path))
    assert len(numbers) == sum(event.frames for event, _ in kept.fragments)
    assert numbers[0] is not None
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    first_pts = kept.fragments[0][0].start_pts
    assert len(pictures) > FPS
    apart = [number - numbers[0] - (pts - first_pts) / TICKS for pts, number in pictures]
    print(f"apart by {min(apart):.1f} to {max(apart):.1f} pictures")
    # Two groups of pictures, for the server; and never back and forth by more than 80 ms.
    assert max(map(abs, apart)) <= 10
    assert max(apart) - min(apart) <= 2


def decoded(offered: list[EncodedFrame]) -> list[tuple[int, int]]:
    """Return (pts, number) of the pictures of a sub stream that can be decoded."""
    context = av.CodecContext.create("h264", "r")
    out = []
    for one in offered:
        packet = av.Packet(one.data)
        packet.pts = one.pts
        for frame in context.decode(packet):
            number = read_number(frame.to_ndarray(format="gray"))
            assert number is not None
            out.append((int(frame.pts), number))
    return out


def test_check_tries_the_sub_stream_as_a_stream_of_its_own(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "main.mp4", 4 * FPS)
    small = write_clip(tmp_path / "sub.mp4", 4 * FPS, width=96, height=64)
    camera = CameraConfig(id="gate", url=clip.as_uri(), sub_url=small.as_uri())
    main, sub = (check_camera(one, 3) for one in streams_of(camera))
    assert (main.what, main.state) == ("camera gate", "good")
    assert (sub.what, sub.state) == ("camera gate, sub stream", "good")
    assert "192x128" in main.detail and "96x64" in sub.detail
    missing = camera.model_copy(update={"sub_url": (tmp_path / "none.mp4").as_uri()})
    assert [check_camera(one, 3).state for one in streams_of(missing)] == ["good", "bad"]


async def test_the_main_stream_is_shown_live_while_nothing_comes(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, _, _, turns = made()
    await wait_for(lambda: turns.asked > 0, within_s=20, what="it is opened")
    assert not stream.live_problem, "its first frame may take a while"
    monkeypatch.setattr(sub_module, "LIVE_LOST_S", -1.0)  # silence for so long
    assert stream.live_problem == "it sends no video"
    monkeypatch.setattr(sub_module, "LIVE_LOST_S", 600.0)
    turns.release(20)
    broken = "the camera closed the stream"
    await wait_for(lambda: stream.live_problem == broken, within_s=20, what="that it broke")

"""The own RTSP client, and FFmpeg for other streams: which reads, and what comes."""

import itertools
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import av
import pytest

from domain.times import utc_ms
from edge_bridge.capture.ffmpeg_source import FfmpegSource
from edge_bridge.capture.native_source import NativeRtspSource
from edge_bridge.capture.reader_choice import ReaderChoice
from edge_bridge.capture.source import Source
from edge_bridge.config import CameraConfig
from edge_bridge.rtsp.errors import CameraError
from local.cameras import CameraServer
from tests.footage import write_clip
from tests.locked_rtsp import PASSWORD, USER, Locked
from tests.odd_rtsp import H265, alaw
from tests.rtsp_camera import (
    H264,
    EncryptedCamera,
    Packet,
    RtspCamera,
    Track,
    access_units,
    pictures,
)

FRAMES = 50
choice = ReaderChoice()


@pytest.fixture(autouse=True)
def _new_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test starts with a choice that remembers nothing."""
    monkeypatch.setattr(sys.modules[__name__], "choice", ReaderChoice())


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", FRAMES, gop=10)


def opened(url: str, **config: object) -> Source:
    camera = CameraConfig.model_validate({"id": "one", "url": url, **config})
    return choice.open(camera, 5, threading.Event(), utc_ms)


def camera(sent: Callable[[], object], *more: Track) -> RtspCamera:
    return RtspCamera([Track(H264, sent), *more])  # type: ignore[arg-type]


def test_a_password_hashed_with_sha_256_opens_a_camera(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAMERA_PASSWORD", PASSWORD)
    offers = ['Digest realm="cam", nonce="{nonce}", qop="auth", algorithm=SHA-256']
    with Locked([Track(H264, lambda: pictures(clip))], offers) as locked:
        source = opened(locked.url, username=USER, password_env="CAMERA_PASSWORD")
        assert isinstance(source, NativeRtspSource)
        units = list(access_units(clip))
        for number, (packet, _) in enumerate(itertools.islice(source.packets(), FRAMES - 1)):
            assert bytes(packet).count(b"\0\0\0\1") == len(units[number])
            assert packet.pts == packet.dts == number * 3_600
            assert packet.is_keyframe == (number % 10 == 0)
        source.close()
    assert locked.wrong == 0


def test_video_and_audio_share_a_timeline(clip: Path) -> None:
    with camera(lambda: pictures(clip), alaw(2)) as one:
        source = opened(one.url)
        assert isinstance(source, NativeRtspSource) and source.audio is not None
        at_ms: dict[object, list[float]] = {source.video: [], source.audio: []}
        for packet, _ in itertools.islice(source.packets(), 80):
            assert packet.pts is not None and packet.time_base is not None
            at_ms[packet.stream].append(float(packet.pts * packet.time_base * 1_000))
        source.close()
    shown, heard = at_ms.values()
    assert shown == pytest.approx([40 * number for number in range(len(shown))], abs=0.1)
    steps = [after - before for before, after in itertools.pairwise(heard)]
    assert steps == pytest.approx([40] * len(steps), abs=0.2)


def test_a_session_is_kept_alive_without_low_latency(clip: Path, tmp_path: Path) -> None:
    served = [{"name": "one", "file": str(clip)}]
    with CameraServer.start(tmp_path / "data", served) as cameras:  # type: ignore[arg-type]
        source = opened(cameras.urls["one"])
        assert isinstance(source, NativeRtspSource)
        source.low_latency = False
        heard: list[bytes] = []
        playing = source._rtsp
        source._reader._on_message = heard.append
        playing.keep_alive_s = 0.1
        for packet, _ in source.packets():
            assert packet.size
            if len(heard) >= 3:
                break
        source.close()
    assert all(head.startswith(b"RTSP/1.0 200") for head in heard)


def test_an_encrypted_camera_is_read_as_fast_as_it_sends(tmp_path: Path) -> None:
    # Its pictures come in many TLS records, all of which have to be read before the next sleep.
    clip = write_clip(tmp_path / "large.mp4", FRAMES, width=1_280, height=720)
    units = list(access_units(clip))

    def sent() -> list[Packet]:
        return [packet._replace(at_s=packet.at_s / 10) for packet in pictures(clip)]

    with EncryptedCamera([Track(H264, sent)], tmp_path) as one:
        source = opened(one.url)
        assert isinstance(source, NativeRtspSource)
        source.low_latency, source._began_s = False, 0
        for number, (packet, _) in enumerate(itertools.islice(source.packets(), FRAMES - 1)):
            assert bytes(packet).count(b"\0\0\0\1") >= len(units[number])
            assert packet.pts == number * 3_600
        source.close()


class Moved(RtspCamera):
    """Sends to another address, where it shows its pictures."""

    def rude(self, connection: socket.socket, verb: str, headers: Mapping[str, str]) -> bool:
        if verb != "DESCRIBE" or self.connections > 2:
            return False
        moved = f"CSeq: {headers['cseq']}\r\nLocation: {self.url}/here\r\n\r\n"
        connection.sendall(f"RTSP/1.0 302 Moved\r\n{moved}".encode())
        return True


def test_a_camera_that_has_moved_is_followed(clip: Path) -> None:
    with Moved([Track(H264, lambda: pictures(clip))]) as one:
        source = opened(one.url)
        assert isinstance(source, FfmpegSource)
        assert next(source.packets())[0].size
        source.close()


def test_reordered_pictures_are_ffmpegs(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "b.mp4", FRAMES, b_frames=2)
    order = shown_order(clip)

    def sent() -> list[Packet]:
        return [
            packet._replace(ticks=order[packet.ticks // 3_600] * 3_600) for packet in pictures(clip)
        ]

    with camera(sent) as one:
        source = opened(one.url)
        assert isinstance(source, FfmpegSource)
        source.close()
        before = one.connections
        source = opened(one.url)  # known by now: no second look of ours
        assert isinstance(source, FfmpegSource) and one.connections == before + 1
        source.close()


def test_a_camera_found_unsupported_later_is_read_by_ffmpeg(clip: Path, tmp_path: Path) -> None:
    later = write_clip(tmp_path / "b.mp4", FRAMES, b_frames=2)
    order = shown_order(later)

    def sent() -> Iterator[Packet]:
        yield from pictures(clip, most=20)
        for packet in pictures(later, begin_s=0.8):
            yield packet._replace(ticks=(20 + order[packet.ticks // 3_600]) * 3_600)

    with camera(sent) as one:
        source = opened(one.url)
        assert isinstance(source, NativeRtspSource)
        taken = 0
        with pytest.raises(CameraError, match="read by FFmpeg from now on: its frames do not come"):
            for _ in source.packets():
                taken += 1
        assert taken == 20 + 2  # I and P come before the first B
        source.close()
        source = opened(one.url)
        assert isinstance(source, FfmpegSource)
        source.close()


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_a_clock_that_steps_back_keeps_the_native_reader(tmp_path: Path, codec: str) -> None:
    clip = write_clip(tmp_path / "clip.mp4", FRAMES, gop=10, codec=codec)
    sdp = H264 if codec == "libx264" else H265

    def ticks(number: int) -> int:
        return {19: 20, 20: 19}.get(number, number) * 3_600 - (27_000 if number > 30 else 0)

    with RtspCamera([Track(sdp, lambda: pictures(clip, ticks=ticks))]) as one:
        source = opened(one.url)
        assert isinstance(source, NativeRtspSource)
        assert len(list(itertools.islice(source.packets(), FRAMES - 1))) == FRAMES - 1
        source.close()


def test_reader_ffmpeg_uses_ffmpeg(clip: Path) -> None:
    with camera(lambda: pictures(clip)) as one:
        source = opened(one.url, reader="ffmpeg")
        assert isinstance(source, FfmpegSource)
        source.close()


def test_a_silent_camera_is_closed(clip: Path) -> None:
    with camera(lambda: pictures(clip, most=30)) as one:
        source = choice.open(
            CameraConfig(id="one", url=one.url), 4, threading.Event(), lambda: 1_700_000_000_000
        )
        taken = 0
        with pytest.raises(CameraError, match="no data for 4 s"):
            for _ in source.packets():
                taken += 1
        assert taken == 30  # the last one was whole
        source.close()


def shown_order(clip: Path) -> list[int]:
    """Return the place in which each picture is shown, in decode order."""
    with av.open(str(clip)) as container:
        shown = [packet.pts for packet in container.demux(video=0) if packet.pts is not None]
    return [sorted(shown).index(pts) for pts in shown]

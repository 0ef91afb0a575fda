"""The writer in Rust against FFmpeg's muxer: the same bytes, whatever the frames are."""

import random
from pathlib import Path

import av
import pytest

from media import native
from media.access_unit import AccessUnit
from media.fragmenter import Fragment, Fragmenter, FragmentLimits
from media.mpegts_muxer import MuxedFrame, RunMuxer
from tests.footage import write_clip

pytestmark = pytest.mark.skipif(not native.AVAILABLE, reason="the extension is not built")

CODECS = {"h264": "libx264", "hevc": "libx265"}
T0_MS = 1_760_000_000_000
TYPES = {
    "h264": [bytes([0x60 | kind]) for kind in (1, 2, 5, 5, 6, 7, 8, 9, 10, 12, 14)],
    "hevc": [bytes([kind << 1, 1]) for kind in (0, 1, 9, 16, 19, 21, 23, 32, 33, 34, 35, 39, 40)],
}


@pytest.fixture(scope="module", params=list(CODECS))
def codec(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def clip(codec: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.ts"
    return write_clip(path, 5, codec=CODECS[codec])


def random_unit(chance: random.Random, codec: str) -> bytes:
    """NAL units of any type and size, in any order."""
    data = b""
    for _ in range(chance.choice([1, 1, 2, 3, 5])):
        size = chance.choice([0, 1, 2, 5, 150, 180, 190, 400, 70_000])
        body = (
            bytes(size) if chance.random() < 0.1 else chance.randbytes(chance.randrange(size + 1))
        )
        data += chance.choice([b"\0\0\0\1", b"\0\0\1"]) + chance.choice(TYPES[codec]) + body
    return data


def test_the_writer_writes_what_ffmpeg_writes(clip: Path, codec: str) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for _ in range(20):
        with av.open(str(clip)) as container:
            video = container.streams.video[0]
            reference, first = RunMuxer(video, None), RunMuxer(video, None)
            dts = chance.choice([0, 900_000, (1 << 33) - 30_000])
            writer: native.TransportStreamWriter | None = None
            for _ in range(60):
                data, keyframe = random_unit(chance, codec), chance.random() < 0.3
                if len(data) < 5:
                    data += b"\0\0"
                pts = dts + chance.choice([0, 0, 0, 3_600, 90_000])
                frame = MuxedFrame(pts, dts, keyframe, 0)
                outputs = reference.video_data(data, frame)
                if writer is None:
                    writer = first.writer(data, frame)
                    assert first.tables() == reference.tables()
                expected = b"".join(output.data for output in outputs)
                written = writer.write(data, pts, dts, keyframe)
                assert written == len(writer) == len(expected)
                assert writer.take() == expected, (data[:40], frame)
                dts += chance.choice([1, 1_800, 3_600, 3_600, 6_000, 9_001, 450_000])
            reference.close()


@pytest.mark.parametrize("fps", [1, 7, 15, 24, 30, 120])
def test_the_program_clock_comes_as_often_as_from_ffmpeg(tmp_path: Path, fps: int) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 3, fps=fps)
    data = b"\0\0\0\1\x09\xf0\0\0\0\1\x41\x9a"
    with av.open(str(clip)) as container:
        video = container.streams.video[0]
        muxer, other = RunMuxer(video, None), RunMuxer(video, None)
        writer = other.writer(data, MuxedFrame(900_000, 900_000, False, 0))
        for number in range(50):
            pts = 900_000 + number * 90_000 // fps
            outputs = muxer.video_data(data, MuxedFrame(pts, pts, False, 0))
            writer.write(data, pts, pts, False)
            assert writer.take() == b"".join(output.data for output in outputs)
        muxer.close()


def test_wrong_frames_are_refused() -> None:
    writer = native.TransportStreamWriter(False, b"", 1)
    for data, pts, dts in ((b"", 0, 0), (b"\0\0\1\x65", 1, 2), (b"\0\0\1\x65", -1, -1)):
        with pytest.raises(ValueError, match="access unit"):
            writer.write(data, pts, dts, True)
    assert len(writer) == 0 and writer.take() == b""


def test_fragments_are_the_same(clip: Path, codec: str) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    frames, ticks = [], 0
    with av.open(str(clip)) as container:
        keyframe = next(bytes(packet) for packet in container.demux(container.streams.video[0]))
    slice_ = b"\0\0\0\1" + (b"\x41\x9a" if codec == "h264" else b"\2\1\x9a")
    for number in range(900):
        is_keyframe = number % 40 == 0
        data = keyframe if is_keyframe else slice_ + chance.randbytes(chance.randrange(9_000))
        frames.append(AccessUnit(ticks, data, is_keyframe, is_keyframe, T0_MS + number * 40))
        ticks += chance.choice([3_600] * 50 + [0, 1, 20_000, 900_000, -3_000])
    outcomes: list[list[Fragment]] = []
    for use_native in (True, False):
        pieces: list[tuple[int, bytes]] = []
        with av.open(str(clip)) as container:
            fragmenter = Fragmenter(
                container.streams.video[0],
                None,
                FragmentLimits(max_ms=6_000, max_bytes=400_000),
                on_piece=lambda *piece, pieces=pieces: pieces.append(piece),
                use_native=use_native,
            )
            found = [each for unit in frames for each in fragmenter.push_unit(unit)]
            outcomes.append([*found, *fragmenter.finish(), *pieces])  # type: ignore[list-item]
    assert outcomes[0] == outcomes[1]
    assert len(outcomes[0]) > 10 and pieces

"""Our own reader of a fragment's video, and the decoder that stays open, against FFmpeg's."""

import contextlib
import io
import random
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from domain.errors import MediaError
from media import mpegts
from media.fragment_decoder import FragmentDecoder
from media.fragmenter import Fragment, Fragmenter, FragmentLimits
from media.frames import FragmentClock
from media.ts_video import read_video
from tests.unit.media.clips import make_clip

T0_MS = 1_760_000_000_000
CLIPS = [
    pytest.param({"codec": "libx264"}, id="h264"),
    pytest.param({"codec": "libx264", "bframes": 2, "audio": "aac"}, id="h264, B frames, audio"),
    pytest.param({"codec": "libx265", "bframes": 2}, id="hevc, B frames"),
]


def fragments_of(path: Path, **options: object) -> list[Fragment]:
    """Return the fragments of a clip of 6 s."""
    clip = make_clip(path, pictures=150, fps=25, gop=25, **options)  # type: ignore[arg-type]
    with av.open(str(clip)) as source:
        audio = source.streams.audio[0] if source.streams.audio else None
        video = source.streams.video[0]
        fragmenter = Fragmenter(video, audio, FragmentLimits(target_ms=2_000))
        found: list[Fragment] = []
        for packet in source.demux(video, *([audio] if audio else [])):
            found += fragmenter.push(packet, T0_MS)
        return found + fragmenter.finish()


def clock_of(fragment: Fragment) -> FragmentClock:
    """Return the clock of a fragment."""
    duration_ms = (fragment.end_pts - fragment.start_pts) // 90
    return FragmentClock(fragment.start_pts, T0_MS, duration_ms, fragment.frames)


def by_ffmpeg(
    data: bytes, clock: FragmentClock, rate_mfps: int | None
) -> list[tuple[int, int, NDArray[np.uint8]]]:
    """Return PTS, UTC and image of the pictures that FFmpeg's demuxer and a new decoder give."""
    found = []
    previous = clock.previous_pts
    with av.open(io.BytesIO(data), format="mpegts") as container:
        stream = container.streams.video[0]
        if rate_mfps is None:
            stream.codec_context.skip_frame = "NONKEY"
        for frame in container.decode(stream):
            assert frame.pts is not None
            pts = mpegts.unwrap(frame.pts, clock.start_pts)
            cells = [p * (rate_mfps or 0) // 90_000_000 for p in (pts, previous)]
            if rate_mfps is None or cells[0] != cells[1]:
                found.append((pts, clock.at_ms(pts), frame.to_ndarray(format="bgr24")))
            previous = pts
    return found


@pytest.mark.parametrize("options", CLIPS)
def test_the_units_are_those_of_ffmpeg(tmp_path: Path, options: dict[str, object]) -> None:
    for fragment in fragments_of(tmp_path / "clip.mp4", **options):
        with av.open(io.BytesIO(fragment.data), format="mpegts") as container:
            expected = [
                (packet.pts, packet.is_keyframe, bytes(packet))
                for packet in container.demux(container.streams.video[0])
                if packet.pts is not None
            ]
        found = read_video(fragment.data)
        assert [(unit.pts, unit.keyframe, unit.data) for unit in found.units] == [
            (pts % mpegts.PTS_WRAP, keyframe, data) for pts, keyframe, data in expected
        ]
        keys = read_video(fragment.data, keyframes_only=True)
        assert keys.units == [unit for unit in found.units if unit.keyframe]


@pytest.mark.parametrize("rate_mfps", [None, 1_000, 5_000, 25_000])
@pytest.mark.parametrize("options", CLIPS)
def test_the_pictures_are_those_of_ffmpeg_in_any_order_of_fragments(
    tmp_path: Path, options: dict[str, object], rate_mfps: int | None
) -> None:
    fragments = fragments_of(tmp_path / "clip.mp4", **options)
    order = [*fragments, *fragments]
    seed = random.randrange(1 << 30)
    print("seed", seed)
    random.Random(seed).shuffle(order)
    decoder = FragmentDecoder()
    for fragment in order:
        expected = by_ffmpeg(fragment.data, clock_of(fragment), rate_mfps)
        found = list(decoder.frames(fragment.data, clock_of(fragment), rate_mfps))
        assert [(one.pts, one.at_ms) for one in found] == [wanted[:2] for wanted in expected]
        for one, (_, _, image) in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one.frame.to_ndarray(format="bgr24"), image)


def test_a_caller_that_stops_early_leaves_nothing_for_the_next_fragment(tmp_path: Path) -> None:
    first, second, *_ = fragments_of(tmp_path / "clip.mp4", bframes=2)
    decoder = FragmentDecoder()
    frames = decoder.frames(first.data, clock_of(first), 25_000)
    next(frames)
    frames.close()
    expected = [pts for pts, _, _ in by_ffmpeg(second.data, clock_of(second), 25_000)]
    found = [one.pts for one in decoder.frames(second.data, clock_of(second), 25_000)]
    assert found == expected


def test_damaged_fragments_are_refused_and_the_next_is_decoded(tmp_path: Path) -> None:
    fragment = fragments_of(tmp_path / "clip.mp4")[0]
    whole, decoder, clock = fragment.data, FragmentDecoder(), clock_of(fragment)
    seed = random.randrange(1 << 30)
    print("seed", seed)
    chance = random.Random(seed)
    damaged = [b"", whole[:100], whole[:-1], whole[188:188], bytes(188 * 4), whole[188 * 2 :]]
    damaged += [whole[:at] + bytes(188) + whole[at + 188 :] for at in (0, 188)]
    for data in damaged:
        with pytest.raises(MediaError):
            list(decoder.frames(data, clock, None))
    for _ in range(200):
        noisy = bytearray(whole)
        for _ in range(chance.randrange(1, 40)):
            noisy[chance.randrange(len(noisy))] = chance.randrange(256)
        with contextlib.suppress(MediaError):
            list(decoder.frames(bytes(noisy), clock, 1_000))
    expected = len(by_ffmpeg(whole, clock, None))
    assert len(list(decoder.frames(whole, clock, None))) == expected > 0

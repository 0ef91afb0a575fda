"""Pictures as fragmented MP4 for the live view: what a decoder finds in it."""

import io
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import av
import numpy as np
import pytest
from av.audio.codeccontext import AudioCodecContext
from av.container import InputContainer
from av.video.stream import VideoStream

from domain.errors import MediaError
from media.fmp4 import AudioParameters, Fmp4Muxer, MediaFrame, VideoParameters

RATE = 10
PICTURES = 12


@dataclass(frozen=True)
class Case:
    encoder: str
    codec: str
    options: dict[str, str]
    form: str
    """mpegts: Annex B; mp4: with lengths."""
    codecs: str


CASES = {
    "H.264": Case("libx264", "h264", {"tune": "zerolatency"}, "mpegts", "avc1.42c00b"),
    "H.264, B-frames": Case("libx264", "h264", {"bf": "2", "preset": "fast"}, "mpegts", "avc1.64"),
    "H.264, lengths": Case("libx264", "h264", {"tune": "zerolatency"}, "mp4", "avc1.42c00b"),
    "H.265": Case("libx265", "hevc", {"x265-params": "log-level=none"}, "mpegts", "hvc1.1.6.L"),
    "H.265, lengths": Case("libx265", "hevc", {"x265-params": "log-level=none"}, "mp4", "hvc1.1.6"),
}


def encode(case: Case, width: int = 320) -> bytes:
    target = io.BytesIO()
    with av.open(target, mode="w", format=case.form) as container:
        stream = cast(VideoStream, container.add_stream(case.encoder, rate=RATE))
        stream.width, stream.height, stream.pix_fmt = width, 240, "yuv420p"
        stream.options = {"preset": "ultrafast", "threads": "1", **case.options}
        stream.codec_context.gop_size = 5
        for number in range(PICTURES):
            grey = np.full((240, width, 3), number * 16, dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return target.getvalue()


def open_bytes(data: bytes) -> InputContainer:
    return av.open(io.BytesIO(data), "r")


def frames_of(data: bytes) -> tuple[list[MediaFrame], bytes]:
    """Return the pictures in ticks of 90 kHz, and the extradata."""
    with open_bytes(data) as source:
        video = source.streams.video[0]
        frames = []
        for packet in source.demux(video):
            if packet.size and packet.pts is not None and packet.dts is not None:
                ticks = packet.time_base * 90_000
                pts, dts = int(packet.pts * ticks), int(packet.dts * ticks)
                frames.append(MediaFrame(bytes(packet), pts, dts, packet.is_keyframe))
        return frames, bytes(video.codec_context.extradata or b"")


def pictures(data: bytes) -> list[tuple[int, bytes]]:
    """Return time in ms and content of each decoded picture."""
    with open_bytes(data) as source:
        return [
            (int((frame.pts or 0) * (frame.time_base or 0) * 1_000), frame.to_ndarray().tobytes())
            for frame in source.decode(video=0)
        ]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_pictures_come_out_as_they_were_put_in(case: Case) -> None:
    data = encode(case)
    frames, extradata = frames_of(data)
    muxer = Fmp4Muxer(VideoParameters(case.codec, extradata, frames[0].data))
    start = frames[0].dts  # a decode time is not negative
    moved = [frame._replace(pts=frame.pts - start, dts=frame.dts - start) for frame in frames]
    singly = muxer.init() + b"".join(muxer.segment([frame]) for frame in moved)
    in_pairs = muxer.init() + b"".join(
        muxer.segment(moved[at : at + 2]) for at in range(0, len(moved), 2)
    )
    expected = [content for _, content in pictures(data)]
    assert [content for _, content in pictures(singly)] == expected
    assert pictures(in_pairs) == pictures(singly)
    times = [time for time, _ in pictures(singly)]
    assert [time - times[0] for time in times] == [100 * number for number in range(PICTURES)]
    assert muxer.codecs.startswith(case.codecs)
    assert (muxer.width, muxer.height) == (320, 240)


def test_only_the_last_frame_of_a_segment_is_declared_long() -> None:
    """A browser drops what comes more than two durations after the last frame."""
    frames, extradata = frames_of(encode(CASES["H.264"]))
    muxer = Fmp4Muxer(VideoParameters("h264", extradata, frames[0].data))
    segments = b"".join(muxer.segment(frames[at : at + 3]) for at in range(0, PICTURES, 3))
    with open_bytes(muxer.init() + segments) as source:
        found = [packet.duration for packet in source.demux(video=0) if packet.size]
    assert found == [9_000, 9_000, 180_000] * (PICTURES // 3)


def test_parameter_sets_of_the_first_keyframe_count_not_those_of_the_sdp() -> None:
    frames, _ = frames_of(encode(CASES["H.264"]))
    _, others = frames_of(encode(CASES["H.264"], width=640))
    muxer = Fmp4Muxer(VideoParameters("h264", others, frames[0].data))
    assert muxer.width == 320


def test_a_keyframe_with_other_parameter_sets_needs_another_init_segment() -> None:
    frames, extradata = frames_of(encode(CASES["H.264"]))
    others, _ = frames_of(encode(CASES["H.264"], width=640))
    muxer = Fmp4Muxer(VideoParameters("h264", extradata, frames[0].data))
    assert all(muxer.accepts(frame.data) for frame in frames)
    assert not muxer.accepts(others[0].data)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("extradata", [b"", b"\x01", b"\x01\x64\x00\x1f\xff\xff\xff\xff", b"\x00"])
@pytest.mark.parametrize(
    "keyframe", [b"", b"\x00\x00\x01", b"\x00\x00\x00\x01\x65\xff", b"\xff" * 9]
)
def test_what_is_not_video_is_refused(codec: str, extradata: bytes, keyframe: bytes) -> None:
    with pytest.raises(MediaError):
        Fmp4Muxer(VideoParameters(codec, extradata, keyframe))


@pytest.mark.parametrize(
    ("name", "codec", "codecs"), [("aac", "aac", "mp4a.40.2"), ("libopus", "opus", "opus")]
)
def test_audio_comes_out_unchanged(name: str, codec: str, codecs: str) -> None:
    frames, extradata = frames_of(encode(CASES["H.264"]))
    encoder = cast(AudioCodecContext, av.CodecContext.create(name, "w"))
    encoder.sample_rate, encoder.layout, encoder.format = (
        48_000,
        "mono",
        ("fltp" if codec == "aac" else "flt"),
    )
    audio: list[MediaFrame] = []
    size = 1_024 if codec == "aac" else 960
    for number in range(20):
        silence = np.zeros((1, size), dtype=np.float32)
        wave = av.AudioFrame.from_ndarray(silence, format=encoder.format.name, layout="mono")
        wave.sample_rate, wave.pts = 48_000, number * size
        for packet in encoder.encode(wave):
            at = max((packet.pts or 0) * 90_000 // 48_000, 0)
            audio.append(MediaFrame(bytes(packet), at, at, True, True))
    muxer = Fmp4Muxer(
        VideoParameters("h264", extradata, frames[0].data),
        AudioParameters(codec, bytes(encoder.extradata or b""), 48_000, 1),
    )
    assert muxer.codecs.endswith("," + codecs)
    mixed = sorted([*frames, *audio], key=lambda frame: frame.dts)
    data = muxer.init() + b"".join(
        muxer.segment(mixed[at : at + 3]) for at in range(0, len(mixed), 3)
    )
    with open_bytes(data) as source:
        packets = [packet for packet in source.demux(audio=0) if packet.size]
        assert [bytes(packet) for packet in packets] == [frame.data for frame in audio]
        assert source.streams.audio[0].codec_context.sample_rate == 48_000
    assert len(pictures(data)) == PICTURES

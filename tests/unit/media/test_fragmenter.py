"""Fragments of a run: slices of one transport stream."""

import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import av
import pytest

from domain.errors import MediaError
from media import keyframes, mpegts
from media.fragmenter import Fragment, Fragmenter, FragmentLimits
from media.timestamps import HZ, ParametersChangedError
from tests.unit.media.clips import make_clip

T0_MS = 1_760_000_000_000


def cut(
    path: Path, limits: FragmentLimits | None = None, *, audio: bool = True, shift: int = 0
) -> list[Fragment]:
    """Fragment a whole clip; `shift` seconds are added to all its times."""
    with av.open(str(path)) as source:
        video = source.streams.video[0]
        audio_stream = source.streams.audio[0] if audio and source.streams.audio else None
        fragmenter = Fragmenter(video, audio_stream, limits or FragmentLimits(target_ms=2_000))
        out: list[Fragment] = []
        for packet in source.demux(video, *([audio_stream] if audio_stream else [])):
            out += fragmenter.push(packet, T0_MS)
        out += fragmenter.finish()
    return out


def check_slices(fragments: list[Fragment]) -> None:
    """Counters per PID go on through all slices; each begins with PAT, PMT and a keyframe."""
    counters: dict[int, int] = {}
    for fragment in fragments:
        found = list(mpegts.packets(fragment.data))
        assert found[0].pid == mpegts.PAT_PID and found[0].starts
        program = mpegts.pmt_pid(found[0].payload)
        assert found[1].pid == program and found[1].starts
        assert found[2].starts and found[2].random_access
        assert found[2].pcr is not None
        for packet in found:
            assert not packet.discontinuity
            if packet.has_payload:
                expected = (counters.get(packet.pid, packet.counter - 1) + 1) % 16
                assert packet.counter == expected, (fragment.seq, packet)
                counters[packet.pid] = packet.counter


def warnings_of(data: bytes, tmp_path: Path) -> str:
    """Return all that ffmpeg says at -v warning when it decodes the bytes."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        pytest.skip("no ffmpeg on this machine")
    path = tmp_path / "joined.ts"
    path.write_bytes(data)
    done = subprocess.run(
        [ffmpeg, "-v", "warning", "-i", path, "-f", "null", "-"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return done.stderr


def decoded(data: bytes, tmp_path: Path) -> list[int]:
    """Return the PTS of all pictures that the joined bytes decode to."""
    path = tmp_path / "decoded.ts"
    path.write_bytes(data)
    with av.open(str(path)) as container:
        return [int(frame.pts or 0) for frame in container.decode(video=0)]


CASES = [
    pytest.param({}, 300, id="h264"),
    pytest.param({"bframes": 2}, 300, id="h264-b-frames"),
    pytest.param(
        {"bframes": 2, "options": {"x264-params": "keyint=25:open-gop=1:bframes=2:b-adapt=0"}},
        300,
        id="h264-open-gop",
    ),
    pytest.param({"audio": "aac"}, 300, id="h264-aac"),
    pytest.param({"audio": "pcm_mulaw", "bframes": 2}, 300, id="h264-g711"),
    pytest.param({"audio": "mp2"}, 300, id="h264-mp2"),
    pytest.param({"codec": "libx265", "bframes": 2, "audio": "pcm_alaw"}, 300, id="hevc-g711"),
]


@pytest.mark.parametrize(("clip", "pictures"), CASES)
def test_joined_fragments_are_one_clean_stream(
    clip: dict[str, object], pictures: int, tmp_path: Path
) -> None:
    # Matroska has no DTS: that of its first pictures is unknown.
    name = "clip.mkv" if clip == {"bframes": 2} else "clip.mov"
    path = make_clip(tmp_path / name, pictures=pictures, **clip)  # type: ignore[arg-type]
    fragments = cut(path)
    assert len(fragments) >= 5
    assert [fragment.seq for fragment in fragments] == list(range(len(fragments)))
    check_slices(fragments)
    joined = b"".join(fragment.data for fragment in fragments)
    assert warnings_of(joined, tmp_path) == ""
    assert sum(fragment.frames for fragment in fragments) == pictures
    times = decoded(joined, tmp_path)
    assert len(times) == pictures
    assert times == sorted(times)


@pytest.mark.parametrize(("clip", "pictures"), CASES)
def test_a_fragment_has_its_times_and_keyframes(
    clip: dict[str, object], pictures: int, tmp_path: Path
) -> None:
    path = make_clip(tmp_path / "clip.mov", pictures=pictures, **clip)  # type: ignore[arg-type]
    fragments = cut(path)
    for fragment, following in pairwise(fragments):
        assert fragment.end_pts == following.start_pts
    assert fragments[-1].end_pts - fragments[0].start_pts == pytest.approx(pictures * 3_600, abs=90)
    for fragment in fragments:
        found = keyframes.index_video(fragment.data, fragment.start_pts)
        assert found.frames == fragment.frames
        assert found.first_pts == fragment.start_pts
        assert found.keyframes == fragment.keyframes
        assert found.video_codec == ("hevc" if "codec" in clip else "h264")
        assert found.audio_codec == (None if "audio" not in clip else "aac")


def test_audio_before_a_cut_lies_in_the_earlier_fragment(tmp_path: Path) -> None:
    fragments = cut(make_clip(tmp_path / "clip.mp4", audio="aac"))
    for fragment, following in pairwise(fragments):
        border = following.keyframes[0].pts
        audio_stream = audio_times(fragment.data)
        assert audio_stream
        assert max(audio_stream) <= border
        assert min(audio_times(following.data)) > max(audio_stream)


def audio_times(data: bytes) -> list[int]:
    """Return the PTS of all audio packets, which have the PID after the video's."""
    return [
        pts
        for packet in mpegts.packets(data)
        if packet.pid == 0x101 and packet.starts
        if (pts := mpegts.pes(packet.payload).pts) is not None
    ]


@pytest.mark.parametrize(("target_ms", "gop", "length"), [(2_000, 25, 50), (3_000, 50, 100)])
def test_cuts_at_the_first_keyframe_at_or_after_the_target(
    target_ms: int, gop: int, length: int, tmp_path: Path
) -> None:
    fragments = cut(make_clip(tmp_path / "clip.mp4", gop=gop), FragmentLimits(target_ms=target_ms))
    assert {fragment.frames for fragment in fragments} == {length}


@pytest.mark.parametrize(
    "limits",
    [
        FragmentLimits(target_ms=2_000, max_ms=4_000),
        FragmentLimits(target_ms=2_000, max_bytes=20_000),
    ],
    ids=["time", "bytes"],
)
def test_a_stream_without_keyframes_is_cut_all_the_same(
    limits: FragmentLimits, tmp_path: Path
) -> None:
    path = make_clip(tmp_path / "clip.mp4", pictures=300, gop=250)
    with av.open(str(path)) as source:
        video = source.streams.video[0]
        fragmenter = Fragmenter(video, None, limits)
        fragments: list[Fragment] = []
        for packet in source.demux(video):
            fragments += fragmenter.push(packet, T0_MS)
        fragments += fragmenter.finish()
    assert "no keyframe for" in fragmenter.keyframe_note and "(GOP)" in fragmenter.keyframe_note
    assert sum(fragment.frames for fragment in fragments) == 300
    assert [len(fragment.keyframes) for fragment in fragments].count(1) == 2
    assert len(fragments) > 3 and fragments[0].keyframes and not fragments[1].keyframes
    for fragment, following in pairwise(fragments):
        assert fragment.end_pts == following.start_pts
    assert len(decoded(b"".join(fragment.data for fragment in fragments), tmp_path)) == 300
    from_keyframe = next(n for n, one in enumerate(fragments) if n and one.keyframes)
    alone = b"".join(fragment.data for fragment in fragments[from_keyframe:])
    assert len(decoded(alone, tmp_path)) == 50
    assert warnings_of(alone, tmp_path) == ""


def test_a_run_that_never_begins_says_so(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", pictures=50, gop=1_000)
    with av.open(str(path)) as source:
        video = source.streams.video[0]
        fragmenter = Fragmenter(video, None, FragmentLimits(first_keyframe_ms=1_000))
        pictures = [packet for packet in source.demux(video) if not packet.is_keyframe]
        with pytest.raises(MediaError, match="no keyframe within 1 s"):
            for n, packet in enumerate(pictures):
                assert not list(fragmenter.push(packet, T0_MS + n * 40))
        assert not list(fragmenter.finish())


def test_pictures_without_pts_are_kept_once_one_has_it(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", pictures=100)
    fragments = cut_changed(path, lambda n, packet: _without_pts(packet) if n < 3 else packet)
    assert sum(fragment.frames for fragment in fragments) == 100
    times = decoded(b"".join(fragment.data for fragment in fragments), tmp_path)
    assert [late - early for early, late in pairwise(times)] == [3_600] * 99


def _without_pts(packet: av.Packet) -> av.Packet:  # type: ignore[type-arg]
    packet.pts = packet.dts = None
    return packet


def cut_changed(path: Path, change) -> list[Fragment]:  # type: ignore[no-untyped-def]
    """Fragment a clip whose packets `change` changes; what was recorded before an error too."""
    with av.open(str(path)) as source:
        video = source.streams.video[0]
        fragmenter = Fragmenter(video, None, FragmentLimits(target_ms=2_000))
        out: list[Fragment] = []
        for n, packet in enumerate(pictures_of(source)):
            changed = change(n, packet)
            out += fragmenter.push(changed, arrival_ms(changed))
        return out + list(fragmenter.finish())


def arrival_ms(packet: av.Packet) -> int:  # type: ignore[type-arg]
    """Return when a packet arrives that is sent at once."""
    if packet.pts is None or packet.time_base is None:
        return T0_MS
    return T0_MS + int(packet.pts * packet.time_base * 1_000)


def pictures_of(source: av.container.InputContainer) -> Iterator[av.Packet]:  # type: ignore[type-arg]
    for packet in source.demux(source.streams.video[0]):
        if packet.size:
            yield packet


def test_video_without_time_stamps_ends_the_run_in_words(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", pictures=100)
    with pytest.raises(MediaError, match="without time stamps"):
        cut_changed(path, lambda n, p: _without_pts(p))


def _moved(packet: av.Packet, seconds: int) -> av.Packet:  # type: ignore[type-arg]
    assert packet.pts is not None and packet.dts is not None and packet.time_base is not None
    ticks = int(seconds / packet.time_base)
    packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
    return packet


def test_time_goes_on_when_33_bits_wrap(tmp_path: Path) -> None:
    # A run that is 26.5 hours old: the wrap falls into the clip.
    path = make_clip(tmp_path / "clip.mp4", pictures=500, bframes=2)
    hours = ((1 << 33) - 900_000) // 90_000 - 12
    fragments = cut_changed(path, lambda n, p: p if n < 50 else _moved(p, hours))
    unwrapped = [fragment.start_pts for fragment in fragments]
    assert unwrapped == sorted(unwrapped)
    assert unwrapped[1] < 1 << 33 < unwrapped[-1]
    check_slices(fragments)
    joined = b"".join(fragment.data for fragment in fragments[1:])
    assert warnings_of(joined, tmp_path) == ""
    for fragment in fragments[1:]:
        assert (
            keyframes.index_video(fragment.data, fragment.start_pts).keyframes == fragment.keyframes
        )


def test_audio_continues_when_33_bits_wrap_within_a_fragment(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", pictures=500, bframes=2, audio="aac")
    hours = ((1 << 33) - 900_000) // 90_000 - 12
    out: list[Fragment] = []
    with av.open(str(path)) as source:
        video, audio = source.streams.video[0], source.streams.audio[0]
        fragmenter = Fragmenter(video, audio, FragmentLimits(target_ms=2_000))
        late = False
        for packet in source.demux(video, audio):
            if packet.size and packet.time_base is not None and packet.pts is not None:
                at_s = packet.pts * packet.time_base
                late = late or (packet.stream is video and packet.is_keyframe and at_s >= 2)
                moved = _moved(packet, hours) if late else packet
                out += fragmenter.push(moved, arrival_ms(moved))
        out += fragmenter.finish()
    check_slices(out)
    around = [one for one in out if one.start_pts < 1 << 33 < one.end_pts]
    assert len(around) == 1  # the wrap lies within it
    after = b"".join(one.data for one in out if one.start_pts > 12 * 90_000)
    assert warnings_of(after, tmp_path) == ""
    lasted_s = sum(one.end_pts - one.start_pts for one in out if one.start_pts > 12 * 90_000) / HZ
    with av.open(str(tmp_path / "joined.ts")) as joined:
        audio_stream = joined.streams.audio[0]
        seconds = (
            sum(frame.samples for frame in joined.decode(audio_stream)) / audio_stream.sample_rate
        )
    assert abs(seconds - lasted_s) < 0.2
    assert fragmenter.audio_dropped < 10  # those between one stream's jump and the other's


def test_missing_parameter_sets_are_put_before_each_keyframe(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", pictures=150)
    stripped = tmp_path / "stripped.mp4"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-i", path, "-c", "copy", "-bsf:v",
         "filter_units=remove_types=7-8", stripped],
        check=True,
    )  # fmt: skip
    fragments = cut(stripped)
    assert len(fragments) == 3
    for fragment in fragments:
        assert len(decoded(fragment.data, tmp_path)) == fragment.frames
        assert warnings_of(fragment.data, tmp_path) == ""


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"size": (320, 240)}, "size from 160x120 to 320x240"),
        ({"fps": 15}, "frame rate from 25 to 15"),
    ],
    ids=["size", "frame rate"],
)
def test_changed_parameter_sets_say_what_changed(
    other: dict[str, object], words: str, tmp_path: Path
) -> None:
    before = make_clip(tmp_path / "before.ts", pictures=50)
    after = make_clip(tmp_path / "after.ts", pictures=50, **other)  # type: ignore[arg-type]
    with av.open(str(before)) as one, av.open(str(after)) as then:
        fragmenter = Fragmenter(one.streams.video[0], None, FragmentLimits())
        for packet in pictures_of(one):
            list(fragmenter.push(packet, T0_MS))
        with pytest.raises(ParametersChangedError, match=words) as raised:
            list(fragmenter.push(next(pictures_of(then)), T0_MS))
        now = Fragmenter(raised.value.video, None, FragmentLimits())
        size = then.streams.video[0].codec_context
        assert (now.width, now.height) == (size.width, size.height)


def test_lengths_of_mp4_are_not_taken_for_start_codes(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", pictures=50)
    with av.open(str(path)) as source:
        video = source.streams.video[0]
        fragmenter = Fragmenter(video, None, FragmentLimits())
        first = next(pictures_of(source))
        for number in range(3):
            # One slice of 0x107 bytes: read for a start code, its length is an SPS and more of it.
            packet = av.Packet(b"\x00\x00\x01\x07\x65" + bytes([number + 1]) * 0x106)
            packet.stream, packet.time_base, packet.is_keyframe = video, first.time_base, True
            packet.pts = packet.dts = round(number / first.time_base)
            fragmenter.push(packet, T0_MS + number * 1_000)
        assert sum(fragment.frames for fragment in fragmenter.finish()) == 3


def test_audio_that_cannot_be_muxed_does_not_stop_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise ValueError("no such sample rate")

    monkeypatch.setattr("media.mpegts_muxer.AacEncoder", fails)
    path = make_clip(tmp_path / "clip.mov", pictures=100, audio="pcm_mulaw")
    with av.open(str(path)) as source:
        video, audio_stream = source.streams.video[0], source.streams.audio[0]
        fragmenter = Fragmenter(video, audio_stream, FragmentLimits(target_ms=2_000))
        out: list[Fragment] = []
        for packet in source.demux(video, audio_stream):
            out += fragmenter.push(packet, T0_MS)
        out += fragmenter.finish()
    assert fragmenter.audio_codec is None and "no such sample rate" in fragmenter.audio_problem
    assert sum(fragment.frames for fragment in out) == 100
    check_slices(out)


def test_opus_is_encoded_as_aac(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", pictures=100)
    with_opus = tmp_path / "opus.mkv"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-i", path, "-f", "lavfi", "-i", "sine=d=4:r=48000",
         "-c:v", "copy", "-c:a", "libopus", with_opus],
        check=True,
    )  # fmt: skip
    fragments = cut(with_opus)
    for fragment in fragments:
        assert keyframes.index_video(fragment.data, fragment.start_pts).audio_codec == "aac"
    assert warnings_of(b"".join(fragment.data for fragment in fragments), tmp_path) == ""


def test_audio_that_stops_does_not_stop_video(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", pictures=300, audio="aac")
    with av.open(str(path)) as source:
        video, audio_stream = source.streams.video[0], source.streams.audio[0]
        fragmenter = Fragmenter(video, audio_stream, FragmentLimits(target_ms=2_000))
        out: list[Fragment] = []
        for packet in source.demux(video, audio_stream):
            if packet.size and (packet.stream is video or float(packet.pts * packet.time_base) < 3):
                out += fragmenter.push(packet, T0_MS)
        assert len(out) == 5  # the sixth is open
        out += fragmenter.finish()
    assert sum(fragment.frames for fragment in out) == 300
    check_slices(out)


def test_refuses_other_codecs_by_name(tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuvj420p"
        container.mux(stream.encode(av.VideoFrame(64, 64, "yuvj420p")))
        container.mux(stream.encode(None))
    with av.open(str(path)) as source, pytest.raises(MediaError, match=r"sends mjpeg.*H\.264"):
        Fragmenter(source.streams.video[0], None, FragmentLimits())


def test_packets_of_a_damaged_file_are_refused() -> None:
    with pytest.raises(MediaError, match="cut short"):
        list(mpegts.packets(b"G" * 100))
    with pytest.raises(MediaError, match="byte 188"):
        list(mpegts.packets(b"G" + bytes(187) + b"x" + bytes(187)))


def test_counts_per_pid() -> None:
    counts: dict[int, int] = defaultdict(int)
    null = bytes((mpegts.SYNC, 0x1F, 0xFF, 0x10)) + bytes(184)
    for packet in mpegts.packets(null * 3):
        counts[packet.pid] += 1
    assert counts == {mpegts.NULL_PID: 3}
    assert next(mpegts.packets(mpegts.with_counter(null, 21))).counter == 5

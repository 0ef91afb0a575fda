import re
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.fragmenter import Fragmenter, FragmentLimits
from media.playlist import Segment, date_time, recorded
from tests.footage import numbers_in, read_number, write_clip

RUN_A = "01890000-0000-7000-8000-000000000001"
RUN_B = "01890000-0000-7000-8000-000000000002"


def segment(run: str, seq: int, start_ms: int, duration_ms: int = 4_000, **more) -> Segment:
    return Segment(run, seq, start_ms, duration_ms, f"fragments/{run}/{seq}.ts", **more)


def test_a_recorded_stretch_in_full() -> None:
    text = recorded(
        [
            segment(RUN_A, 7, 1_000, 4_004),
            Segment(RUN_A, 6, -3_000 + 3_000, 1_000, "chunks/x.ts", (188, 376)),
        ]
    )
    assert text == (
        "#EXTM3U\n"
        "#EXT-X-VERSION:6\n"
        "#EXT-X-TARGETDURATION:4\n"
        "#EXT-X-MEDIA-SEQUENCE:0\n"
        "#EXT-X-PLAYLIST-TYPE:VOD\n"
        "#EXT-X-INDEPENDENT-SEGMENTS\n"
        "#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:00.000Z\n"
        "#EXTINF:1.000,\n"
        "#EXT-X-BYTERANGE:188@376\n"
        "chunks/x.ts\n"
        "#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:01.000Z\n"
        "#EXTINF:4.004,\n"
        f"fragments/{RUN_A}/7.ts\n"
        "#EXT-X-ENDLIST\n"
    )


def test_the_claim_of_independent_segments_is_true(tmp_path: Path) -> None:
    """A keyframe each 5 s, cut after 2 s: most fragments have none. FFmpeg plays and seeks."""
    clip = write_clip(tmp_path / "clip.mp4", 300, gop=125)
    limits = FragmentLimits(target_ms=1_000, max_ms=2_000)
    segments = []
    with av.open(str(clip)) as source:
        fragmenter = Fragmenter(source.streams.video[0], None, limits)
        fragments = [each for p in source.demux(video=0) for each in fragmenter.push(p, 0)]
        fragments += fragmenter.finish()
    for each in fragments:
        (tmp_path / f"{each.seq}.ts").write_bytes(each.data)
        start_ms, end_ms = each.start_pts // 90, each.end_pts // 90
        independent = bool(each.keyframes) and each.keyframes[0].pts == each.start_pts
        name = f"{each.seq}.ts"
        segments.append(
            Segment(RUN_A, each.seq, start_ms, end_ms - start_ms, name, independent=independent)
        )
    assert [each.independent for each in segments] == [True, False, False] * 2 + [True]
    assert "INDEPENDENT" in recorded([segments[0], segments[3]])
    path = tmp_path / "list.m3u8"
    path.write_text(recorded(segments))
    assert "INDEPENDENT" not in path.read_text()
    assert list(numbers_in(path)) == list(range(300))
    with av.open(str(path)) as listed:
        # In the third segment; the last keyframe before is in the first one.
        listed.seek(listed.start_time + 4_500_000, backward=True)
        shown = [read_number(f.to_ndarray(format="gray")) for f in listed.decode(video=0)]
    assert shown[0] in (0, 125) and shown == list(range(shown[0], 300))


@pytest.mark.parametrize(
    ("second", "breaks", "why"),
    [
        (segment(RUN_A, 1, 4_000), 0, "goes on"),
        (segment(RUN_A, 1, 4_149), 0, "the clock was slewed a little"),
        (segment(RUN_A, 1, 4_150), 1, "time is missing"),
        (segment(RUN_A, 2, 4_000), 1, "a seq is missing"),
        (segment(RUN_B, 1, 4_000), 1, "another run"),
        (segment(RUN_B, 0, 4_000), 1, "another run from its start"),
        (segment(RUN_A, 1, 4_000, form="h264 aac 192 128"), 1, "audio appears"),
    ],
)
def test_discontinuities(second: Segment, breaks: int, why: str) -> None:
    first = segment(RUN_A, 0, 0, form=second.form and "h264 - 192 128")
    text = recorded([first, second])
    assert text.count("#EXT-X-DISCONTINUITY\n") == breaks, why
    if breaks:
        assert text.index("#EXT-X-DISCONTINUITY") > text.index("0.ts")


def test_moving_into_a_chunk_changes_the_address_alone() -> None:
    alone = recorded([segment(RUN_A, 0, 5, 4_001), segment(RUN_A, 1, 4_006, 3_999)])
    moved = recorded(
        [
            Segment(RUN_A, 0, 5, 4_001, "chunks/c.ts", (188, 0)),
            Segment(RUN_A, 1, 4_006, 3_999, "chunks/c.ts", (188, 188)),
        ]
    )

    def timing(text: str) -> list[str]:
        return [
            line
            for line in text.splitlines()
            if line.startswith("#") and not line.startswith("#EXT-X-BYTERANGE")
        ]

    assert timing(alone) == timing(moved)


def test_no_segment_is_longer_than_the_target() -> None:
    text = recorded([segment(RUN_A, 0, 0, 10_499), segment(RUN_A, 1, 10_499, 2_000)])
    assert "#EXT-X-TARGETDURATION:10\n" in text  # 10.499 rounds to 10, as the standard compares
    text = recorded([segment(RUN_A, 0, 0, 10_500)])
    assert "#EXT-X-TARGETDURATION:11\n" in text
    text = recorded([segment(RUN_A, 0, 0, 40)])
    assert "#EXT-X-TARGETDURATION:1\n" in text


@given(st.lists(st.tuples(st.integers(0, 2_000), st.integers(1, 20_000)), max_size=30))
def test_lengths_and_dates_are_exact(parts: list[tuple[int, int]]) -> None:
    at, segments = 1_795_369_409_123, []
    for seq, (hole, duration) in enumerate(parts):
        at += hole
        segments.append(segment(RUN_A, seq, at, duration))
        at += duration
    text = recorded(list(reversed(segments)))
    lengths = [int(a) * 1_000 + int(b) for a, b in re.findall(r"#EXTINF:(\d+)\.(\d{3}),", text)]
    assert lengths == [each.duration_ms for each in segments]
    dates = re.findall(r"#EXT-X-PROGRAM-DATE-TIME:(.*)", text)
    assert dates == [date_time(each.start_ms) for each in segments]
    target = int(re.search(r"TARGETDURATION:(\d+)", text)[1])
    assert all((length + 500) // 1_000 <= target for length in lengths)


def test_date_time() -> None:
    assert date_time(1_795_369_409_007) == "2026-11-22T17:43:29.007Z"


def test_two_recorders_are_not_listed_twice() -> None:
    one = [segment(RUN_A, seq, 4_000 * seq) for seq in range(5)]
    two = [segment(RUN_B, seq, 700 + 4_000 * seq) for seq in range(8)]
    text = recorded(one + two)
    addresses = [line for line in text.splitlines() if not line.startswith("#")]
    assert addresses == [each.uri for each in one + two[5:]]
    assert text.count("#EXT-X-DISCONTINUITY\n") == 1


def test_a_device_whose_clock_was_set_back_keeps_all_its_footage() -> None:
    one = [segment(RUN_A, seq, 4_000 * seq) for seq in range(5)]
    two = [segment(RUN_B, seq, 10_000 + 4_000 * seq) for seq in range(5)]
    edges = {RUN_A: "edge-1", RUN_B: "edge-1"}
    assert recorded(one + two, edges).count("#EXTINF") == 10


def test_a_restart_that_overlaps_a_little_loses_nothing() -> None:
    one = [segment(RUN_A, 0, 0), segment(RUN_B, 0, 3_000)]
    assert recorded(one).count("#EXTINF") == 2

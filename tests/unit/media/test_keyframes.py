"""The keyframe index, against a reading packet by packet, and of damaged files."""

import os
import random
from collections.abc import Callable

import pytest

from domain.errors import MediaError
from harness.footage import film
from media import mpegts
from media.keyframes import index_video

RUN = "01929f3e-0000-7000-8000-000000000000"
SEED = int(os.environ.get("VIGIL_TEST_SEED", "0")) or random.randrange(1 << 32)


def fragment(seq: int = 0) -> bytes:
    return film("acme/hq/gate", RUN, seq, start_ms=1_790_000_000_000, duration_ms=4_000)[1]


def one_by_one(data: bytes) -> list[tuple[int, int, int]]:
    """Return (pts, offset, size) of each picture with the random access indicator."""
    found: list[tuple[int, int, int]] = []
    size = 0
    pictures = [each for each in mpegts.packets(data) if each.pid == 256]
    for at, packet in enumerate(pictures):
        following = next((each for each in pictures[at + 1 :] if each.starts), None)
        last = pictures[-1] if following is None else pictures[pictures.index(following) - 1]
        if packet.starts and packet.random_access:
            size = last.offset + mpegts.PACKET - packet.offset
            found.append((mpegts.pes(packet.payload).pts or 0, packet.offset, size))
    return found


def test_it_says_what_a_reading_packet_by_packet_says() -> None:
    data = fragment()
    found = index_video(data)
    assert [(each.pts, each.offset, each.size) for each in found.keyframes] == one_by_one(data)
    assert (found.frames, found.video_codec, found.audio_codec) == (20, "h264", None)
    assert found.keyframes[0].pts == found.first_pts == 90_000


def test_fragments_one_after_another_are_read_as_one_file() -> None:
    """Each has its own PAT and PMT; offsets go on."""
    parts = [fragment(0), fragment(1)]
    found = index_video(b"".join(parts))
    assert found.frames == 40
    assert [each.offset >= len(parts[0]) for each in found.keyframes] == [False, True]
    assert found.keyframes == tuple(
        each.model_copy(update={"offset": each.offset + shift})
        for part, shift in zip(parts, (0, len(parts[0])), strict=True)
        for each in index_video(part).keyframes
    )


def test_times_are_unwrapped_near_what_was_asked() -> None:
    near = 3 * mpegts.PTS_WRAP
    assert index_video(fragment(), near).first_pts == near + 90_000


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda data: b"", "cut short"),
        (lambda data: data[:-1], "cut short"),
        (lambda data: data[:188] + b"\x00" + data[189:], "at byte 188"),
        (lambda data: data[-188:], "no H.264"),
        (lambda data: bytes(188), "at byte 0"),
    ],
)
def test_damage_is_reported(damage: Callable[[bytes], bytes], text: str) -> None:
    with pytest.raises(MediaError, match=text):
        index_video(damage(fragment()))


def test_damaged_tables_and_frames_are_reported_or_read() -> None:
    """Bytes with the right hash may be anything: no other error may come of them."""
    print(f"seed {SEED}")
    dice, whole, unreadable = random.Random(SEED), fragment(), 0
    for _ in range(2_000):
        data = bytearray(whole)
        for _ in range(dice.choice((1, 3, 20))):
            data[dice.randrange(188 * 4)] = dice.randrange(256)
        try:
            index_video(bytes(data))
        except MediaError:
            unreadable += 1
    assert 0 < unreadable < 2_000

"""Live messages: what a new viewer gets, and what a slow one loses."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidEventError
from domain.live_stream import GopBuffer, LiveChannel, LiveKind, LiveMessage, ViewerQueue

FORMAT = LiveMessage.text(LiveKind.FORMAT, {"codecs": "avc1.64001f", "width": 4, "height": 2})
INIT = LiveMessage.init(b"ftyp moov")


def picture(number: int, *, gop: int = 10, size: int = 100, ms: int = 100) -> LiveMessage:
    """Return picture `number`; each `gop` of them begin with a keyframe."""
    body = number.to_bytes(4, "big").ljust(size, b".")
    return LiveMessage.media(body, number * ms, keyframe=number % gop == 0)


def numbers(messages: list[LiveMessage]) -> list[int]:
    return [
        int.from_bytes(each.data[9:13], "big")
        for each in messages
        if isinstance(each.data, bytes) and each.kind.is_media
    ]


def taken(queue: ViewerQueue, count: int = 1 << 30) -> list[LiveMessage]:
    found: list[LiveMessage] = []
    while len(found) < count and (message := queue.take()) is not None:
        found.append(message)
    return found


def test_messages_are_read_as_they_were_written() -> None:
    for message in (FORMAT, INIT, picture(0), picture(1)):
        assert LiveMessage.parse(message.data) == message
    assert json.loads(str(FORMAT.data))["type"] == "format"
    assert bytes(picture(3).data)[:9] == b"\x03" + (300).to_bytes(8, "big")


@pytest.mark.parametrize(
    "data",
    [b"", b"\x00", b"\x04abc", b"\x02short", "", "{}", "[]", '"end"', '{"type":"other"}', "{" * 9],
)
def test_what_cannot_be_read_is_refused(data: str | bytes) -> None:
    with pytest.raises(InvalidEventError):
        LiveMessage.parse(data)


def test_a_message_that_is_too_large_is_refused() -> None:
    with pytest.raises(InvalidEventError):
        LiveMessage.parse(b"\x03" + bytes(4 << 20))


def test_a_new_viewer_begins_at_the_last_keyframe() -> None:
    channel = LiveChannel()
    for message in (FORMAT, INIT, *map(picture, range(25))):
        channel.push(message)
    queue = ViewerQueue(lambda: None)
    channel.join(queue)
    channel.push(picture(25))
    found = taken(queue)
    assert found[:2] == [FORMAT, INIT]
    assert numbers(found) == list(range(20, 26))
    channel.leave(queue)
    channel.push(picture(26))
    assert not taken(queue)


def test_another_format_begins_without_old_pictures() -> None:
    gop = GopBuffer()
    for message in (FORMAT, INIT, picture(0), picture(1), FORMAT, INIT):
        gop.push(message)
    assert gop.replay() == [FORMAT, INIT]


def test_a_gop_that_is_too_large_is_not_kept() -> None:
    gop = GopBuffer(max_bytes=1_000)
    for message in (FORMAT, INIT, *(picture(each, gop=100) for each in range(30))):
        gop.push(message)
    assert gop.replay() == [FORMAT, INIT]
    gop.push(picture(100, gop=100))
    assert numbers(gop.replay()) == [100]


def test_a_slow_viewer_jumps_to_the_next_keyframe() -> None:
    """0 1 2 … 29 30 31: at keyframe 30, what waits is 3 s old."""
    queue = ViewerQueue(lambda: None, max_lag_ms=2_000)
    for message in (FORMAT, INIT, *map(picture, range(32))):
        queue.push(message)
    found = taken(queue)
    assert found[:2] == [FORMAT, INIT]
    assert numbers(found) == [30, 31]
    assert queue.dropped_gops == 1


def test_a_source_that_repeats_itself_fills_no_queue() -> None:
    queue = ViewerQueue(lambda: None)
    end = LiveMessage.text(LiveKind.END, {"reason": "over"})
    for _ in range(50):
        for message in (FORMAT, INIT, INIT, end, end):
            queue.push(message)
    assert taken(queue) == [end]


def test_boxes_never_displace_pictures() -> None:
    queue = ViewerQueue(lambda: None, max_bytes=500)
    boxes = LiveMessage.text(LiveKind.DETECTIONS, {"frames": ["x" * 600]})
    queue.push(picture(0))
    queue.push(boxes)
    assert taken(queue) == [picture(0)]


@given(
    steps=st.lists(st.booleans(), max_size=300),
    gop=st.integers(1, 40),
    max_bytes=st.integers(150, 5_000),
    max_lag_ms=st.integers(0, 5_000),
)
def test_what_a_viewer_gets_can_always_be_decoded(
    steps: list[bool], gop: int, max_bytes: int, max_lag_ms: int
) -> None:
    """Each picture is a keyframe, or follows the one before it without a gap; in order."""
    queue = ViewerQueue(lambda: None, max_bytes, max_lag_ms)
    queue.push(FORMAT)
    queue.push(INIT)
    pushed = 0
    found: list[int] = []
    for push in steps:
        if push:
            queue.push(picture(pushed, gop=gop))
            pushed += 1
            assert queue.size <= max_bytes
        else:
            found += numbers(taken(queue, 1))
    found += numbers(taken(queue))
    for before, number in zip([-1, *found], found, strict=False):
        assert number == before + 1 or (number % gop == 0 and number > before)
    if not queue.dropped_gops and max_bytes >= 100 * pushed + 9 * pushed:
        assert found == list(range(pushed))

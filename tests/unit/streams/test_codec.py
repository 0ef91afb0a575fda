"""What is an event, and what becomes of the rest."""

import base64

import pytest

from domain.errors import InvalidEventError
from domain.events import Tick, encode, parse
from streams import codec, topics
from streams.codec import Record
from tests.integration.delivery import fragment

CAMERA = "test/site/cam1"


def record(value: bytes | None, key: bytes | None = CAMERA.encode()) -> Record:
    return Record("source", 3, 17, key, value)


def test_an_event_comes_back_as_it_was() -> None:
    event = fragment(CAMERA, 3)
    assert codec.decode(record(encode(event)), topics.FRAGMENT_ARRIVED) == event
    tick = Tick(partition=3, at_ms=5)
    assert codec.decode(record(encode(tick), key=None), topics.FRAGMENT_ARRIVED) == tick


@pytest.mark.parametrize(
    ("value", "key", "reason"),
    [
        (None, b"k", "empty"),
        (b"", b"k", "empty"),
        (b"\xff\xfe", b"k", "message"),
        (b'{"type": "no-such"}', b"k", "type"),
        (encode(fragment(CAMERA, 1)), b"test/site/cam2", "key"),
        (encode(fragment(CAMERA, 1)), None, "key"),
        (encode(fragment(CAMERA, 1)).replace(b'"version":1', b'"version":9'), None, "version"),
    ],
)
def test_what_is_not_an_event_is_refused_with_the_reason(
    value: bytes | None, key: bytes | None, reason: str
) -> None:
    with pytest.raises(InvalidEventError, match=reason):
        codec.decode(record(value, key), topics.FRAGMENT_ARRIVED)


def test_an_event_in_the_wrong_topic_is_refused() -> None:
    with pytest.raises(InvalidEventError, match="does not belong in detection"):
        codec.decode(record(encode(fragment(CAMERA, 1))), topics.DETECTION)


@pytest.mark.parametrize("value", [b"", b"\x00\xff" * 10, None, b"x" * 2_000_000])
def test_a_dead_letter_keeps_the_bytes_and_can_be_sent(value: bytes | None) -> None:
    letter = codec.make_dead_letter(record(value, b"\xff" * 5_000), "reason " * 200, now_ms=7)
    assert letter.source == "source" and (letter.partition, letter.offset) == (3, 17)
    assert base64.b64decode(letter.original_base64) == (value or b"")[:1_000_000]
    encoded = encode(letter)
    assert len(encoded) < topics.DEAD_LETTER.max_message_bytes
    assert parse(encoded) == letter


async def test_an_event_that_no_topic_takes_is_refused_before_it_is_sent() -> None:
    with pytest.raises(InvalidEventError, match="more than the 1048576"):
        await codec.send_bytes(None, topics.DETECTION, b"k", b"x" * (1 << 20) + b"x")

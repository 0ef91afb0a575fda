"""Where the past begins, and whether retention has cut something off that was asked for.

|  gone  | first ···· end |
"""

import pytest
from aiokafka.structs import OffsetAndTimestamp, TopicPartition

from agents.replay.kafka_source import PartitionRange, StartPosition, _range

PLACE = TopicPartition("chunk-complete", 3)


@pytest.mark.parametrize(
    ("first", "end", "begin", "found", "at", "cut"),
    [
        (0, 90, StartPosition(), None, 0, False),
        (7, 90, StartPosition(), None, 7, True),
        (90, 90, StartPosition(), None, 90, True),  # emptied
        (0, 0, StartPosition(), None, 0, False),  # never used
        (7, 90, StartPosition(from_offset=7), None, 7, False),
        (7, 90, StartPosition(from_offset=6), None, 7, True),
        (7, 90, StartPosition(from_offset=500), None, 90, False),
        (7, 90, StartPosition(from_ms=1_000), (20, 1_005), 20, False),  # older ones are still there
        (
            7,
            90,
            StartPosition(from_ms=1_000),
            (7, 1_005),
            7,
            True,
        ),  # the oldest is younger than asked
        (0, 90, StartPosition(from_ms=1_000), (0, 1_005), 0, False),  # nothing was deleted
        (7, 90, StartPosition(from_ms=1_000), None, 90, False),  # all are older
        (90, 90, StartPosition(from_ms=1_000), None, 90, True),  # emptied: unknown
    ],
)
def test_where_it_begins(
    first: int, end: int, begin: StartPosition, found: tuple[int, int] | None, at: int, cut: bool
) -> None:
    at_time = OffsetAndTimestamp(*found) if found is not None else None
    part = _range(PLACE, first, end, begin, at_time)
    assert (part.at, part.end, part.truncated) == (at, end, cut)
    assert part.left == end - at


def test_a_part_comes_back_from_the_bookmark() -> None:
    part = PartitionRange("chunk-complete", 3, 7, 90)
    assert PartitionRange(*part.as_json()) == part

"""A key's partition, reckoned without a broker, is the one the producer chooses."""

import pytest
from aiokafka.partitioner import DefaultPartitioner

from streams.codec import Record
from streams.reroute import own_partition
from streams.topics import partition_of, partitions_of


@pytest.mark.parametrize("partitions", [1, 2, 8, 13])
def test_the_producer_agrees(partitions: int) -> None:
    choose = DefaultPartitioner()
    everywhere = list(range(partitions))
    for number in range(200):
        key = f"acme/site-{number}/cam-{number % 7}"
        assert partition_of(key, partitions) == choose(key.encode(), everywhere, everywhere)


@pytest.mark.parametrize(("fewer", "now"), [(8, 64), (2, 8), (3, 12), (1, 5), (8, 8)])
def test_topics_that_grew_have_a_key_in_known_partitions(fewer: int, now: int) -> None:
    for number in range(200):
        key = f"acme/site-{number}/cam-{number % 7}"
        assert {partition_of(key, fewer), partition_of(key, now)} <= partitions_of(key, now)
    assert len(partitions_of("acme/site/cam", 64)) <= 7, "not all of them"


def test_an_event_in_another_partition_has_one_of_its_own() -> None:
    key = b"acme/site/cam"
    own = partition_of(key, 64)
    elsewhere = [own_partition(Record("t", at, 0, key, b""), 64) for at in range(64)]
    assert elsewhere == [None if at == own else own for at in range(64)]
    assert own_partition(Record("t", 3, 0, None, b""), 64) is None, "ticks have no key"

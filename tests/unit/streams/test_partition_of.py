"""A key's partition, reckoned without a broker, is the one the producer chooses."""

import pytest
from aiokafka.partitioner import DefaultPartitioner

from streams.topics import partition_of


@pytest.mark.parametrize("partitions", [1, 2, 8, 13])
def test_the_producer_agrees(partitions: int) -> None:
    choose = DefaultPartitioner()
    everywhere = list(range(partitions))
    for number in range(200):
        key = f"acme/site-{number}/cam-{number % 7}"
        assert partition_of(key, partitions) == choose(key.encode(), everywhere, everywhere)

"""The bare arm of `vigil bench stream`: aiokafka and the event's decoding, nothing else."""

import argparse
import asyncio

from aiokafka import AIOKafkaConsumer

from domain.events import parse
from harness.fragment_load import Timed


async def _run(brokers: str, topic: str, total: int) -> None:
    timed = Timed(total)
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=brokers, auto_offset_reset="earliest", enable_auto_commit=False
    )
    async with consumer:
        while True:
            for records in (await consumer.getmany(timeout_ms=500, max_records=500)).values():
                for record in records:
                    parse(record.value)
                if timed.count(len(records)):
                    timed.report()
                    return


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("brokers")
    parser.add_argument("topic")
    parser.add_argument("total", type=int)
    given = parser.parse_args()
    asyncio.run(_run(given.brokers, given.topic, given.total))

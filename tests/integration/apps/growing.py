"""Grows a test's topics from its settings; VIGIL_TEST_KILL_AFTER: kill -9 after so many records."""

import asyncio
import itertools
import os
import signal
import sys
from typing import Any

from aiokafka import AIOKafkaProducer

from streams import changelog_entries
from streams.settings import get_settings
from streams.topic_growth import grow
from streams.topics import TOPICS, changelog

changelog_entries.IN_FLIGHT = 5
"""So that the broker has some of the records when the process is killed, and not all."""

sends = itertools.count()
kill_at = int(os.environ.get("VIGIL_TEST_KILL_AFTER", "-1"))
send = AIOKafkaProducer.send


async def send_some(self: AIOKafkaProducer, *args: Any, **options: Any) -> Any:
    """Send, or end as by kill -9."""
    if next(sends) == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)
    return await send(self, *args, **options)


async def main(app: str, partitions: int) -> None:
    """Grow the topics of one app with the table `seen`."""
    settings = get_settings()
    done = await grow(
        [*TOPICS, changelog(app, "seen")], [app], partitions, settings=settings, report=print
    )
    print("moved", done.moved)


AIOKafkaProducer.send = send_some
asyncio.run(main(sys.argv[1], int(sys.argv[2])))

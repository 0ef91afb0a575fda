"""Measures how many messages the queues hold, for the page of the status and for dashboards.

SQS counts about, and a minute late. Each relay measures, so the largest of their numbers counts.
"""

import asyncio
import logging
from collections.abc import Mapping

from prometheus_client import Gauge

from domain.errors import StoreError
from stores.queue import Queue
from streams.metrics import REGISTRY

EVERY_S = 60.0
MESSAGES = Gauge(
    "vigil_queue_messages",
    "Messages in a queue (events, dead-letter) by state: visible, in-flight, as SQS counts them",
    ("queue", "state"),
    registry=REGISTRY,
)

log = logging.getLogger(__name__)


async def measure(queues: Mapping[str, Queue]) -> None:
    """Set the series of each queue. One that does not answer has none: old ones would mislead."""
    for name, queue in queues.items():
        try:
            depth = await queue.depth()
        except StoreError as error:
            MESSAGES.remove_by_labels({"queue": name})
            log.warning("how many messages the queue %s holds is unknown: %s", name, error)
            continue
        MESSAGES.labels(name, "visible").set(depth.visible)
        MESSAGES.labels(name, "in-flight").set(depth.in_flight)


async def measure_until(stop: asyncio.Event, queues: Mapping[str, Queue]) -> None:
    """Measure each minute until `stop` is set."""
    while not stop.is_set():
        await measure(queues)
        try:
            async with asyncio.timeout(EVERY_S):
                await stop.wait()
        except TimeoutError:
            continue

"""Memory of a real assembler by its cameras: one worker on 64 partitions, with Kafka.

Each camera has a run of fragments of 2 s, sent as fast as they are handled: its windows, the
entries of its table, and what the client of Kafka keeps. Memory is PSS: pages that processes share
are shared out among them.
"""

import argparse
import asyncio
import logging
import os
import time
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from bench.recovery_watch import Group
from domain.errors import VigilError
from domain.events import encode
from harness.environment import environment, own_services, say
from harness.fragment_load import fragments
from harness.usage import usage
from harness.workers import Workers
from streams.settings import Settings
from streams.topic_admin import ensure
from streams.topics import FRAGMENT_ARRIVED, TOPICS, changelog

PARTITIONS = 64
FRAGMENTS = 45
"""Of each camera: a window and a half."""
SETTLE_S = 5.0
AIM_KIB = 200


def run(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure each number of cameras with a worker of its own; compare the first and the last."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # topics that were just made
    found = []
    with own_services("memory") as (_, scratch):
        for number, cameras in enumerate(arguments.memory_cameras):
            names = {
                "VIGIL_TOPIC_PREFIX": f"memory{number}-",
                "VIGIL_APP_PREFIX": f"memory{number}",
                "VIGIL_PARTITIONS": str(PARTITIONS),
            }
            folder = scratch / str(number)
            folder.mkdir()
            with environment(names):
                found.append(asyncio.run(_measured(folder, cameras)))
            say(f"{found[-1]}")
    least, most = found[0], found[-1]
    if (more := most["cameras"] - least["cameras"]) > 0:
        kib = (most["pss_mib"] - least["pss_mib"]) * 1024 / more
        most |= {"kib_for_each_further_camera": round(kib, 1), "aim_kib": AIM_KIB}
    return found


async def _measured(folder: Path, cameras: int) -> dict[str, Any]:
    settings = Settings()
    table = changelog(f"{settings.app_prefix}-assemble", "open-windows")
    await ensure([*TOPICS, table], settings=settings)
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka_brokers, linger_ms=5)
    workers = Workers(folder, {}, {"assemble": 1}, relay=False)
    began_s = time.monotonic()
    async with producer, workers, Group(settings) as group:
        for event in fragments(cameras, FRAGMENTS):
            await producer.send(
                FRAGMENT_ARRIVED.full_name, encode(event), key=event.camera.encode()
            )
        await producer.flush()
        await group.caught_up(time.monotonic())
        await asyncio.sleep(SETTLE_S)  # some commits, and ticks over all cameras
        pid = workers.pid("assemble-0")
        if pid is None or workers.ended_by_themselves:
            raise VigilError(f"The assembler ended:\n{workers.tail('assemble-0')}")
        used = usage([pid])
    return {
        "cameras": cameras,
        "fragments": cameras * FRAGMENTS,
        "pss_mib": round(used.memory_mib, 1),
        "rss_mib": round(used.rss_mib, 1),
        "took_s": round(time.monotonic() - began_s),
        "load": round(os.getloadavg()[0], 1),
    }

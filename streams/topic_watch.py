"""Notices that a topic was deleted, or made again with other settings, while a worker runs.

Faust continues without a topic that was deleted and reports that it is ready. A topic that is
created or deleted causes a rebalance. After each rebalance the broker is asked which topics exist.
"""

import asyncio
import logging
from collections.abc import Iterable

from aiokafka.errors import KafkaError

from domain.errors import ConfigError, StoreError
from streams.settings import Settings
from streams.topic_admin import admin, check_partitions, describe
from streams.topics import TopicSpec

CHECKS = 5
"""A broker that was just started may not know its topics yet: a fault must be seen this often."""
CHECK_EVERY_S = 1.0

log = logging.getLogger(__name__)


async def topic_problem(specs: Iterable[TopicSpec], settings: Settings) -> str:
    """Return what is wrong with the topics, in a sentence or two; empty where nothing is.

    Tries for as long as no broker answers; others report that.
    """
    wanted = [spec.name_for(settings) for spec in specs]
    problem = ""
    for _ in range(CHECKS):
        problem = await _check_until_answered(wanted, settings)
        if not problem:
            break
        await asyncio.sleep(CHECK_EVERY_S)
    return problem


async def _check_until_answered(wanted: list[str], settings: Settings) -> str:
    while True:
        try:
            return await _check(wanted, settings)
        except (StoreError, KafkaError, OSError) as error:
            log.debug("Cannot read the topics: %s", error)
        await asyncio.sleep(CHECK_EVERY_S)


async def _check(wanted: list[str], settings: Settings) -> str:
    async with admin(settings, within_s=30.0) as client:
        states = await describe(client, wanted)
    if missing := [name for name in wanted if name not in states]:
        return (
            f"Topic {', '.join(missing)} is gone: it was deleted. Messages in it that were not "
            "processed are lost. The next worker that starts creates it again. Then run "
            "`vigil reconcile`, which finds the fragments in S3."
        )
    try:
        for state in states.values():
            check_partitions(state, settings.partitions)
    except ConfigError as error:
        return str(error)
    return ""

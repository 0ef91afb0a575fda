"""Background tasks that restart after an error."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from edge_bridge.spool.disk import DiskError

log = logging.getLogger(__name__)

RESTART_DELAY_S = 2.0


def restart_forever(name: str, work: Callable[[], Awaitable[None]]) -> "asyncio.Task[None]":
    """Run work in a task until cancelled. After an error or an end it starts again."""

    async def run() -> None:
        while True:
            try:
                await work()
            except* DiskError:
                pass  # the disk has logged it; the work starts again and asks for its rows again
            except* Exception:
                log.exception("%s failed unexpectedly; restarting", name)
            await asyncio.sleep(RESTART_DELAY_S)

    return asyncio.create_task(run(), name=name)

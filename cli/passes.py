"""A command that does its work once, or again and again until SIGTERM."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Awaitable, Callable

from domain.errors import ConfigError, StoreError

SHORTEST_MS = 60_000

log = logging.getLogger(__name__)


def check_every(every_ms: int | None) -> None:
    """Raise ConfigError for passes that follow too closely: each looks at everything."""
    if every_ms is not None and every_ms < SHORTEST_MS:
        raise ConfigError("--every must be a minute at least: each pass looks at everything.")


async def passes(once: Callable[[], Awaitable[None]], every_ms: int | None) -> None:
    """Do one pass, or one each `every_ms` until SIGTERM or Ctrl-C.

    A pass may end anywhere: the next one goes on. Where it fails by a StoreError that is told, and
    of a single pass raised.
    """
    if every_ms is None:
        await once()
        return
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    while not stop.is_set():
        begun = loop.time()
        work = asyncio.ensure_future(once())
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not work.done():
            work.cancel()
        try:
            await work
        except asyncio.CancelledError:
            return
        except StoreError as error:
            log.warning("the pass failed, the next one goes on: %s", error)
        rest_s = max(0.0, every_ms / 1000 - (loop.time() - begun))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(rest_s):
                await stop.wait()

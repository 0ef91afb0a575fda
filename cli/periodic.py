"""Runs a command's work once, or periodically until SIGTERM."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from domain.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from streams.settings import Settings

MIN_INTERVAL_MS = 60_000

log = logging.getLogger(__name__)


def check_interval(every_ms: int | None) -> None:
    """Raise ConfigError if the interval is too short: each pass reads everything."""
    if every_ms is not None and every_ms < MIN_INTERVAL_MS:
        raise ConfigError("--every must be at least 1m: each pass reads everything.")


async def run_periodically(
    once: Callable[[], Awaitable[None]], every_ms: int | None, settings: "Settings"
) -> None:
    """Run one pass, or one every `every_ms` until SIGTERM or Ctrl-C.

    A pass may be stopped at any point: the next one continues. A StoreError of a pass is logged;
    the StoreError of a single pass is raised. Repeated passes serve metrics and health where the
    settings name a port: ready is a program whose newest pass succeeded.
    """
    if every_ms is None:
        await once()
        return
    # Imported here, so that the edge's install can list its commands without the cloud's packages.
    from streams.probe import serve_probe  # noqa: PLC0415

    succeeded = False
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        if settings.metrics_port:
            await stack.enter_async_context(serve_probe(lambda: succeeded, settings))
        while not stop.is_set():
            began_s = loop.time()
            pass_task = asyncio.ensure_future(once())
            stop_task = asyncio.ensure_future(stop.wait())
            await asyncio.wait({pass_task, stop_task}, return_when=asyncio.FIRST_COMPLETED)
            stop_task.cancel()
            if not pass_task.done():
                pass_task.cancel()
            try:
                await pass_task
                succeeded = True
            except asyncio.CancelledError:
                return
            except StoreError as error:
                succeeded = False
                log.warning("the pass failed, the next one continues: %s", error)
            rest_s = max(0.0, every_ms / 1000 - (loop.time() - began_s))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(rest_s):
                    await stop.wait()

"""`vigil relay run`: carry events from SQS to Kafka."""

import argparse
import asyncio
import contextlib
import signal

from domain.errors import ConfigError
from domain.times import utc_ms


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the relay's commands."""
    parser = commands.add_parser("relay", help="carry events from SQS to Kafka")
    verbs = parser.add_subparsers(metavar="COMMAND", required=True)
    verb = verbs.add_parser("run", help="relay until SIGTERM or Ctrl-C")
    verb.set_defaults(run=_run)


def _run(_arguments: argparse.Namespace) -> int:
    asyncio.run(_relay())
    return 0


async def _relay() -> None:
    # Imported here, so that the edge's install can list its commands without the cloud's packages.
    from agents.relay.relay import KnownCameras, Relay  # noqa: PLC0415
    from agents.signatures.checker import SignatureChecker  # noqa: PLC0415
    from stores.catalog import known_cameras  # noqa: PLC0415
    from streams import logs, metrics, tracing  # noqa: PLC0415
    from streams.probe import serve_probe  # noqa: PLC0415
    from streams.settings import get_settings  # noqa: PLC0415
    from streams.storage import catalog  # noqa: PLC0415

    settings = get_settings()
    logs.set_up(settings)
    tracing.start(settings, "relay")
    if not settings.sqs_queue_url or not settings.sqs_dead_letter_url:
        raise ConfigError("VIGIL_SQS_QUEUE_URL and VIGIL_SQS_DEAD_LETTER_URL must be set.")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    store = catalog(settings)

    async def cameras() -> set[str]:
        return await known_cameras(await store.get())

    relay = Relay(settings, KnownCameras(cameras), SignatureChecker.of(store.get), utc_ms)
    metrics.watch_ready(lambda: relay.ready)
    async with contextlib.AsyncExitStack() as stack:
        if settings.metrics_port:
            await stack.enter_async_context(serve_probe(lambda: relay.ready, settings))
        await relay.run(stop)

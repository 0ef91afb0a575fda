"""`vigil reconcile`: announce fragments and run ends that are in S3, but have no event."""

import argparse
import asyncio
import json
from contextlib import AsyncExitStack

from agents.configuration.publish import publish_all
from agents.consistency.fsck import MARGIN_MS, settle_ms
from agents.healing.reconciler import DAY_MS, MAX_FRAGMENTS, ReconcileOptions, Reconciler
from agents.signatures.checker import SignatureChecker
from cli.durations import duration_ms
from cli.periodic import check_interval, run_periodically
from domain.errors import ConfigError
from domain.events import FragmentArrived
from domain.identity import check_camera
from domain.times import parse_ms, utc_ms
from stores.catalog import Catalog, known_cameras
from stores.objects import ObjectStore
from streams import logs
from streams.sender import KafkaSender
from streams.settings import Settings, get_settings
from streams.storage import make_object_store, worker_catalog

DEFAULT_SINCE_MS = 30 * DAY_MS
"""The longest time that an edge can spool."""


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `reconcile`."""
    parser = commands.add_parser(
        "reconcile", help="announce fragments and run ends that are in S3, but have no event"
    )
    parser.add_argument(
        "--camera", action="append", default=[], metavar="ID", help="only this camera (repeatable)"
    )
    parser.add_argument("--since", metavar="T", help="check footage since T (default: 30 days ago)")
    parser.add_argument(
        "--every", type=duration_ms, metavar="TIME", help="repeat at this interval: 1h"
    )
    parser.add_argument(
        "--margin",
        type=duration_ms,
        default=MARGIN_MS,
        metavar="TIME",
        help="skip objects younger than window, grace, idle and late plus this (default 2m)",
    )
    parser.add_argument(
        "--most",
        type=int,
        default=MAX_FRAGMENTS,
        metavar="N",
        help=f"at most this many fragments of a camera in one pass (default {MAX_FRAGMENTS})",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Reconcile once, or until SIGTERM with --every. Prints a JSON line for each pass."""
    check_interval(args.every)
    if args.most < 1:
        raise ConfigError("--most must be at least 1.")
    logs.set_up(get_settings())
    asyncio.run(run_periodically(lambda: _once(args), args.every, get_settings()))
    return 0


async def _once(args: argparse.Namespace) -> None:
    settings = get_settings()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(make_object_store(settings))
        catalog = await stack.enter_async_context(worker_catalog(settings))
        sender = await stack.enter_async_context(KafkaSender(settings))
        known = await known_cameras(catalog)
        for camera in args.camera:
            if check_camera(camera) not in known:
                raise ConfigError(f"{camera} is not registered; `vigil camera list` shows all.")
        await _pass(args, settings, (store, catalog, sender), sorted(args.camera or known))


async def _pass(
    args: argparse.Namespace,
    settings: Settings,
    opened: tuple[ObjectStore, Catalog, KafkaSender],
    cameras: list[str],
) -> None:
    store, catalog, sender = opened
    now_ms = utc_ms()
    since_ms = parse_ms(args.since) if args.since else now_ms - DEFAULT_SINCE_MS
    options = ReconcileOptions(
        since_ms,
        now_ms,
        settle_ms(settings, args.margin),
        settings.window_ms,
        max_fragments=args.most,
    )
    reconciler = Reconciler(store, catalog, options, SignatureChecker.opened(catalog))
    fragments = 0
    ends = 0
    published = await publish_all(catalog, sender, now_ms, cameras)
    for camera in cameras:
        async for event in reconciler.events_to_send(camera):
            await sender.send(event)
            if isinstance(event, FragmentArrived):
                fragments += 1
            else:
                ends += 1
    print(
        json.dumps(
            {
                "cameras": len(cameras),
                "fragments": fragments,
                "ends": ends,
                "told": len(published),
                "in_work": reconciler.in_progress,
                "unreadable": reconciler.unreadable,
            }
        ),
        flush=True,
    )

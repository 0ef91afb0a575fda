"""`vigil replay chunks`: make chunks again with another window length."""

import argparse
import asyncio
import json
from contextlib import AsyncExitStack

from agents.consistency.fsck import settle_ms
from agents.replay.chunks import ChunksReplay, RechunkJob, RechunkResult
from agents.replay.progress import ProgressDisplay
from cli.audited_act import audited_act
from cli.durations import duration_ms
from cli.replay_options import add_cameras, add_span, select_cameras, span_ms
from domain.errors import ConfigError
from domain.times import utc_ms
from stores.catalog import Catalog
from stores.catalog.camera_windows import camera_windows
from streams.sender import KafkaSender
from streams.settings import Settings, get_settings
from streams.storage import make_object_store, worker_catalog

LONGEST_MS = 3_600_000


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `replay chunks`."""
    parser = verbs.add_parser(
        "chunks",
        help="make chunks again with another window length",
        description="The new chunks replace the old ones, one section at a time. `vigil retention "
        "enforce` deletes the old objects later. The last line is JSON: what was done. Exit "
        "status 1: some sections were not changed.",
    )
    parser.add_argument(
        "--window",
        type=duration_ms,
        required=True,
        metavar="TIME",
        help="new window length, such as 30s or 2m",
    )
    add_span(parser, required=True)
    add_cameras(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make the chunks; return 0 if all have the new length."""
    result = asyncio.run(remake(args))
    print(
        json.dumps(
            {
                "chunks": result.checked,
                "made": result.made,
                "replaced": result.replaced,
                "changes": result.made + result.replaced,
                "left": result.left,
            }
        ),
        flush=True,
    )
    return 1 if result.left else 0


async def remake(args: argparse.Namespace) -> RechunkResult:
    """Make chunks again as the arguments say. Raises ConfigError or StoreError."""
    settings = get_settings()
    if not 1_000 <= args.window <= LONGEST_MS:
        raise ConfigError("--window must be 1s to 1h.")
    from_ms, to_ms = span_ms(args)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(make_object_store(settings))
        catalog = await stack.enter_async_context(worker_catalog(settings))
        sender = await stack.enter_async_context(KafkaSender(settings))
        if not await stack.enter_async_context(catalog.try_advisory_lock("replay chunks")):
            raise ConfigError("Another `vigil replay chunks` is running. Wait until it ends.")
        cameras = await select_cameras(catalog, args.camera)
        now_ms = utc_ms()
        latest_ms = {each: now_ms - await _open_for_ms(settings, catalog, each) for each in cameras}
        job = RechunkJob(
            *(tuple(cameras), from_ms, to_ms, args.window, latest_ms, settings.superseded_margin_ms)
        )
        progress = stack.enter_context(ProgressDisplay("chunks", "chunks"))
        details = {"window_ms": args.window, "from_ms": from_ms, "to_ms": to_ms}
        async with audited_act(catalog, "replay:chunks", cameras, details) as results:
            result = await ChunksReplay(store, catalog, sender, job, progress=progress).run()
            results.update(made=result.made, replaced=result.replaced, left=result.left)
        return result


async def _open_for_ms(settings: Settings, catalog: Catalog, camera: str) -> int:
    """Return how long ago (ms) a window of the camera may have started and still be open."""
    windows = await camera_windows(catalog, camera, settings.window_ms)
    return settle_ms(settings) + windows.extra_wait_ms(settings.window_ms)

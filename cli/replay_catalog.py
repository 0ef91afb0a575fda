"""`vigil replay catalog`: rebuild the catalog, in place or in another schema."""

import argparse
import asyncio
import json
import re
from contextlib import AsyncExitStack

from agents.replay.catalog import CatalogReplay
from agents.replay.catalog_job import CatalogJob, CatalogReplayResult
from agents.replay.kafka_source import KafkaSource, StartPosition
from agents.replay.progress import ProgressDisplay
from agents.replay.s3_source import S3Source
from cli.audited_act import audited_act
from cli.replay_options import add_cameras, check_cameras
from domain.errors import ConfigError
from domain.times import parse_ms, utc_ms
from stores.catalog import Catalog, migrate, schema_status
from stores.catalog.schema_copy import schema_in_use
from streams.settings import Settings, get_settings
from streams.storage import make_object_store

SCHEMA = re.compile(r"(?!pg_)[a-z_][a-z0-9_]{0,62}")


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `replay catalog`."""
    parser = verbs.add_parser(
        "catalog",
        help="rebuild the catalog from Kafka, and from S3 where Kafka has deleted events",
        description="Writes missing rows, and deletes rows that have a tombstone. Correct rows "
        "are not changed. The last line is JSON: what was read and what was changed.",
    )
    parser.add_argument(
        "--schema",
        metavar="NAME",
        help="PostgreSQL schema to write, created if missing (default: the one in use)",
    )
    begin = parser.add_mutually_exclusive_group()
    begin.add_argument(
        "--from",
        dest="from_",
        metavar="T",
        help="events sent at T or later (RFC 3339; default: all)",
    )
    begin.add_argument(
        "--from-offset", type=int, metavar="N", help="read every partition from this offset"
    )
    add_cameras(parser)
    parser.add_argument(
        "--restart",
        action="store_true",
        help="start from the beginning, even if an interrupted replay can continue",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Rebuild; return 0 when everything was read."""
    result = asyncio.run(rebuild(args))
    summary = {
        "read": result.read,
        "from_s3": result.from_s3,
        "unreadable": result.unreadable,
        "changes": sum(result.changes.values()),
        "changed": dict(sorted(result.changes.items())),
    }
    print(json.dumps(summary), flush=True)
    return 0


def _start(args: argparse.Namespace) -> StartPosition:
    start = StartPosition(parse_ms(args.from_) if args.from_ else None, args.from_offset)
    if start.from_ms is not None and start.from_ms > utc_ms():
        raise ConfigError("--from is in the future.")
    if start.from_offset is not None and start.from_offset < 0:
        raise ConfigError("--from-offset must be at least 0.")
    if args.schema is not None and not SCHEMA.fullmatch(args.schema):
        raise ConfigError(
            f"{args.schema!r} is not a schema name: use at most 63 lower-case letters, digits "
            "and _, not beginning with a digit or pg_."
        )
    return start


async def rebuild(args: argparse.Namespace) -> CatalogReplayResult:
    """Rebuild as the arguments say. Raises ConfigError or StoreError."""
    start = _start(args)
    cameras = check_cameras(args.camera)
    settings = get_settings()
    async with AsyncExitStack() as stack:
        kafka_source = await stack.enter_async_context(KafkaSource(settings))
        store = await stack.enter_async_context(make_object_store(settings))
        copy_from = await _prepare(settings, args.schema)
        dsn = settings.database_url.get_secret_value()
        catalog = await stack.enter_async_context(Catalog(dsn, schema=args.schema))
        if not await stack.enter_async_context(catalog.try_advisory_lock("replay catalog")):
            raise ConfigError("Another replay writes this catalog. Wait until it ends, or stop it.")
        progress = stack.enter_context(ProgressDisplay("catalog", "events"))
        if args.schema is not None and copy_from is None:
            progress.say(
                "No other catalog is in use: no cameras, keys, rules or holds were copied."
            )
        job = CatalogJob(start, cameras, settings.window_ms, copy_from)
        s3_source = S3Source(store, start.from_ms or 0)
        replay = CatalogReplay(kafka_source, s3_source, catalog, job, progress)
        details = {"schema": args.schema, "cameras": sorted(cameras) or "all"}
        async with audited_act(catalog, "replay:catalog", cameras, details) as results:
            result = await replay.run(restart=args.restart)
            results.update(read=result.read, changes=sum(result.changes.values()))
        return result


async def _prepare(settings: Settings, schema: str | None) -> str | None:
    """Create and migrate the schema; return the schema in use if that is another one."""
    dsn = settings.database_url.get_secret_value()
    status = await schema_status(dsn)
    if schema is None:
        if not status.up_to_date:
            raise ConfigError(
                "The catalog's schema is not up to date: run `vigil catalog migrate`."
            )
        return None
    async with Catalog(dsn, size=1) as catalog:
        in_use = await schema_in_use(catalog)
    if in_use is not None and in_use != schema and not status.up_to_date:
        raise ConfigError(
            "The catalog in use is not up to date: run `vigil catalog migrate` first."
        )
    await migrate(dsn, schema)
    return in_use if in_use != schema else None

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
        help="rebuild the catalog from Kafka, and from S3 where Kafka no longer reaches",
        description="Writes what is missing, and removes what tombstones name; what stands as it "
        "should is not touched. The last line, JSON, tells what was read and what it changed.",
    )
    parser.add_argument(
        "--schema",
        metavar="NAME",
        help="into this schema, made if absent (default: in use)",
    )
    begin = parser.add_mutually_exclusive_group()
    begin.add_argument(
        "--from", dest="from_", metavar="T", help="events sent from T on (RFC 3339; default: all)"
    )
    begin.add_argument(
        "--from-offset", type=int, metavar="N", help="from this offset of every partition on"
    )
    add_cameras(parser)
    parser.add_argument(
        "--restart", action="store_true", help="begin anew where an earlier run stopped halfway"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Rebuild; 0 when all that was asked for was read."""
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


def _begin(args: argparse.Namespace) -> StartPosition:
    begin = StartPosition(parse_ms(args.from_) if args.from_ else None, args.from_offset)
    if begin.from_ms is not None and begin.from_ms > utc_ms():
        raise ConfigError("--from lies in the future.")
    if begin.from_offset is not None and begin.from_offset < 0:
        raise ConfigError("--from-offset must be 0 at least.")
    if args.schema is not None and not SCHEMA.fullmatch(args.schema):
        raise ConfigError(
            f"{args.schema!r} is no name for a schema: write lower-case letters, digits and _, at "
            "most 63, not beginning with a digit or pg_."
        )
    return begin


async def rebuild(args: argparse.Namespace) -> CatalogReplayResult:
    """Rebuild as the arguments say; ConfigError and StoreError tell what is wrong."""
    begin, cameras, of = _begin(args), check_cameras(args.camera), get_settings()
    async with AsyncExitStack() as stack:
        kafka_source = await stack.enter_async_context(KafkaSource(of))
        store = await stack.enter_async_context(make_object_store(of))
        copy_from = await _prepare(of, args.schema)
        dsn = of.database_url.get_secret_value()
        catalog = await stack.enter_async_context(Catalog(dsn, schema=args.schema))
        if not await stack.enter_async_context(catalog.try_advisory_lock("replay catalog")):
            raise ConfigError("Another replay writes this catalog; wait for its end, or stop it.")
        progress = stack.enter_context(ProgressDisplay("catalog", "events"))
        if args.schema is not None and copy_from is None:
            progress.say("No other catalog is in use: cameras, keys, rules, holds: none copied.")
        rebuilding = CatalogJob(begin, cameras, of.window_ms, copy_from)
        s3_source = S3Source(store, begin.from_ms or 0)
        replay = CatalogReplay(kafka_source, s3_source, catalog, rebuilding, progress)
        return await replay.run(restart=args.restart)


async def _prepare(settings: Settings, schema: str | None) -> str | None:
    """Make and migrate what is written; return the schema in use where that is another one."""
    dsn = settings.database_url.get_secret_value()
    status = await schema_status(dsn)
    if schema is None:
        if not status.up_to_date:
            raise ConfigError("The catalog's schema is not up to date: `vigil catalog migrate`.")
        return None
    async with Catalog(dsn, size=1) as catalog:
        in_use = await schema_in_use(catalog)
    if in_use is not None and in_use != schema and not status.up_to_date:
        raise ConfigError("The catalog in use is not up to date: `vigil catalog migrate` first.")
    await migrate(dsn, schema)
    return in_use if in_use != schema else None

"""`vigil fsck`: fragments, chunks and the catalog against each other."""

import argparse
import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import asdict

from agents.consistency.check import CheckScope
from agents.consistency.fsck import MARGIN_MS, Fsck, settle_ms
from agents.consistency.remover import RepairOutcome
from cli.durations import duration_ms
from domain.consistency import GracePeriods
from domain.errors import ConfigError
from domain.identity import check_camera
from domain.times import format_ms, parse_ms, utc_ms
from stores.catalog import Catalog, known_cameras
from streams.sender import KafkaSender
from streams.settings import get_settings
from streams.storage import make_object_store


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `fsck`."""
    parser = commands.add_parser(
        "fsck",
        help="check S3's fragments and chunks and the catalog against each other",
        description="Exit status 0: all is well, or all that was wrong is mended; 1: it is not.",
    )
    parser.add_argument(
        "--camera", action="append", default=[], metavar="ID", help="only this one (repeatable)"
    )
    parser.add_argument("--from", dest="from_", metavar="T", help="windows that start from T on")
    parser.add_argument("--to", metavar="T", help="windows that start before T")
    parser.add_argument("--bytes", action="store_true", help="read and verify every byte")
    parser.add_argument("--json", action="store_true", help="a JSON line each, the summary last")
    parser.add_argument("--repair", action="store_true", help="mend what is wrong")
    parser.add_argument(
        "--margin",
        type=duration_ms,
        default=MARGIN_MS,
        metavar="TIME",
        help="patience beyond window, grace, idle and late, such as 10m (default 2m)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check; 1 where something is wrong and not mended."""
    scope = CheckScope(
        from_ms=parse_ms(args.from_) if args.from_ else 0,
        to_ms=parse_ms(args.to) if args.to else 1 << 47,
        bytes=args.bytes,
    )
    if scope.from_ms >= scope.to_ms:
        raise ConfigError("--from must be before --to.")
    return asyncio.run(_check(args, scope))


async def _check(args: argparse.Namespace, scope: CheckScope) -> int:
    settings = get_settings()
    now_ms = utc_ms()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(make_object_store(settings))
        catalog = await stack.enter_async_context(Catalog(settings.database_url.get_secret_value()))
        sender = await stack.enter_async_context(KafkaSender(settings)) if args.repair else None
        known = await known_cameras(catalog)
        for camera in args.camera:
            if check_camera(camera) not in known:
                raise ConfigError(f"{camera} is not registered; `vigil camera list` shows all.")
        patience = GracePeriods(now_ms, settle_ms(settings, args.margin))
        fsck = Fsck(store, catalog, scope, patience, settings.window_ms, sender)
        wrong = mended = 0
        async for outcome in fsck.run(known, args.camera):
            wrong += 1
            mended += outcome.repaired
            print(_json(outcome) if args.json else _words(outcome), flush=True)
    summary = asdict(fsck.counts) | {"wrong": wrong, "mended": mended}
    if args.json:
        print(json.dumps({"summary": summary}))
    else:
        print(
            "Looked at {cameras} cameras, {days} days, {chunks} chunks and {fragments} fragments "
            "({bytes_read} bytes read); {in_work} are in work.".format(**summary)
        )
        print(_verdict(wrong, mended, repair=args.repair))
    return 0 if wrong == mended else 1


def _verdict(wrong: int, mended: int, *, repair: bool) -> str:
    if not wrong:
        return "All is well."
    things = "1 thing" if wrong == 1 else f"{wrong} things"
    if not repair:
        return f"Wrong: {things}; --repair mends what can be mended."
    if mended == wrong:
        return f"Mended: {things}; check again when the stream is through."
    return f"Wrong: {things}, of which {mended} mended."


def _words(outcome: RepairOutcome) -> str:
    finding = outcome.finding
    at = f" {format_ms(finding.at_ms)}" if finding.at_ms is not None else ""
    which = f" run {finding.run}" if finding.run else ""
    which += f" fragment {finding.seq}" if finding.seq is not None else ""
    became = f" [{'mended: ' if outcome.repaired else ''}{outcome.text}]" if outcome.text else ""
    return f"{finding.kind}: {finding.camera}{at}{which}: {finding.text}{became}"


def _json(outcome: RepairOutcome) -> str:
    became = {"mended": outcome.repaired, "became": outcome.text} if outcome.text else {}
    return json.dumps(outcome.finding.as_json() | became)

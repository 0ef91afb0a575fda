"""`vigil fsck`: check fragments and chunks in S3 against the catalog."""

import argparse
import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import asdict
from typing import Any

from agents.consistency.check import CheckScope
from agents.consistency.fsck import MARGIN_MS, Fsck, settle_ms
from agents.consistency.remover import RepairOutcome
from agents.signatures.checker import SignatureChecker
from cli.audited_act import audited_act
from cli.durations import duration_ms
from domain.consistency import GracePeriods
from domain.errors import ConfigError
from domain.identity import check_camera
from domain.printable import escaped
from domain.times import format_ms, parse_ms, utc_ms
from stores.catalog import known_cameras
from streams.sender import KafkaSender
from streams.settings import get_settings
from streams.storage import make_object_store, worker_catalog


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `fsck`."""
    parser = commands.add_parser(
        "fsck",
        help="check fragments and chunks in S3 against the catalog",
        description="Exit status 0: no problem, or all problems repaired. 1: problems are left.",
    )
    parser.add_argument(
        "--camera", action="append", default=[], metavar="ID", help="only this camera (repeatable)"
    )
    parser.add_argument(
        "--from", dest="from_", metavar="T", help="only windows that start at T or later"
    )
    parser.add_argument("--to", metavar="T", help="only windows that start before T")
    parser.add_argument("--bytes", action="store_true", help="read and verify every byte")
    parser.add_argument(
        "--signatures",
        action="store_true",
        help="verify the signature of each fragment in a chunk, and that no run has a hole",
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON line for each problem, the summary last"
    )
    parser.add_argument("--repair", action="store_true", help="repair what can be repaired")
    parser.add_argument(
        "--margin",
        type=duration_ms,
        default=MARGIN_MS,
        metavar="TIME",
        help="time to wait beyond window, grace, idle and late, such as 10m (default 2m)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check; return 1 if a problem is not repaired."""
    scope = CheckScope(
        from_ms=parse_ms(args.from_) if args.from_ else 0,
        to_ms=parse_ms(args.to) if args.to else 1 << 47,
        bytes=args.bytes,
        signatures=args.signatures,
    )
    if scope.from_ms >= scope.to_ms:
        raise ConfigError("--from must be before --to.")
    return asyncio.run(_check(args, scope))


async def _check(args: argparse.Namespace, scope: CheckScope) -> int:
    settings = get_settings()
    now_ms = utc_ms()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(make_object_store(settings))
        catalog = await stack.enter_async_context(worker_catalog(settings))
        sender = await stack.enter_async_context(KafkaSender(settings)) if args.repair else None
        known = await known_cameras(catalog)
        for camera in args.camera:
            if check_camera(camera) not in known:
                raise ConfigError(f"{camera} is not registered; `vigil camera list` shows all.")
        grace = GracePeriods(now_ms, settle_ms(settings, args.margin))
        fsck = Fsck(store, catalog, scope, grace, settings.window_ms, sender)
        fsck.signatures = SignatureChecker.opened(catalog)
        wrong = 0
        repaired = 0
        results: dict[str, Any] = {}
        if args.repair:
            details = {"cameras": args.camera or "all", "from_ms": scope.from_ms}
            results = await stack.enter_async_context(
                audited_act(catalog, "fsck:repair", args.camera or known, details)
            )
        async for outcome in fsck.run(known, args.camera):
            wrong += 1
            repaired += outcome.repaired
            results.update(wrong=wrong, repaired=repaired)
            print(_json(outcome) if args.json else _line(outcome), flush=True)
    summary = asdict(fsck.counts) | {"wrong": wrong, "mended": repaired}
    if args.json:
        print(json.dumps({"summary": summary}))
    else:
        print(
            "Checked {cameras} cameras, {days} days, {chunks} chunks and {fragments} fragments "
            "({bytes_read} bytes read); {in_work} are in progress.".format(**summary)
        )
        if scope.signatures:
            print(f"{summary['signed']} fragments in chunks have a valid signature.")
        print(_summary(wrong, repaired, repair=args.repair))
    return 0 if wrong == repaired else 1


def _summary(wrong: int, repaired: int, *, repair: bool) -> str:
    if not wrong:
        return "No problems found."
    problems = "1 problem" if wrong == 1 else f"{wrong} problems"
    if not repair:
        return f"Found {problems}; --repair repairs what can be repaired."
    if repaired == wrong:
        return f"Repaired {problems}; check again when the workers have caught up."
    return f"Found {problems}, repaired {repaired}."


def _line(outcome: RepairOutcome) -> str:
    finding = outcome.finding
    at = f" {format_ms(finding.at_ms)}" if finding.at_ms is not None else ""
    which = f" run {finding.run}" if finding.run else ""
    which += f" fragment {finding.seq}" if finding.seq is not None else ""
    action = f" [{'repaired: ' if outcome.repaired else ''}{outcome.text}]" if outcome.text else ""
    return escaped(f"{finding.kind}: {finding.camera}{at}{which}: {finding.text}{action}")


def _json(outcome: RepairOutcome) -> str:
    action = {"mended": outcome.repaired, "became": outcome.text} if outcome.text else {}
    return json.dumps(outcome.finding.as_json() | action)

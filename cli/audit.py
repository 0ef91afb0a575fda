"""`vigil audit`: list, export, sign and verify the audit log."""

import argparse
import asyncio
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from prometheus_client import Gauge

from cli.audit_origin import cli_origin
from cli.durations import duration_ms
from cli.periodic import check_interval, run_periodically
from domain.access import INSTALLATION, check_scope
from domain.audit_verify import AuditHead, AuditReport, verify_export
from domain.errors import ConfigError, InvalidEventError
from domain.printable import escaped
from domain.times import format_ms, parse_ms, utc_ms
from stores.audit_keys import create_key_file, read_key_file, read_public_keys, verified_head
from stores.catalog import Catalog
from stores.catalog.audit import record_audit
from stores.catalog.audit_heads import HeadWriter, signed_heads
from stores.catalog.audit_log import (
    FOREVER_MS,
    NEWEST,
    AuditFilter,
    StoredEntry,
    export_lines,
    find_entries,
    list_chains,
)
from streams import logs
from streams.metrics import REGISTRY
from streams.settings import Settings, get_settings
from streams.storage import admin_catalog, make_object_store

MAX_LINE = 65_536
MAX_LIST = 10_000

BROKEN = Gauge(
    "vigil_audit_broken_chains",
    "Chains of the audit log that do not continue from their last signed head",
    registry=REGISTRY,
)
SIGNED_AT = Gauge(
    "vigil_audit_signed_timestamp_seconds",
    "When the heads of the audit log were last signed, or found to need no signature",
    registry=REGISTRY,
)


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `audit list`, `export`, `verify`, `heads`, `sign` and `key`."""
    parser = commands.add_parser("audit", help="list, export, sign and verify the audit log")
    verbs = parser.add_subparsers(dest="verb", required=True)

    listing = verbs.add_parser("list", help="list entries, newest first")
    _add_range(listing)
    listing.add_argument("--tenant", help="only this tenant's; * for the installation's own")
    listing.add_argument("--actor", help="only this actor's, such as user:17 or key:3")
    listing.add_argument("--action", help="only this act, such as key:create, or all of key")
    listing.add_argument("--resource", help="only this resource and what is below it")
    listing.add_argument("--refused", action="store_true", help="only what was refused")
    listing.add_argument("--limit", type=int, default=100, help=f"at most (1 to {MAX_LIST})")
    listing.add_argument("--json", action="store_true", help="print JSON lines")
    listing.set_defaults(run=run_list)

    export = verbs.add_parser("export", help="print a chain as JSON lines, for `verify`")
    export.add_argument(
        "--tenant", required=True, help="the tenant; * for the installation's own chain"
    )
    _add_range(export)
    export.set_defaults(run=run_export)

    heads = verbs.add_parser("heads", help="print a chain's signed heads from S3 as JSON lines")
    heads.add_argument(
        "--tenant", required=True, help="the tenant; * for the installation's own chain"
    )
    heads.set_defaults(run=run_heads)

    verify = verbs.add_parser(
        "verify", help="verify an export without the database; exit status 1 where it was changed"
    )
    verify.add_argument("file", type=Path, help="what `vigil audit export` printed; - for stdin")
    verify.add_argument(
        "--heads",
        type=Path,
        action="append",
        default=[],
        help="signed heads: what `vigil audit heads` printed, or a folder of the objects in S3",
    )
    verify.add_argument(
        "--public-key",
        type=Path,
        action="append",
        default=[],
        help="public key that signed heads (PEM); repeat it after a rotation",
    )
    verify.set_defaults(run=run_verify)

    sign = verbs.add_parser("sign", help="sign the newest heads and write them to S3")
    sign.add_argument("--every", type=duration_ms, metavar="TIME", help="repeat: 1m")
    sign.set_defaults(run=run_sign)

    key = verbs.add_parser("key", help="make a key that signs heads; prints its public key")
    key.add_argument("file", type=Path, help="a new file for the private key")
    key.set_defaults(run=run_key)


def _add_range(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--from", dest="from_", metavar="T", help="from this time (RFC 3339)")
    parser.add_argument("--to", metavar="T", help="before this time")


def _range(args: argparse.Namespace) -> tuple[int, int]:
    from_ms = parse_ms(args.from_) if args.from_ else 0
    to_ms = parse_ms(args.to) if args.to else FOREVER_MS
    if from_ms >= to_ms:
        raise ConfigError("--from must be before --to.")
    return from_ms, to_ms


def _chain(args: argparse.Namespace) -> str:
    tenant = check_scope(args.tenant)
    if "/" in tenant:
        raise ConfigError(f"--tenant {tenant}: there is one chain for each tenant. Name a tenant.")
    return tenant


def _catalog() -> Catalog:
    return admin_catalog(get_settings(), size=2)


def run_list(args: argparse.Namespace) -> int:
    """List entries, one line each."""
    if not 1 <= args.limit <= MAX_LIST:
        raise ConfigError(f"--limit must be 1 to {MAX_LIST}.")
    from_ms, to_ms = _range(args)
    wanted = AuditFilter(
        from_ms,
        to_ms,
        args.actor,
        args.action,
        args.resource,
        "refused" if args.refused else None,
        _chain(args) if args.tenant else None,
    )

    async def listing() -> None:
        before, left = NEWEST, args.limit
        async with _catalog() as catalog:
            while left > 0:
                limit = min(left, 500)
                page = await find_entries(
                    catalog, [INSTALLATION], wanted, before=before, limit=limit
                )
                for each in page:
                    print(_json_line(each) if args.json else _line(each))
                if len(page) < limit:
                    return
                before, left = page[-1].position, left - limit

    asyncio.run(listing())
    return 0


def _json_line(entry: StoredEntry) -> str:
    return json.dumps(entry.shown(), ensure_ascii=False, sort_keys=True)


def _line(entry: StoredEntry) -> str:
    fields = entry.shown()
    personal = fields["personal"]
    texts = [
        f"{key}={text}"
        for subject in sorted(personal)
        for key, text in sorted((personal[subject] or {"data": "erased"}).items())
    ]
    change = " ".join(
        f"{name}={json.dumps(fields[name], ensure_ascii=False)}"
        for name in ("before", "after")
        if fields[name] is not None
    )
    outcome = "" if fields["outcome"] == "done" else f" ({fields['outcome']})"
    return escaped(
        f"{format_ms(fields['at_ms'])}  {entry.chain} {entry.seq}  {fields['actor']}  "
        f"{fields['action']}{outcome}  {fields['resource']}  {change}  {' '.join(texts)}"
    ).rstrip()


def run_export(args: argparse.Namespace) -> int:
    """Print the lines of an export."""
    from_ms, to_ms = _range(args)
    chain = _chain(args)

    async def exporting() -> None:
        async with _catalog() as catalog:
            if chain not in dict(await list_chains(catalog)):
                raise ConfigError(f"The audit log has no entries of {chain}.")
            now_ms = utc_ms()
            details = {"from_ms": from_ms, "to_ms": min(to_ms, now_ms)}
            entry = cli_origin().entry(now_ms, "audit:export", chain, tenant=chain, after=details)
            await record_audit(catalog, entry)
            # What happens during the export is not in it: the end is fixed now.
            async for line in export_lines(catalog, chain, from_ms, min(to_ms, now_ms)):
                print(line)

    asyncio.run(exporting())
    return 0


def run_heads(args: argparse.Namespace) -> int:
    """Print a chain's signed heads."""
    chain = _chain(args)

    async def printing() -> None:
        async with make_object_store(get_settings()) as store:
            async for signed in signed_heads(store, chain):
                print(signed.decode())

    asyncio.run(printing())
    return 0


def run_verify(args: argparse.Namespace) -> int:
    """Verify; one line for each finding, then a summary."""
    if args.heads and not args.public_key:
        raise ConfigError("Heads are verified with --public-key FILE: give the key's own file.")
    keys = read_public_keys(args.public_key)
    heads: list[AuditHead] = []
    wrong_heads = 0
    for number, text in enumerate(_signed_heads(args.heads), 1):
        try:
            heads.append(verified_head(json.loads(text), keys))
        except (InvalidEventError, ValueError, RecursionError) as error:
            wrong_heads += 1
            print(escaped(f"head {number}: {error}"))
    if str(args.file) == "-":
        report = verify_export(_lines(sys.stdin), heads)
    else:
        try:
            with args.file.open(encoding="utf-8", errors="surrogateescape") as file:
                report = verify_export(_lines(file), heads)
        except OSError as error:
            raise ConfigError(f"{args.file} cannot be read: {error.strerror}.") from None
    for finding in report.findings:
        print(escaped(f"{finding.kind}: {finding.text}"))
    for note in report.notes:
        print(escaped(f"restored: {note}"))
    print(_summary(report, bool(args.heads)))
    return 1 if report.findings or wrong_heads else 0


def _summary(report: AuditReport, with_heads: bool) -> str:
    until = "now" if report.to_ms >= FOREVER_MS else format_ms(report.to_ms)
    count = max(0, report.last_seq - report.first_seq + 1)
    outcome = f"{len(report.findings)} findings." if report.findings else "unchanged."
    entries = f"{report.first_seq} to {report.last_seq}"
    text = f"{count} entries of {report.chain}, {entries}, until {until}: {outcome}"
    head = report.newest_head
    if not with_heads:
        return (
            f"{text} No heads were given, so a missing end, or a chain that was computed again, "
            "cannot be found. Give --heads and --public-key."
        )
    if head is None:
        return f"{text} No signed head confirms them."
    text += f" The newest head that confirms them is of entry {head.seq}, {format_ms(head.at_ms)}."
    if head.seq < report.last_seq:
        text += f" Entries {head.seq + 1} to {report.last_seq} have no signed head yet."
    return text


def _lines(file: Iterable[str]) -> Iterator[str]:
    """Yield lines. One that is too long is cut: it is then reported as changed."""
    for line in file:
        yield line[:MAX_LINE]


def _signed_heads(paths: Iterable[Path]) -> Iterator[str]:
    """Yield the texts of signed heads, in files or folders."""
    for path in paths:
        try:
            files = sorted(path.rglob("*.json")) if path.is_dir() else [path]
            for each in files:
                yield from filter(None, each.read_text(encoding="utf-8").splitlines())
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} cannot be read: {error}.") from None


def run_sign(args: argparse.Namespace) -> int:
    """Sign once, or until SIGTERM with --every; exit status 1 where a chain was changed."""
    check_interval(args.every)
    settings = get_settings()
    if settings.audit_key_file is None:
        raise ConfigError("Set VIGIL_AUDIT_KEY_FILE. `vigil audit key FILE` makes such a file.")
    logs.set_up(settings)
    broken: list[str] = []

    async def once() -> None:
        result = await _sign(settings)
        broken[:] = result["broken"]
        print(json.dumps(result), flush=True)

    asyncio.run(run_periodically(once, args.every, settings))
    return 1 if broken else 0


async def _sign(settings: Settings) -> dict[str, Any]:
    assert settings.audit_key_file is not None
    signer = read_key_file(settings.audit_key_file)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(make_object_store(settings))
        catalog = await stack.enter_async_context(_catalog())
        writer = HeadWriter(catalog, store, signer, settings.audit_lock_days)
        stats = await writer.sign_due(utc_ms())
    BROKEN.set(len(stats.broken))
    SIGNED_AT.set_to_current_time()
    return {"signed": stats.signed, "broken": stats.broken, "key": signer.id}


def run_key(args: argparse.Namespace) -> int:
    """Make a key file; prints the public key."""
    signer = create_key_file(args.file)
    sys.stdout.write(signer.public_pem.decode())
    print(f"The key is {signer.id}. Keep its public key apart from the server.", file=sys.stderr)
    return 0

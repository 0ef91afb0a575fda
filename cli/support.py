"""`vigil support bundle`: what someone needs to help, in one file, without secrets.

Everything in it is on a list. Of any other setting it shows only whether it is set.
"""

import argparse
import asyncio
import io
import json
import platform
import re
import sys
import tarfile
from collections.abc import Awaitable, Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import aiohttp
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from cli.topics import all_topics
from domain.errors import ConfigError
from domain.times import format_ms, utc_ms
from stores.catalog import Catalog, schema_status
from streams.kafka import client_options
from streams.settings import Settings, get_settings
from streams.topic_admin import admin, describe, drift_of

SHOWN_SETTINGS = frozenset({
    "kafka_security", "kafka_sasl_mechanism", "kafka_wait_s", "database_tls", "row_security",
    "aws_region", "partitions", "replication", "retention_hours", "topic_prefix", "app_prefix",
    "worker_instance", "session_timeout_s", "commit_interval_ms", "table_store", "metrics_port",
    "web_port", "device_port", "device_certificate_s", "connections_per_address", "requests_per_s",
    "media_bytes_per_s", "media_delivery", "window_ms", "grace_ms", "idle_ms", "late_ms", "tick_ms",
    "joined_margin_ms", "superseded_margin_ms", "log_format", "log_level", "link_port",
    "link_sockets",
})  # fmt: skip
"""Settings whose values are in the bundle. Of all others it says only whether they are set."""
PACKAGES = (
    "vigil", "aiohttp", "aiokafka", "aioboto3", "asyncpg", "av", "faust-streaming", "obstore",
    "pydantic", "rocksdict", "cryptography",
)  # fmt: skip
METRIC = re.compile(r"(?:vigil_[a-z0-9_]+|process_(?:cpu_seconds_total|resident_memory_bytes|"
                    r"open_fds|start_time_seconds))")  # fmt: skip
SAFE_LABELS = frozenset({
    "topic", "partition", "operation", "outcome", "type", "service", "le", "bound", "reason_code",
})  # fmt: skip
"""Labels that stay. Others, such as a camera, have names of people's places: they become `…`."""
MAX_LOG_BYTES = 2 << 20
"""Of each log file, its end."""
MAX_METRICS_BYTES = 4 << 20
MAX_ERRORS = 50
PROBE_S = 5.0
_SECRETS = (
    re.compile(r"(?i)\b[a-z][a-z0-9+.-]*://[^\s\"']+"),
    re.compile(r"-----BEGIN [^-]+-----.*?(?:-----END [^-]+-----|$)", re.DOTALL),
    re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b"),
    re.compile(r"(?i)\b(?:bearer|password|passwd|secret|token|authorization|cookie|credential)s?\b"
               r"\s*[=:]?\s*\S+"),
    re.compile(r"\b[^\s@]+@[^\s@]+\.[a-z]{2,}\b"),
    re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b"),
    re.compile(r"[A-Za-z0-9+/_=-]{32,}"),
)  # fmt: skip
_SCOPE = re.compile(r"\b[a-z0-9][a-z0-9-]*/[a-z0-9][a-z0-9-]*(?:/[a-z0-9][a-z0-9-]*)?\b")


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `support bundle`."""
    parser = commands.add_parser("support", help="collect what someone needs to help")
    verbs = parser.add_subparsers(dest="verb", required=True)
    bundle = verbs.add_parser(
        "bundle",
        help="write versions, settings, health, lags, sizes and logs to one file, without secrets",
        description="Never in it: footage, keys, passwords, addresses, names of people. Names of "
        "tenants, sites and cameras only with --names. docs/how-to/support.md lists what is.",
    )
    bundle.add_argument("file", type=Path, help="a new file, such as support.tar.gz")
    bundle.add_argument(
        "--program", action="append", default=[], metavar="NAME=URL",
        help="ask a program's /readyz and /metrics, such as join=http://127.0.0.1:9102; repeatable",
    )  # fmt: skip
    bundle.add_argument(
        "--log", action="append", type=Path, default=[], metavar="FILE",
        help="add the end of a log file of a program; repeatable",
    )  # fmt: skip
    bundle.add_argument("--prometheus", metavar="URL", help="add the alerts that fire now")
    bundle.add_argument(
        "--names", action="store_true", help="keep names of tenants, sites and cameras"
    )
    bundle.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the file, and say what is in it."""
    if args.file.exists():
        raise ConfigError(f"{args.file} exists. Name a new file.")
    settings = get_settings()
    programs = dict(_named(each) for each in args.program)
    files = asyncio.run(_collect(settings, programs, args.prometheus, names=args.names))
    for number, path in enumerate(args.log, 1):
        files[f"logs/{number:02}-{_plain(path.name)}"] = _log_of(path, names=args.names)
    write_bundle(args.file, files)
    for name, text in sorted(files.items()):
        print(f"{len(text.encode()):>9,}  {name}")
    print(f"Written to {args.file}. Read it before you send it.")
    return 0


def write_bundle(path: Path, files: Mapping[str, str]) -> None:
    """Write a tar.gz that only its owner reads, with a manifest of sizes."""
    manifest = {"made": format_ms(utc_ms()), "files": {n: len(t) for n, t in sorted(files.items())}}
    path.touch(0o600, exist_ok=False)
    with path.open("wb") as out, tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, text in (("manifest.json", _json(manifest)), *sorted(files.items())):
            data = text.encode()
            info = tarfile.TarInfo(f"vigil-support/{name}")
            info.size, info.mode, info.mtime = len(data), 0o600, utc_ms() // 1_000
            archive.addfile(info, io.BytesIO(data))


def _named(text: str) -> tuple[str, str]:
    name, _, url = text.partition("=")
    if not re.fullmatch(r"[a-z0-9-]{1,40}", name) or not url.startswith(("http://", "https://")):
        raise ConfigError(f"--program {text}: write a name, = and an address, as join=http://….")
    return name, url.rstrip("/")


async def _collect(
    settings: Settings, programs: Mapping[str, str], prometheus: str | None, *, names: bool
) -> dict[str, str]:
    """Return the files. One that cannot be made has the reason: a bundle is for bad days."""
    files = {
        "versions.json": _json(versions()),
        "settings.json": _json(shown_settings(settings)),
    }
    parts: dict[str, Callable[[], Awaitable[Any]]] = {
        "topics.json": lambda: _topics(settings),
        "lags.json": lambda: _lags(settings),
        "catalog.json": lambda: _catalog(settings),
    }
    for name, part in parts.items():
        try:
            async with asyncio.timeout(60):
                files[name] = _json(await part())
        except Exception as error:
            files[name] = _json({"error": redacted(f"{type(error).__name__}: {error}")})
    for program, url in programs.items():
        for what in ("readyz", "metrics"):
            text = await _page(f"{url}/{what}")
            cleaned = (
                _metrics(text, names=names) if what == "metrics" else redacted(text, names=names)
            )
            files[f"programs/{program}-{what}.txt"] = cleaned
    if prometheus is not None:
        files["alerts.json"] = _json(
            _alerts(await _page(f"{prometheus.rstrip('/')}/api/v1/alerts"))
        )
    return files


def versions() -> dict[str, Any]:
    """Return versions of Vigil, of Python and of the packages that matter."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return {
        "packages": found,
        "python": sys.version.split()[0],
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def shown_settings(settings: Settings) -> dict[str, Any]:
    """Return values of listed settings; of the others whether they differ from their default."""
    shown: dict[str, Any] = {}
    for name, info in type(settings).model_fields.items():
        value = getattr(settings, name)
        if name in SHOWN_SETTINGS:
            shown[name] = value
        else:
            shown[name] = "default" if value == info.default else "set"
    return shown


async def _topics(settings: Settings) -> dict[str, Any]:
    specs = {spec.name_for(settings): spec for spec in all_topics()}
    async with admin(settings, 10) as client:
        states = await describe(client, list(specs))
    return {
        name: {"partitions": states[name].partitions,
               "drift": drift_of(states[name], spec.config(settings))}
        if name in states else "missing"
        for name, spec in specs.items()
    }  # fmt: skip


async def _lags(settings: Settings) -> dict[str, Any]:
    """Return by consumer group and topic: committed, newest and how many messages wait."""
    groups = [f"{settings.app_prefix}-{name}" for name in ("assemble", "heal", "join", "index")]
    found: dict[str, Any] = {}
    async with admin(settings, 10) as client:
        consumer = AIOKafkaConsumer(**client_options(settings))
        async with consumer:
            for group in groups:
                try:
                    committed = await client.list_consumer_group_offsets(group)
                except KafkaError as error:  # a broker that has no groups yet
                    found[group] = type(error).__name__
                    continue
                ends = await consumer.end_offsets(list(committed)) if committed else {}
                found[group] = _by_topic(committed, ends)
    return found


def _by_topic(committed: Mapping[TopicPartition, Any], ends: Mapping[Any, int]) -> dict[str, Any]:
    waiting: dict[str, int] = {}
    for partition, offset in committed.items():
        lag = max(0, ends.get(partition, 0) - max(0, offset.offset))
        waiting[partition.topic] = waiting.get(partition.topic, 0) + lag
    return {"waiting": waiting, "partitions": len(committed)}


async def _catalog(settings: Settings) -> dict[str, Any]:
    dsn = settings.database_url.get_secret_value()
    status = await schema_status(dsn)
    async with Catalog(dsn, size=1) as catalog, catalog.transaction() as connection:
        tables = await connection.fetch(
            "SELECT coalesce(parent.relname, own.relname) AS name, count(*) AS partitions, "
            "sum(pg_total_relation_size(own.oid))::bigint AS bytes, "
            "sum(greatest(own.reltuples, 0))::bigint AS rows "
            "FROM pg_class AS own LEFT JOIN pg_inherits ON inhrelid = own.oid "
            "LEFT JOIN pg_class AS parent ON parent.oid = inhparent "
            "WHERE own.relkind IN ('r', 'p') AND own.relnamespace = current_schema()::regnamespace "
            "GROUP BY 1 ORDER BY 1"
        )
        server = await connection.fetchval("SHOW server_version")
        activity = await connection.fetch(
            "SELECT state, wait_event_type, count(*) AS count FROM pg_stat_activity "
            "WHERE datname = current_database() GROUP BY 1, 2"
        )
    return {
        "schema": status.current, "schema_needed": status.needed, "server": server,
        "tables": {row["name"]: {key: row[key] for key in ("partitions", "bytes", "rows")}
                   for row in tables},
        "connections": [dict(row) for row in activity],
    }  # fmt: skip


async def _page(url: str) -> str:
    try:
        timeout = aiohttp.ClientTimeout(total=PROBE_S)
        async with aiohttp.request("GET", url, timeout=timeout) as answer:
            data = await answer.content.read(MAX_METRICS_BYTES)
            return f"{answer.status}\n{data.decode(errors='replace')}"
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return f"no answer: {type(error).__name__}"


def _metrics(text: str, *, names: bool) -> str:
    """Return Vigil's own metrics. Labels that name places become `…`."""
    lines = []
    for line in text.splitlines():
        name, brace, rest = line.partition("{")
        if not METRIC.match(name):
            continue
        if brace:
            labels, _, value = rest.rpartition("}")
            kept = [
                f'{key}="{label if key in SAFE_LABELS or names else "…"}"'
                for key, label in re.findall(r'([a-z_]+)="((?:[^"\\]|\\.)*)"', labels)
            ]
            lines.append(f"{name}{{{','.join(kept)}}}{value}")
        else:
            lines.append(line)
    return "\n".join(lines)


def _alerts(text: str) -> Any:
    """Return names, states and since when; labels may name places."""
    try:
        found = json.loads(text.split("\n", 1)[1])["data"]["alerts"]
        return [{"alert": each["labels"]["alertname"], "state": each["state"],
                 "since": each["activeAt"]} for each in found]  # fmt: skip
    except (ValueError, KeyError, IndexError, TypeError):
        return {"error": "Prometheus gave no alerts"}


def _log_of(path: Path, *, names: bool) -> str:
    """Return the end of a log, line by line without secrets, its errors first."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - MAX_LOG_BYTES))
            text = file.read().decode(errors="replace")
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    lines = [redacted(line, names=names) for line in text.splitlines()]
    errors = [line for line in lines if re.search(r'level"?[=:]\s*"?(?:error|critical)', line)]
    return "\n".join(["# last errors", *errors[-MAX_ERRORS:], "# log", *lines])


def redacted(text: str, *, names: bool = False) -> str:
    """Return a text without addresses, keys and long codes, and without names of places."""
    for pattern in _SECRETS:
        text = pattern.sub("…", text)
    return text if names else _SCOPE.sub("…", text)


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "-", name)[:60]


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, sort_keys=True, default=str)

"""`vigil fleet`: releases, rollouts over rings, and which device runs what."""

import argparse
import asyncio
import json
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from cli.audit_origin import cli_origin, current_user
from cli.durations import duration_ms
from domain.device_identity import key_id
from domain.errors import ConfigError
from domain.fleet.behind import why_behind
from domain.fleet.release import FleetRelease, default_oldest, release_from, sign_release
from domain.fleet.rings import RINGS
from domain.fleet.rollout import RolloutRules
from domain.identity import check_site
from domain.times import format_ms, utc_ms
from stores.catalog import Catalog
from stores.catalog.audit import write_audit
from stores.catalog.fleet import FleetDevice, list_fleet, lock_site_updates
from stores.catalog.releases import StoredRelease, add_release, find_release, list_releases
from stores.catalog.rollouts import (
    RolloutAct,
    StoredRollout,
    change_rollout,
    current_rollout,
    get_rollout,
    list_rollouts,
    start_rollout,
)
from stores.key_files import create_private_key_file, read_private_key_file
from streams.settings import get_settings
from streams.storage import admin_catalog

T = TypeVar("T")


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `fleet status`, `fleet key`, `fleet release`, `fleet rollout`, `fleet lock`, `unlock`."""
    parser = commands.add_parser("fleet", help="update the devices: releases and rollouts")
    verbs = parser.add_subparsers(metavar="COMMAND", required=True)
    status = verbs.add_parser("status", help="which device runs what, who is behind and why")
    status.add_argument("--site", metavar="TENANT/SITE", help="only this site's devices")
    status.add_argument("--behind", action="store_true", help="only devices that are behind")
    status.set_defaults(run=run_status)
    key = verbs.add_parser("key", help="make the key that signs releases")
    key.add_argument("file", type=Path, help="new file for the private key, PEM")
    key.set_defaults(run=run_key)
    _add_releases(verbs.add_parser("release", help="sign and list releases"))
    _add_rollouts(verbs.add_parser("rollout", help="bring a release to the devices, ring by ring"))
    lock = verbs.add_parser("lock", help="install nothing at a site")
    lock.add_argument("--reason", required=True, help="why, shown to people")
    unlock = verbs.add_parser("unlock", help="end the lock of a site's updates")
    for each, run in ((lock, run_lock), (unlock, run_unlock)):
        each.add_argument("site", metavar="TENANT/SITE")
        each.set_defaults(run=run)
    for each in (status, lock, unlock):
        _add_json(each)


def _add_releases(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(metavar="COMMAND", required=True)
    adding = verbs.add_parser("add", help="sign a release and store it")
    adding.add_argument(
        "file", type=Path, help="YAML: version, targets by hardware (image, bundle), oldest"
    )
    adding.add_argument("--key", type=Path, required=True, help="the release key, PEM")
    adding.add_argument("--note", default="", help="what is new, for people")
    adding.set_defaults(run=run_release_add)
    listing = verbs.add_parser("list", help="list the releases, newest first")
    listing.set_defaults(run=run_release_list)
    for each in (adding, listing):
        _add_json(each)


def _add_rollouts(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(metavar="COMMAND", required=True)
    start = verbs.add_parser("start", help="start with the ring lab; one rollout at a time")
    start.add_argument("release", help="version or number")
    start.add_argument(
        "--soak",
        action="append",
        default=[],
        metavar="RING=TIME",
        help="how long a ring must be well before the next one opens, such as canary=24h",
    )
    start.add_argument("--rules", type=Path, help="YAML with thresholds of each ring")
    start.add_argument("--note", default="", help="why, for the audit log")
    start.set_defaults(run=run_start)
    for act, text in (
        ("pause", "begin no further update; what is being installed ends"),
        ("resume", "go on; devices with a fault try again"),
        ("rollback", "bring all devices back to what they ran; the release is withdrawn"),
        ("stop", "end it as it is: each device keeps what it runs"),
    ):
        verb = verbs.add_parser(act, help=text)
        verb.add_argument("rollout", type=int, nargs="?", help="its number (default: the active)")
        verb.add_argument("--reason", required=act != "resume", default="", help="why")
        verb.set_defaults(run=run_change, act=act)
        _add_json(verb)
    show = verbs.add_parser("show", help="how far a rollout is, device by device")
    show.add_argument("rollout", type=int, nargs="?", help="its number (default: the newest)")
    show.set_defaults(run=run_show)
    listing = verbs.add_parser("list", help="list the rollouts, newest first")
    listing.set_defaults(run=run_list)
    for each in (start, show, listing):
        _add_json(each)


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def _with_catalog(work: Callable[[Catalog], Awaitable[T]]) -> T:
    async def working() -> T:
        async with admin_catalog(get_settings()) as catalog:
            return await work(catalog)

    return asyncio.run(working())


def run_key(args: argparse.Namespace) -> int:
    """Make a release key; prints the public key, for the devices."""
    public = create_private_key_file(args.file).public_key().public_bytes_raw()
    print(f"The release key {key_id(public)} is in {args.file}. Keep it where no worker reads it.")
    print(f"Devices trust it by the playbook: app_release_keys: [{public.hex()}]")
    return 0


def run_release_add(args: argparse.Namespace) -> int:
    """Sign and store a release."""
    key = read_private_key_file(args.key, "--key", "Make one with `vigil fleet key FILE`.")
    given = _read_yaml(args.file)

    async def adding(catalog: Catalog) -> FleetRelease:
        async with catalog.transaction() as connection:
            known = await list_releases(connection)
        number = max((each.number for each in known), default=0) + 1
        usable = [each.number for each in known if each.withdrawn_ms is None]
        fields = {"number": number, "oldest": default_oldest(number, usable)}
        release = release_from({**fields, **given})
        return await add_release(
            catalog,
            sign_release(key, release),
            now_ms=utc_ms(),
            by=current_user(),
            note=args.note,
            origin=cli_origin(args.note),
        )

    release = _with_catalog(adding)
    if args.json:
        print(release.text)
    else:
        print(f"Release {release.version} has the number {release.number}. Bring it to the devices "
              f"with `vigil fleet rollout start {release.version}`.")  # fmt: skip
    return 0


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise ConfigError(f"{path} is not YAML.") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{path} holds no keys and values.")
    return data


def run_release_list(args: argparse.Namespace) -> int:
    """List releases."""

    async def listing(catalog: Catalog) -> list[StoredRelease]:
        async with catalog.transaction() as connection:
            return await list_releases(connection)

    for each in _with_catalog(listing):
        if args.json:
            print(json.dumps({
                "number": each.number, "version": each.version, "release": json.loads(each.text),
                "signed_by": each.signed_by, "added_ms": each.added_ms, "note": each.note,
                "withdrawn": each.withdrawn_why,
            }))  # fmt: skip
        else:
            withdrawn = f"  withdrawn: {each.withdrawn_why}" if each.withdrawn_ms else ""
            print(f"{each.number:>4}  {each.version:<16} {_time(each.added_ms)}  {each.note}"
                  f"{withdrawn}")  # fmt: skip
    return 0


def run_start(args: argparse.Namespace) -> int:
    """Start a rollout."""
    rules = _rules(args)

    async def starting(catalog: Catalog) -> StoredRollout:
        now_ms = utc_ms()
        async with catalog.transaction() as connection:
            release = await find_release(connection, args.release)
            made = await start_rollout(
                connection, release, rules, now_ms=now_ms, by=current_user(), note=args.note
            )
            entry = cli_origin(args.note).entry(
                now_ms, "rollout:start", f"rollout:{made.id}", after=made.audited()
            )
            await write_audit(connection, entry)
            return made

    _print_rollout(_with_catalog(starting), as_json=args.json)
    return 0


def _rules(args: argparse.Namespace) -> RolloutRules:
    """Return the thresholds of the file and the options. ConfigError."""
    fields = RolloutRules().model_dump()
    if args.rules is not None:
        for name, value in _read_yaml(args.rules).items():
            fields[name] = {**fields.get(name, {}), **value} if isinstance(value, dict) else value
    for each in args.soak:
        ring, _, text = each.partition("=")
        if ring not in RINGS:
            raise ConfigError(f"--soak {each}: write a ring ({', '.join(RINGS)}), =, and a time.")
        fields[ring]["soak_ms"] = duration_ms(text)
    try:
        return RolloutRules.model_validate(fields)
    except ValueError as error:
        raise ConfigError(f"The rules are wrong: {str(error).splitlines()[1]}.") from None


def run_change(args: argparse.Namespace) -> int:
    """Pause, resume, roll back or stop."""
    act: RolloutAct = args.act

    async def changing(catalog: Catalog) -> StoredRollout:
        now_ms = utc_ms()
        async with catalog.transaction() as connection:
            number = args.rollout
            if number is None:
                current = await current_rollout(connection)
                if current is None:
                    raise ConfigError("There is no rollout.")
                number = current.id
            before, after = await change_rollout(
                connection, number, act, now_ms=now_ms, why=args.reason
            )
            entry = cli_origin(args.reason).entry(
                now_ms,
                f"rollout:{act}",
                f"rollout:{after.id}",
                before=before.audited(),
                after=after.audited(),
            )
            await write_audit(connection, entry)
            return after

    _print_rollout(_with_catalog(changing), as_json=args.json)
    return 0


@dataclass(frozen=True)
class _FleetStatus:
    rollout: StoredRollout | None
    releases: dict[int, StoredRelease]
    devices: list[FleetDevice]
    now_ms: int

    def why_behind(self, device: FleetDevice) -> str | None:
        usable = {
            each.number: each.release for each in self.releases.values() if not each.withdrawn_ms
        }
        target = None if self.rollout is None else self.rollout.target
        return why_behind(device.situation, target, usable, self.now_ms)

    def version(self, number: int | None) -> str:
        return self.releases[number].version if number in self.releases else "unknown"

    def line(self, device: FleetDevice) -> dict[str, Any]:
        return {
            "device": device.device,
            "ring": device.ring,
            "release": device.release,
            "version": self.version(device.release),
            "state": device.state,
            "reason": device.reason,
            "behind": self.why_behind(device),
            "cameras": device.cameras,
            "recording": device.cameras_recording,
            "spool_waiting": device.spool_waiting,
            "reported_ms": device.reported_ms,
            "heartbeat_ms": device.heartbeat_ms,
            "lock": device.lock,
        }


async def _fleet(catalog: Catalog, number: int | None, site: str | None) -> _FleetStatus:
    devices: list[FleetDevice] = []
    async with catalog.transaction() as connection:
        releases = {each.number: each for each in await list_releases(connection)}
        rollout = await (
            current_rollout(connection) if number is None else get_rollout(connection, number)
        )
        if number is not None and rollout is None:
            raise ConfigError(f"There is no rollout {number}.")
        id_ = None if rollout is None else rollout.id
        while page := await list_fleet(
            connection, ["*"], id_, after=devices[-1].device if devices else "", site=site
        ):
            devices += page
    return _FleetStatus(rollout, releases, devices, utc_ms())


def run_status(args: argparse.Namespace) -> int:
    """Print each device: what it runs, how far its update is, why it is behind."""
    site = None if args.site is None else check_site(args.site)
    fleet = _with_catalog(lambda catalog: _fleet(catalog, None, site))
    _print_fleet(fleet, as_json=args.json, only_behind=args.behind)
    return 0


def run_show(args: argparse.Namespace) -> int:
    """Print one rollout and its devices."""
    fleet = _with_catalog(lambda catalog: _fleet(catalog, args.rollout, None))
    if fleet.rollout is None:
        raise ConfigError("There is no rollout yet.")
    _print_fleet(fleet, as_json=args.json, only_behind=False)
    return 0


def _print_fleet(fleet: _FleetStatus, *, as_json: bool, only_behind: bool) -> None:
    lines = [fleet.line(device) for device in fleet.devices]
    shown = [line for line in lines if line["behind"] or not only_behind]
    if as_json:
        rollout = None if fleet.rollout is None else _fields(fleet.rollout)
        print(json.dumps({"rollout": rollout, "devices": shown}))
        return
    if fleet.rollout is None:
        print("There is no rollout yet.")
    else:
        _print_rollout(fleet.rollout, as_json=False)
        for ring in RINGS:
            count = Counter(each.state or "pending" for each in fleet.devices if each.ring == ring)
            if count:
                text = ", ".join(f"{number} {state}" for state, number in sorted(count.items()))
                print(f"  {ring:<7} {text}")
    for line in shown:
        print(f"{line['device']:<40} {line['ring']:<7} {line['version']:<12} "
              f"{line['state'] or '':<12} {line['behind'] or ''}".rstrip())  # fmt: skip


def run_list(args: argparse.Namespace) -> int:
    """List rollouts."""

    async def listing(catalog: Catalog) -> list[StoredRollout]:
        async with catalog.transaction() as connection:
            return await list_rollouts(connection)

    for each in _with_catalog(listing):
        _print_rollout(each, as_json=args.json)
    return 0


def run_lock(args: argparse.Namespace) -> int:
    """Lock a site's updates."""
    if not args.reason.strip():
        raise ConfigError("--reason must say why.")
    _lock(args, args.reason.strip()[:500])
    print(f"Nothing is installed at {args.site} until `vigil fleet unlock {args.site}`.",
          file=sys.stderr if args.json else sys.stdout)  # fmt: skip
    return 0


def run_unlock(args: argparse.Namespace) -> int:
    """End the lock."""
    _lock(args, None)
    print(f"Updates of {args.site} are not locked.", file=sys.stderr if args.json else sys.stdout)
    return 0


def _lock(args: argparse.Namespace, why: str | None) -> None:
    site = check_site(args.site)

    async def locking(catalog: Catalog) -> None:
        now_ms = utc_ms()
        async with catalog.transaction() as connection:
            if not await lock_site_updates(connection, site, why, by=current_user(), now_ms=now_ms):
                return
            action = "site:unlock-updates" if why is None else "site:lock-updates"
            await write_audit(connection, cli_origin(why or "").entry(now_ms, action, site))

    _with_catalog(locking)
    if args.json:
        print(json.dumps({"site": site, "lock": why}))


def _fields(rollout: StoredRollout) -> dict[str, Any]:
    return {
        "id": rollout.id, "release": rollout.release, "state": rollout.state,
        "ring": rollout.ring, "reason": rollout.reason, "started_ms": rollout.started_ms,
        "started_by": rollout.started_by, "changed_ms": rollout.changed_ms,
        "ended_ms": rollout.ended_ms, "rules": rollout.rules,
    }  # fmt: skip


def _print_rollout(rollout: StoredRollout, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(_fields(rollout)))
        return
    print(f"rollout {rollout.id} of release {rollout.release}: {rollout.state}, ring "
          f"{rollout.ring}, since {_time(rollout.changed_ms)}")  # fmt: skip
    if rollout.reason:
        print(f"  {rollout.reason}")


def _time(at_ms: int) -> str:
    return f"{format_ms(at_ms)[:19]}Z"

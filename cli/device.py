"""`vigil device`: codes that enrol devices; list, revoke and unlock devices; the device CA."""

import argparse
import asyncio

from cli import device_ca, device_command
from cli.audit_origin import cli_origin, current_user
from cli.durations import duration_ms
from domain.device_identity import DeviceState, check_device
from domain.enrolment_code import MAX_LIFETIME_MS
from domain.errors import ConfigError
from domain.identity import check_site
from domain.times import format_ms, utc_ms
from stores.catalog import Catalog
from stores.catalog.audit import write_audit
from stores.catalog.devices import (
    EnrolledDevice,
    change_device_state,
    get_device,
    list_devices,
)
from stores.catalog.enrolment import create_code
from streams.settings import get_settings
from streams.storage import admin_catalog


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `device code`, `list`, `show`, `revoke`, `unlock` and `ca`."""
    parser = commands.add_parser("device", help="enrol devices, list and revoke them")
    verbs = parser.add_subparsers(dest="verb", required=True)
    code = verbs.add_parser("code", help="make a one-time code and print it; it enrols one device")
    code.add_argument(
        "target",
        metavar="TENANT/SITE[/DEVICE]",
        help="site of a new device; or a device that is enrolled again, with a new key",
    )
    code.add_argument(
        "--expires",
        type=duration_ms,
        default=MAX_LIFETIME_MS,
        metavar="TIME",
        help="how long the code works, at most 24h (default: 24h)",
    )
    code.set_defaults(run=run_code)
    listing = verbs.add_parser("list", help="list the devices")
    listing.add_argument("site", nargs="?", metavar="TENANT/SITE", help="only of this site")
    listing.set_defaults(run=run_list)
    show = verbs.add_parser("show", help="show one device")
    show.add_argument("device", metavar="TENANT/SITE/DEVICE")
    show.set_defaults(run=run_show)
    revoke = verbs.add_parser(
        "revoke", help="refuse a device, and whatever its keys signed, within seconds"
    )
    revoke.add_argument("device", metavar="TENANT/SITE/DEVICE")
    revoke.add_argument("--reason", default="", help="why, for the audit log")
    revoke.set_defaults(run=run_revoke)
    unlock = verbs.add_parser(
        "unlock", help="accept a locked device again, once no other one has its identity"
    )
    unlock.add_argument("device", metavar="TENANT/SITE/DEVICE")
    unlock.add_argument("--reason", default="", help="why, for the audit log")
    unlock.set_defaults(run=run_unlock)
    device_command.add(verbs)
    device_ca.add(verbs)


def _catalog() -> Catalog:
    return admin_catalog(get_settings())


def run_code(args: argparse.Namespace) -> int:
    """Make a code; prints only the code, for scripts."""
    if not 0 < args.expires <= MAX_LIFETIME_MS:
        raise ConfigError("--expires must be at most 24h.")
    device = check_device(args.target) if args.target.count("/") == 2 else None
    site = check_site(args.target if device is None else device.rsplit("/", 1)[0])

    async def creating() -> str:
        async with _catalog() as catalog, catalog.transaction() as connection:
            now_ms = utc_ms()
            number, code = await create_code(
                connection,
                site,
                device,
                lifetime_ms=args.expires,
                created_by=f"cli:{current_user()}",
                now_ms=now_ms,
            )
            entry = cli_origin().entry(
                now_ms,
                "device:code",
                device or site,
                after={"code": number, "expires_ms": now_ms + args.expires},
            )
            await write_audit(connection, entry)
            return code

    print(asyncio.run(creating()))
    return 0


def run_list(args: argparse.Namespace) -> int:
    """List; one line each: device, state, generation, renewed, expires."""
    site = None if args.site is None else check_site(args.site)

    async def listing() -> list[EnrolledDevice]:
        found: list[EnrolledDevice] = []
        async with _catalog() as catalog:
            while page := await list_devices(
                catalog, ["*"], after=found[-1].id if found else "", site=site
            ):
                found += page
        return found

    for device in asyncio.run(listing()):
        print(
            f"{device.id:<40}  {device.state:<8}  generation {device.generation:>5}  "
            f"renewed {_time(device.renewed_ms)}  expires {_time(device.expires_ms)}"
        )
    return 0


def run_show(args: argparse.Namespace) -> int:
    """Show what is known of one device."""

    async def showing() -> EnrolledDevice | None:
        async with _catalog() as catalog:
            return await get_device(catalog, check_device(args.device))

    device = asyncio.run(showing())
    if device is None:
        raise ConfigError(f"There is no device {args.device}; `vigil device list` shows them.")
    print(f"{device.id}: {device.state}")
    print(f"  generation {device.generation}, key {device.key}")
    print(f"  enrolled   {_time(device.enrolled_ms)}")
    print(f"  renewed    {_time(device.renewed_ms)}")
    print(f"  expires    {_time(device.expires_ms)}")
    if device.locked_ms is not None:
        print(f"  locked     {_time(device.locked_ms)}: {device.locked_why}")
        print(
            "  Find the other device. Then `vigil device code` enrols this one with a new key, or "
            "`vigil device unlock` accepts it as it is."
        )
    if device.revoked_ms is not None:
        print(f"  revoked    {_time(device.revoked_ms)}")
    if device.can_rejoin:
        print("  unlocked: its next renewal is accepted, whatever its generation")
    return 0


def run_revoke(args: argparse.Namespace) -> int:
    """Revoke; relays and the devices' address obey within 5 s."""
    _change(args, "revoked", "device:revoke")
    print(f"Revoked {args.device}. Footage that its keys signed and that waits is refused, too.")
    return 0


def run_unlock(args: argparse.Namespace) -> int:
    """Unlock; the next renewal with its key is accepted."""
    _change(args, "enrolled", "device:unlock")
    print(f"Unlocked {args.device}. Where two devices still have its identity, it locks again.")
    return 0


def _change(args: argparse.Namespace, state: DeviceState, action: str) -> None:
    device = check_device(args.device)

    async def changing() -> None:
        async with _catalog() as catalog, catalog.transaction() as connection:
            now_ms = utc_ms()
            before, after = await change_device_state(connection, device, state, now_ms)
            entry = cli_origin(args.reason).entry(
                now_ms, action, device, before=before.audited(), after=after.audited()
            )
            await write_audit(connection, entry)

    asyncio.run(changing())


def _time(at_ms: int) -> str:
    return f"{format_ms(at_ms)[:19]}Z"

"""`vigil device command`: ask a device for something now, and print its answer."""

import argparse
import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import uuid4

from cli.audit_origin import cli_origin, current_user
from domain.commands import COMMAND_RULES, PEOPLE_KINDS, CommandKind, concerns_site, refusal
from domain.device_identity import check_device
from domain.errors import ConfigError
from domain.events import EdgeCommand
from domain.identity import check_camera, site_of
from domain.printable import printable
from domain.times import utc_ms
from stores.catalog import Catalog, edge_commands
from stores.catalog.audit import write_audit
from stores.catalog.edge_commands import CommandAnswer, StoredCommand
from streams.sender import KafkaSender
from streams.settings import get_settings
from streams.storage import admin_catalog

_POLL_S = 0.1
_MARGIN_MS = 2_000
"""After its deadline, a link worker marks a command as expired."""


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `device command`."""
    parser = verbs.add_parser(
        "command", help="ask a connected device for something now, and print its answer"
    )
    parser.add_argument("device", metavar="TENANT/SITE/DEVICE")
    parser.add_argument("kind", choices=[kind.value for kind in PEOPLE_KINDS])
    parser.add_argument("--camera", metavar="TENANT/SITE/CAMERA", help="camera of the snapshot")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="new file for the snapshot or the bundle"
    )
    parser.add_argument("--reason", default="", help="why, for the audit log")
    parser.set_defaults(run=run_command)


def run_command(args: argparse.Namespace) -> int:
    """Send the command and wait for its answer; 1: it failed, or there was none."""
    kind = CommandKind(args.kind)
    device = check_device(args.device)
    camera = None if args.camera is None else check_camera(args.camera)
    rule = COMMAND_RULES[kind]
    if rule.names_camera != (camera is not None):
        raise ConfigError(f"{kind} {'needs' if rule.names_camera else 'takes no'} --camera.")
    if not concerns_site(device, camera):
        raise ConfigError(f"{camera} is not a camera of the site {site_of(device)}.")
    if rule.body_type is not None and args.out is None:
        raise ConfigError(f"{kind} needs --out FILE.")
    if args.out is not None and args.out.exists():
        raise ConfigError(f"{args.out} already exists: choose another name with --out.")
    answer, body = asyncio.run(_give(device, kind, camera, args.reason))
    print(f"{answer.state}: {printable(answer.detail)}")
    if answer.result is not None:
        print(json.dumps(answer.result, indent=1))
    if body is not None and args.out is not None:
        args.out.write_bytes(body)
        print(f"{args.out} written ({len(body)} bytes).")
    return 0 if answer.state == "answered" else 1


async def _give(
    device: str, kind: CommandKind, camera: str | None, reason: str
) -> tuple[StoredCommand, bytes | None]:
    settings = get_settings()
    async with AsyncExitStack() as stack:
        catalog = await stack.enter_async_context(admin_catalog(settings))
        if not await edge_commands.device_exists(catalog, device):
            raise ConfigError(f"There is no device {device}; `vigil device list` shows them.")
        sender = await stack.enter_async_context(KafkaSender(settings))
        now_ms = utc_ms()
        command = EdgeCommand(
            device=device,
            id=uuid4().hex,
            kind=kind.value,
            camera=camera,
            sent_ms=now_ms,
            deadline_ms=now_ms + COMMAND_RULES[kind].timeout_ms,
        )
        principal = f"cli:{current_user()}"
        async with catalog.transaction() as connection:
            load = await edge_commands.command_load(connection, device, principal, now_ms)
            if (text := refusal(load)) is not None:
                raise ConfigError(text)
            await edge_commands.add_command(connection, command, principal, principal)
            entry = cli_origin(reason).entry(
                now_ms,
                f"device:{kind}",
                camera or site_of(device),
                after={"device": device, "command": command.id},
            )
            await write_audit(connection, entry)
        await sender.send(command)
        return await _answer(catalog, command)


async def _answer(catalog: Catalog, command: EdgeCommand) -> tuple[StoredCommand, bytes | None]:
    while True:
        found = await edge_commands.get_command(catalog, command.device, command.id)
        assert found is not None
        if found.state != "sent":
            break
        if utc_ms() > command.deadline_ms + _MARGIN_MS:
            expired = CommandAnswer("expired", "There was no answer in time.")
            found = await _expired(catalog, command, expired)
            break
        await asyncio.sleep(_POLL_S)
    body = await edge_commands.get_command_body(catalog, command.device, command.id)
    return found, None if body is None else body[0]


async def _expired(catalog: Catalog, command: EdgeCommand, answer: CommandAnswer) -> StoredCommand:
    """Mark what no link worker has marked: there is none."""
    await edge_commands.finish_command(
        catalog, command.id, command.device, answer, command.deadline_ms - 1
    )
    found = await edge_commands.get_command(catalog, command.device, command.id)
    assert found is not None
    return found

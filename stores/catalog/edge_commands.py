"""Commands to devices and their answers, and which devices are connected."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from domain.commands import (
    BODY_KEPT_MS,
    MINUTE_MS,
    ROW_KEPT_MS,
    CommandKind,
    CommandLoad,
    CommandState,
)
from domain.events import EdgeCommand
from domain.identity import site_of
from stores.catalog.link_workers import GONE_S
from stores.catalog.pool import Catalog, Connection, sql


@dataclass(frozen=True, slots=True)
class StoredCommand:
    """A command as the catalog has it."""

    id: str
    device: str
    kind: CommandKind
    camera: str | None
    principal: str
    sent_by: str
    sent_ms: int
    deadline_ms: int
    state: CommandState
    """As stored: see domain/commands.py, `state_at`."""
    done_ms: int | None
    detail: str
    result: dict[str, Any] | None
    body_type: str | None
    body_bytes: int | None


@dataclass(frozen=True, slots=True)
class CommandAnswer:
    """What a device answered."""

    state: CommandState
    detail: str
    result: dict[str, Any] | None = None
    body: bytes | None = None
    body_type: str | None = None


@dataclass(frozen=True, slots=True)
class EdgeLink:
    """A device that is connected now."""

    device: str
    worker: str
    software: str
    since_ms: int


# -- commands


async def command_load(
    connection: Connection, device: str, principal: str, now_ms: int
) -> CommandLoad:
    """Return what the bounds count. No one else counts them until the transaction ends."""
    await connection.execute(sql("lock_edge_device"), device, principal)
    row = await connection.fetchrow(
        sql("count_edge_commands"), device, principal, now_ms, now_ms - MINUTE_MS
    )
    assert row is not None
    return CommandLoad(**dict(row))


async def add_command(
    connection: Connection, command: EdgeCommand, principal: str, sent_by: str
) -> None:
    """Add a command that is about to be sent."""
    await connection.execute(
        sql("add_edge_command"),
        *(command.id, command.device, command.kind, command.camera),
        *(principal, sent_by, command.sent_ms, command.deadline_ms),
    )


async def finish_command(
    catalog: Catalog, command: str, device: str, answer: CommandAnswer, now_ms: int
) -> CommandKind | None:
    """Store an answer. Returns the kind; None: it was not open, or its deadline is over."""
    row = await catalog.row(
        "finish_edge_command",
        *(command, device, answer.state, now_ms, answer.detail),
        *(answer.result, answer.body, answer.body_type),
    )
    return None if row is None else CommandKind(row["kind"])


async def open_commands(catalog: Catalog, device: str, now_ms: int) -> list[EdgeCommand]:
    """Return what a device has to answer yet, the oldest first."""
    rows = await catalog.rows("open_edge_commands", device, now_ms)
    return [EdgeCommand(**dict(row)) for row in rows]


async def expire_commands(catalog: Catalog, now_ms: int) -> list[CommandKind]:
    """Mark the commands whose deadline is over; return their kinds."""
    return [CommandKind(row["kind"]) for row in await catalog.rows("expire_edge_commands", now_ms)]


async def delete_old_commands(catalog: Catalog, now_ms: int) -> None:
    """Delete old bodies and old rows."""
    async with catalog.transaction() as connection:
        await connection.execute(
            sql("delete_old_edge_commands"), now_ms - ROW_KEPT_MS, now_ms - BODY_KEPT_MS
        )


async def finished_commands(catalog: Catalog, commands: Sequence[str]) -> list[str]:
    """Return which of these commands wait for no answer any more."""
    rows = await catalog.rows("finished_edge_commands", list(commands))
    return [row["id"] for row in rows]


async def get_command(catalog: Catalog, device: str, command: str) -> StoredCommand | None:
    """Return a command of a device; None: it has none with this id."""
    row = await catalog.row("get_edge_command", command, device)
    return None if row is None else _stored(row)


async def get_command_body(catalog: Catalog, device: str, command: str) -> tuple[bytes, str] | None:
    """Return the body of an answer and its media type; None: there is none, or no more."""
    row = await catalog.row("get_edge_command_body", command, device)
    return None if row is None or row["body"] is None else (row["body"], row["body_type"])


async def list_commands(
    catalog: Catalog, device: str, before: tuple[int, str] | None, limit: int
) -> list[StoredCommand]:
    """Return a device's commands, the newest first."""
    sent_ms, command = before or (1 << 62, "")
    return [
        _stored(row)
        for row in await catalog.rows("list_edge_commands", device, sent_ms, command, limit)
    ]


def _stored(row: Any) -> StoredCommand:
    values = dict(row)
    return StoredCommand(**{**values, "kind": CommandKind(values["kind"])})


# -- links


async def open_link(catalog: Catalog, device: str, worker: str, socket: str, software: str) -> None:
    """Store that a device has opened a socket, which takes the place of an older one."""
    async with catalog.transaction() as connection:
        await connection.execute(sql("open_edge_link"), device, worker, socket, software)


async def close_link(catalog: Catalog, device: str, socket: str) -> None:
    """Store that a socket was closed."""
    async with catalog.transaction() as connection:
        await connection.execute(sql("close_edge_link"), device, socket)


async def changed_links(
    catalog: Catalog, devices: Sequence[str], sockets: Sequence[str]
) -> dict[str, bool]:
    """Return the devices whose row has another socket (true), and those without a row (false)."""
    rows = await catalog.rows("changed_edge_links", devices, sockets)
    return {row["device"]: row["overtaken"] for row in rows}


async def list_links(catalog: Catalog, site: str | None = None) -> list[EdgeLink]:
    """Return the devices that are connected now, of one site or all, by id."""
    rows = await catalog.rows("list_edge_links", site, timedelta(seconds=GONE_S))
    return [EdgeLink(**dict(row)) for row in rows]


async def device_exists(catalog: Catalog, device: str) -> bool:
    """Return whether a device is known: it is connected, or it sent a heartbeat."""
    site, _, edge = device.rpartition("/")
    row = await catalog.row("edge_device_exists", device, site, edge)
    return row is not None and bool(row["exists"])


async def device_of_camera(catalog: Catalog, camera: str) -> str | None:
    """Return the device that records a camera, by the newest heartbeat; None: it is not known."""
    site = site_of(camera)
    row = await catalog.row("device_of_camera", site, [{"camera": camera}])
    return None if row is None else f"{site}/{row['edge']}"

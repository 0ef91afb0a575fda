"""`vigil edge discover`: search, read every device, print a table, write a draft."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from domain.errors import ConfigError
from edge_bridge.discovery.draft import DraftCamera, Secrets, profile_label, render
from edge_bridge.discovery.onvif import DeviceDescription, read_device
from edge_bridge.discovery.search import GROUP, DiscoveredDevice, device_at, search
from edge_bridge.discovery.soap import Login

_AT_ONCE = 8
_PIPE_WIDTH = 200
DEVICE_S = 20.0
"""Seconds that one device may take for all calls together."""


@dataclass(frozen=True, slots=True)
class DiscoveryRequest:
    """Which devices to read, and how long it may take."""

    interface: str | None = None
    devices: tuple[str, ...] = ()
    """Addresses from the operator; where there are any, the network is not searched."""
    search_s: float = 4.0
    device_s: float = DEVICE_S
    group: tuple[str, int] = GROUP


async def discover(request: DiscoveryRequest, login: Login | None) -> list[DeviceDescription]:
    """Return all devices in the order of their addresses; each carries its own error.

    Raises ConfigError where the network cannot be searched.
    """
    if request.devices:
        found = [device_at(address) for address in request.devices]
    else:
        found = await search(request.interface, request.search_s, request.group)
    limit = asyncio.Semaphore(_AT_ONCE)

    async def read(one: DiscoveredDevice) -> DeviceDescription:
        async with limit:
            return await read_device(one, login, request.device_s)

    return list(await asyncio.gather(*(read(one) for one in found)))


def print_table(devices: Sequence[DeviceDescription], found: Sequence[DraftCamera]) -> None:
    """Print a line for each stream, and one for each device's error."""
    table = Table(box=None, pad_edge=False)
    for title in ("device", "camera", "stream", "address"):
        table.add_column(title, overflow="fold")
    for device in devices:
        about = escape(" ".join(part for part in (device.host, device.model) if part))
        for camera in (one for one in found if one.device is device):
            table.add_row(
                about, camera.id, escape(profile_label(camera.main)), escape(camera.main.url)
            )
            for other in camera.others:
                table.add_row("", "", escape(profile_label(other)), escape(other.url))
            about = ""
        if device.fault:
            table.add_row(about, "[red]bad[/]", "", escape(device.fault))
    console = Console(highlight=False)
    if not console.is_terminal:  # into a file or a pipe: addresses are not wrapped
        console.width = _PIPE_WIDTH
    console.print(table)


def write_draft(
    path: Path, found: Sequence[DraftCamera], site: str, edge: str, secrets: Secrets
) -> None:
    """Write the draft to a new file; raises ConfigError, also where the file exists."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(render(found, site, edge, secrets))
    except FileExistsError:
        raise ConfigError(
            f"{path} already exists and is not overwritten: choose another file with --out."
        ) from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}.") from error

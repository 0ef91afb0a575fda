"""How long one tenant waits while another one floods the same web worker.

acme    ──► many connections, as fast as they are answered ──┐
                                                             ├──► web worker ──► PostgreSQL
globex  ──► a few people, who open cameras and timelines ─┘

Measured are globex's times, in turn without and with the flood. Once each key has the bound of
requests a second that an installation has, and once it has none: then fair queues are all there is.
"""

import argparse
import asyncio
import os
import statistics
from pathlib import Path
from typing import Any

from bench.api import CAMERAS, HOUR_MS, fill, servers
from bench.http_load import LoadResult, load
from domain.access import Grant, Role
from domain.times import utc_ms
from harness.environment import own_services, say
from local.ports import HOST
from stores.catalog import Catalog, migrate
from stores.catalog.keys import create_key
from streams.settings import get_settings

PEOPLE = 4
PAUSE_S = 0.05
"""How long each of them waits between an answer and the next request."""
BOUNDS = {"unbounded": 0, "bounded": 100}
"""Requests a second of one key, by the figures' names; the second is the setting's default."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the bench's options."""
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each (default 5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of a round (default 3)")
    parser.add_argument("--flood", type=int, default=32, help="its connections (default 32)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Fill a catalog, then ask without and with the flood."""
    with own_services("flood") as (_, scratch):
        return asyncio.run(_measure(scratch, arguments))


async def _measure(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    dsn = get_settings().database_url.get_secret_value()
    await migrate(dsn)
    now_ms = utc_ms()
    async with Catalog(dsn, size=1) as catalog:
        start_ms = await fill(catalog, now_ms)
        keys = {
            tenant: await create_key(catalog, tenant, now_ms, None, [Grant(Role.VIEWER, tenant)])
            for tenant in ("acme", "globex")
        }
    span = f"from={start_ms}&to={start_ms + HOUR_MS}"
    paths = {
        tenant: [
            f"/api/v1/cameras/{tenant}/hq/{number:02}{suffix}"
            for number in range(CAMERAS)
            for suffix in ("", f"/timeline?{span}")
        ]
        for tenant in keys
    }
    figures: dict[str, Any] = {"flood_connections": arguments.flood}
    for name, bound in BOUNDS.items():
        async with servers(folder / name, dsn, now_ms, bound) as (port, _):

            async def people(port: int = port) -> LoadResult:
                return await load(
                    *(HOST, port, paths["globex"], keys["globex"]),
                    connections=PEOPLE,
                    seconds=arguments.seconds,
                    pause_s=PAUSE_S,
                )

            async def flood(port: int = port) -> LoadResult:
                return await load(
                    *(HOST, port, paths["acme"], keys["acme"]),
                    connections=arguments.flood,
                    seconds=arguments.seconds,
                )

            await people()  # warms up
            while bound and not (await flood()).refused:
                pass  # until its burst is used up
            quiet, flooded, sent = [], [], []
            refused = 0
            for _ in range(arguments.rounds):
                alone = await people()
                together, other = await asyncio.gather(people(), flood())
                if alone.refused or together.refused:
                    raise RuntimeError("Requests of the quiet tenant were refused.")
                quiet.append(alone)
                flooded.append(together)
                refused += other.refused
                sent.append((len(other.seconds) + other.refused) / arguments.seconds)
            for share in (0.5, 0.95):
                before, during = (
                    statistics.median(each.percentile_ms(share) for each in results)
                    for results in (quiet, flooded)
                )
                figures |= {
                    f"{name}_quiet_p{share * 100:.0f}_ms": round(before, 1),
                    f"{name}_flooded_p{share * 100:.0f}_ms": round(during, 1),
                }
            figures[f"{name}_p95_ratio"] = round(during / before, 2)
            figures[f"{name}_flood_per_s"] = round(statistics.median(sent))
            figures[f"{name}_flood_refused"] = refused
            say(f"{figures}")
    return figures | {"load": round(os.getloadavg()[0], 1)}

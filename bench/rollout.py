"""Rollouts of updates over a fleet of 20: who gets what when, and what a bad version reaches.

The 20 recorders are simulated: processes that exchange the image's digest. Rules, catalog,
reconciler and agents are the product's. See harness/update_fleet.py. Polls, soak times and the
health gate are seconds here. So the times say what follows what, not how long it takes.
"""

import argparse
import asyncio
import os
from collections.abc import Sequence
from typing import Any

from domain.fleet.rings import RINGS
from harness.environment import own_services, say
from harness.update_fleet import RolloutOutcome, UpdateFleet
from stores.catalog import Catalog, migrate

FAULTS = (
    "", "odd", "crashes", "records-nothing", "cannot-upload", "corrupt", "wrong-signature", "",
)  # fmt: skip
"""One version after the other. `odd`: it crashes on one device of the ring canary only."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the bench's options."""
    parser.add_argument(
        "--fault", action="append", choices=sorted({each for each in FAULTS if each}), default=[],
        help="only versions with these faults, between two good ones (repeatable)",
    )  # fmt: skip
    parser.add_argument(
        "--events", action="store_true", help="also a line for each device's change of state"
    )


def run(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Bring one version after the other to the fleet."""
    faults = ("", *arguments.fault, "") if arguments.fault else FAULTS
    with own_services("rollout") as (_, scratch):
        dsn = os.environ["VIGIL_DATABASE_URL"]

        async def measure() -> list[dict[str, Any]]:
            await migrate(dsn)
            async with Catalog(dsn, size=16) as catalog:
                fleet = UpdateFleet(catalog, scratch / "fleet", say)
                async with fleet.running():
                    return await _all(fleet, faults, with_events=arguments.events)

        return asyncio.run(measure())


async def _all(
    fleet: UpdateFleet, faults: Sequence[str], *, with_events: bool
) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for fault in faults:
        say(f"a version {f'with the fault {fault}' if fault else 'that works'}")
        outcome = await fleet.roll_out(fault)
        lines.append(figures(outcome))
        if with_events:
            lines += outcome.events
    return lines


def figures(outcome: RolloutOutcome) -> dict[str, Any]:
    """Return one line: how far a version came, and what the devices record after it."""
    began = {each["device"]: each["ring"] for each in outcome.events if each["state"] in _CHANGED}
    return {
        "release": outcome.number,
        "fault": outcome.fault or "none",
        "rollout": outcome.state,
        "why": outcome.reason,
        "devices_that_installed": len(began),
        "rings_reached": sorted(set(began.values()), key=RINGS.index),
        "states": outcome.states,
        "recording": outcome.recording,
        "rollout_s": round(outcome.seconds, 1),
    }


_CHANGED = ("installing", "checking", "succeeded", "returned")

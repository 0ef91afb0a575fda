"""A fleet of devices that follow rollouts: real rules, catalog and agents; recorders are processes.

    20 recorders (processes of harness/simulated_recorder.py, with a health port and footage)
       ▲ each is switched by
    20 update agents (edge_bridge/update/agent.py, in one process)
       ▲ exchange                          │ reports
    stores/catalog/device_updates.py, and the reconciler, on a real PostgreSQL

Not here: containers, TLS, the recorders themselves. Times are shortened: a soak of a second.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.audit import BY_SYSTEM
from domain.device_identity import key_id
from domain.fleet.messages import DeviceUpdateReport, UpdateAnswer
from domain.fleet.release import default_oldest, release_from, sign_release
from domain.fleet.rollout import RolloutRules
from domain.site_file.model import MaintenanceWindow, Ring
from domain.times import utc_ms
from edge_bridge.update.agent import AgentTimes, UpdateAgent, UpdateDevice
from harness.process_runtime import ProcessRuntime, make_image
from stores.catalog import Catalog
from stores.catalog.device_updates import exchange_update
from stores.catalog.fleet import list_fleet, set_update_policy
from stores.catalog.pool import sql
from stores.catalog.releases import add_release, find_release, list_releases
from stores.catalog.rollouts import (
    StoredRollout,
    change_rollout,
    get_rollout,
    reconcile_rollout,
    start_rollout,
)
from stores.catalog.tenants import ensure_site

HARDWARE = "x86-64"
POLL_S = 1.0
RECONCILE_S = 0.5
TIMES = AgentTimes(
    gate_s=15.0, steady_s=1.0, check_every_s=0.5, report_every_s=3.0, longest_poll_s=POLL_S
)
"""A gate of 15 s in place of 5 minutes."""
RULES = RolloutRules.model_validate(
    {
        ring: {"success_percent": percent, "error_percent": error, "soak_ms": 1_000}
        for ring, percent, error in (
            ("lab", 100, 0), ("canary", 100, 0), ("early", 90, 5), ("rest", 90, 5),
        )
    }
)  # fmt: skip
SITES: tuple[tuple[str, Ring, int], ...] = (
    ("acme/lab", "lab", 2),
    *((f"acme/canary-{number}", "canary", 1) for number in range(3)),
    *((f"acme/store-{number:02}", "rest", 1) for number in range(15)),
)
"""Site, ring, devices: 20 in all, of which a tenth of the last 15 is drawn to be early."""
ODD = "acme/canary-1/edge-1"
"""A device of an odd hardware revision, which the laboratory does not have."""
ALWAYS = MaintenanceWindow.model_validate({"from": "00:00", "to": "00:00"})


@dataclass
class FleetMember:
    """One device: its recorder's process and its agent."""

    name: str
    runtime: ProcessRuntime
    agent: UpdateAgent
    asked: int = 0


@dataclass
class RolloutOutcome:
    """How a rollout ended. `events`: who got what when, seconds after its start."""

    number: int
    fault: str
    state: str
    reason: str
    seconds: float
    states: dict[str, int]
    events: list[dict[str, Any]]
    recording: dict[str, int]
    """Devices by the release that their newest footage is of."""


class _CatalogCentre:
    """The centre as an agent asks it, without the network between."""

    def __init__(self, catalog: Catalog, device: str) -> None:
        self._catalog = catalog
        self._device = device

    async def exchange(self, report: DeviceUpdateReport) -> UpdateAnswer:
        """Do what the devices' address does."""
        return await exchange_update(self._catalog, self._device, report, utc_ms())


@dataclass
class UpdateFleet:
    """The fleet. `running` starts it; `roll_out` brings a release to it."""

    catalog: Catalog
    folder: Path
    say: Callable[[str], None] = lambda _: None
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    members: list[FleetMember] = field(default_factory=list)
    images: dict[str, int] = field(default_factory=dict)
    """Release by image."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator["UpdateFleet"]:
        """Enrol the devices, start their recorders with release 1, then agents and reconciler."""
        await self._add_release(1, "", self.key)
        first = next(iter(self.images))
        for site, ring, count in SITES:
            for number in range(1, count + 1):
                await self._enrol(f"{site}/edge-{number}", site, ring, first)
        tasks = [asyncio.create_task(self._reconcile())]
        tasks += [asyncio.create_task(self._follow(member)) for member in self.members]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for member in self.members:
                await member.runtime.stop()

    async def roll_out(self, fault: str = "", *, within_s: float = 240.0) -> RolloutOutcome:
        """Release a version with a fault, start its rollout, and wait until it ends or halts.

        A halted one is rolled back, and the outcome is of after that. Faults are those of a
        simulated recorder, `corrupt`, `odd` (crashes on one device) and `wrong-signature`.
        """
        async with self.catalog.transaction() as connection:
            number = max(each.number for each in await list_releases(connection)) + 1
        key = Ed25519PrivateKey.generate() if fault == "wrong-signature" else self.key
        await self._add_release(number, fault, key)
        began_s = time.monotonic()
        async with self.catalog.transaction() as connection:
            rollout = await start_rollout(
                connection,
                await find_release(connection, str(number)),
                RULES,
                now_ms=utc_ms(),
                by="bench",
            )
        events: list[dict[str, Any]] = []
        seen: dict[str, str] = {}
        ended = await self._wait(rollout, began_s, within_s, events, seen)
        reason = ended.reason
        state = ended.state
        if state == "halted":
            async with self.catalog.transaction() as connection:
                await change_rollout(
                    connection, rollout.id, "rollback", now_ms=utc_ms(), why="it halted"
                )
            await self._wait(rollout, began_s, within_s, events, seen)
        return RolloutOutcome(
            number,
            fault,
            state,
            reason,
            time.monotonic() - began_s,
            _counted(seen.values()),
            events,
            await self.recording(),
        )

    async def recording(self) -> dict[str, int]:
        """Return how many devices record now, by the release that writes the footage."""
        for member in self.members:
            await asyncio.to_thread((member.runtime.folder / "footage").unlink, missing_ok=True)
        deadline_s = time.monotonic() + 20
        found: dict[str, str] = {}
        while len(found) < len(self.members) and time.monotonic() < deadline_s:
            await asyncio.sleep(0.1)
            for member in self.members:
                image = member.runtime.recorded_image()
                if image is not None:
                    found[member.name] = f"release {self.images[image]}"
        return _counted([*found.values(), *["nothing"] * (len(self.members) - len(found))])

    async def _wait(
        self,
        rollout: StoredRollout,
        began_s: float,
        within_s: float,
        events: list[dict[str, Any]],
        seen: dict[str, str],
    ) -> StoredRollout:
        """Wait for the end or a halt; note each device's change of state."""
        deadline_s = time.monotonic() + within_s
        while True:
            async with self.catalog.transaction() as connection:
                now = await get_rollout(connection, rollout.id)
                devices = await list_fleet(connection, ["*"], rollout.id)
            assert now is not None
            for each in devices:
                if each.state is not None and seen.get(each.device) != each.state:
                    seen[each.device] = each.state
                    events.append(
                        {
                            "at_s": round(time.monotonic() - began_s, 1),
                            "release": rollout.release,
                            "device": each.device,
                            "ring": each.ring,
                            "state": each.state,
                            "reason": each.reason or "",
                        }
                    )
            if now.state in ("finished", "halted", "rolled-back"):
                return now
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"rollout {now.id} is still {now.state}: {now.reason}")
            await asyncio.sleep(0.1)

    async def _add_release(self, number: int, fault: str, key: Ed25519PrivateKey) -> None:
        image = make_image(self.folder / "registry", f"2.{number}.0", fault)
        self.images[image] = number
        async with self.catalog.transaction() as connection:
            usable = [
                each.number for each in await list_releases(connection) if each.withdrawn_ms is None
            ]
        release = release_from(
            {
                "number": number,
                "version": f"2.{number}.0",
                "oldest": default_oldest(number, usable),
                "targets": {HARDWARE: {"image": image}},
            }
        )
        await add_release(
            self.catalog,
            sign_release(key, release),
            now_ms=utc_ms(),
            by="bench",
            note=fault,
            origin=BY_SYSTEM,
        )

    async def _enrol(self, device: str, site: str, ring: Ring, image: str) -> None:
        now_ms = utc_ms()
        public = hashlib.sha256(device.encode()).digest()
        async with self.catalog.transaction() as connection:
            await ensure_site(connection, site, now_ms)
            await connection.execute(
                sql("put_enrolled_device"), device, 1, key_id(public), "", "0" * 32, now_ms,
                now_ms + 86_400_000,
            )  # fmt: skip
        await set_update_policy(self.catalog, site, ring, ALWAYS, now_ms)
        folder = self.folder / device.replace("/", "-")
        folder.mkdir(parents=True)
        if device == ODD:
            (folder / "odd").touch()
        runtime = ProcessRuntime(folder, self.folder / "registry")
        await runtime.pull(image)
        await runtime.switch(image)
        agent = UpdateAgent(
            UpdateDevice(HARDWARE, folder / "agent", [self.key.public_key().public_bytes_raw()]),
            _CatalogCentre(self.catalog, device),
            runtime,
            times=TIMES,
        )
        self.members.append(FleetMember(device, runtime, agent))

    async def _follow(self, member: FleetMember) -> None:
        await member.agent.resume()
        while True:
            delay_s = await member.agent.step()
            member.asked += 1
            await asyncio.sleep(delay_s)

    async def _reconcile(self) -> None:
        shown = ""
        while True:
            decision = await reconcile_rollout(self.catalog, utc_ms())
            if decision is not None and decision.reason != shown:
                shown = decision.reason
                self.say(f"{decision.step}: {decision.reason}")
            await asyncio.sleep(RECONCILE_S)


def _counted(values: Any) -> dict[str, int]:
    counts: dict[str, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    return dict(sorted(counts.items()))

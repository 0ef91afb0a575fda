"""The link with many devices: what it costs, how fast commands are answered, a worker killed.

    1,000 devices ──TLS, certificates──► 2 link workers ◄── Kafka ◄── commands at a steady rate
                                           └ kill -9 of one in the middle; it starts again later
    then 10 devices are revoked: when is the socket closed, and the last event accepted?

The devices are the edge's own client, all in the bench's process. What they cost is not counted.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import random
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from bench.link_devices import SITE, LinkFleet, enrol_fleet, make_link
from bench.link_revocation import RevocationBench
from domain.commands import COMMAND_RULES, CommandKind
from domain.errors import VigilError
from domain.events import EdgeCommand
from domain.times import utc_ms
from harness.environment import own_services, say
from harness.usage import Usage, usage
from local.certificates import make_pair
from local.folder import DataFolder
from local.ports import HOST, find_free
from local.program import Program, vigil, worker
from stores.catalog import Catalog, add_camera, migrate
from stores.catalog.edge_commands import add_command
from stores.catalog.link_workers import list_link_workers
from stores.device_ca import create_ca, read_ca
from streams.sender import KafkaSender
from streams.settings import get_settings
from streams.topic_admin import ensure
from streams.topics import TOPICS

PING_S = 5
"""Short, so that idle traffic is measured within the bench's time."""
IDLE_PINGS = 3
START_S = 60.0
REVOKED = 10
"""Devices that are revoked at the end."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the bench's options."""
    parser.add_argument("--devices", type=int, default=1_000, help="default 1000")
    parser.add_argument("--workers", type=int, default=2, help="link workers (default 2)")
    parser.add_argument("--rate", type=float, default=20, help="commands a second (default 20)")
    parser.add_argument("--seconds", type=int, default=20, help="of commands (default 20)")
    parser.add_argument("--seed", type=int, default=None, help="repeat a run's choices")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure; return the figures."""
    seed = arguments.seed if arguments.seed is not None else random.randrange(1 << 30)
    say(f"seed {seed}")
    logging.getLogger("edge_bridge").setLevel(logging.CRITICAL)  # each device would log the kill
    with own_services("link") as (_, scratch):
        found = asyncio.run(LinkBench(scratch, arguments, random.Random(seed)).run())
    return {"seed": seed, "load": round(os.getloadavg()[0], 1)} | found


class LinkBench:
    """One run."""

    def __init__(self, folder: Path, arguments: argparse.Namespace, dice: random.Random) -> None:
        self._folder = folder
        self._arguments = arguments
        self._dice = dice
        self._programs: list[Program] = []
        self._fleet = LinkFleet([])

    async def run(self) -> dict[str, Any]:
        """Measure all phases."""
        ca_file, ca_key = self._folder / "ca.pem", self._folder / "ca.key"
        create_ca(ca_file, ca_key, "Bench", datetime.now(UTC))
        authority, pair = make_pair(HOST)
        server_ca, server = self._folder / "server-ca.pem", self._folder / "server.pem"
        server_ca.write_bytes(authority)
        server.write_bytes(pair)
        self._make_programs(ca_file, ca_key, server)
        settings = get_settings()
        await migrate(settings.database_url.get_secret_value())
        await ensure(TOPICS, settings=settings)
        async with (
            Catalog(settings.database_url.get_secret_value(), size=4) as catalog,
            KafkaSender(settings) as sender,
        ):
            try:
                for program in self._programs:
                    await asyncio.to_thread(program.launch)
                await self._until(lambda: self._alive(catalog, len(self._programs)), START_S)
                ca = read_ca(ca_file, ca_key)
                contexts, keys = await enrol_fleet(
                    catalog, self._arguments.devices, self._folder, ca, server_ca
                )
                found = await self._measure(catalog, sender, contexts)
                await add_camera(catalog, f"{SITE}/gate", "Gate", utc_ms())
                return found | {"revoked": await self._revoke(catalog, contexts, keys)}
            finally:
                await self._fleet.stop()
                for program in self._programs:
                    await asyncio.to_thread(program.process.stop)

    def _make_programs(self, ca_file: Path, ca_key: Path, server: Path) -> None:
        data = DataFolder(self._folder / "processes")
        data.open(fresh=False)
        ports: list[int] = []
        for number in range(self._arguments.workers):
            ports.append(find_free(set(ports)))
            env = {
                **os.environ,
                "VIGIL_DATA_DIR": str(self._folder / "state"),
                "VIGIL_WORKER_INSTANCE": str(number),
                "VIGIL_DEVICE_HOST": HOST,
                "VIGIL_DEVICE_PORT": str(ports[-1]),
                "VIGIL_DEVICE_CA_CERTIFICATE_FILE": str(ca_file),
                "VIGIL_DEVICE_CA_KEY_FILE": str(ca_key),
                "VIGIL_DEVICE_TLS_CERTIFICATE_FILE": str(server),
                "VIGIL_DEVICE_TLS_KEY_FILE": str(server),
                "VIGIL_LINK_SECRET": "bench" * 8,
                "VIGIL_LINK_PING_S": str(PING_S),
                "VIGIL_CONNECTIONS_PER_ADDRESS": "10000",
            }
            self._programs.append(Program(f"device-{number}", worker("web.device.app"), data, env))
        self._fleet.urls = [f"https://{HOST}:{port}" for port in ports]

    async def _measure(
        self, catalog: Catalog, sender: KafkaSender, contexts: dict[str, Any]
    ) -> dict[str, Any]:
        empty = self._usage()
        began_s = time.monotonic()
        for name, context in contexts.items():
            self._fleet.start(make_link(name, context, self._fleet.urls, self._dice))
            await asyncio.sleep(0.005)
        await self._until(self._all_connected, START_S)
        connect_s = time.monotonic() - began_s
        say(f"{len(contexts)} devices connected in {connect_s:.1f} s")
        await asyncio.sleep(1)
        idle_from, at_s = self._usage(), time.monotonic()
        await asyncio.sleep(PING_S * IDLE_PINGS)
        idle_to, idle_s = self._usage(), time.monotonic() - at_s
        devices = list(contexts)
        at_s = time.monotonic()
        given = await self._give(catalog, sender, devices, None)
        busy_to, busy_s = self._usage(), time.monotonic() - at_s
        steady = await self._outcome(catalog, given)
        say(f"steady: {steady}")
        back: dict[str, float] = {}
        given = await self._give(catalog, sender, devices, back)
        with contextlib.suppress(VigilError):
            await self._until(self._all_connected, START_S)
        killed = await self._outcome(catalog, given)
        say(f"one worker killed: {killed}")
        return {
            "devices": len(devices),
            "workers": len(self._programs),
            "connect_s": round(connect_s, 1),
            "memory_mib": round(idle_to.memory_mib),
            "kib_per_device": round(
                (idle_to.memory_mib - empty.memory_mib) * 1_024 / len(devices), 1
            ),
            "files": idle_to.files,
            "idle_cpu_percent": round((idle_to.cpu_s - idle_from.cpu_s) / idle_s * 100, 1),
            "idle_ping_s": PING_S,
            "busy_cpu_percent": round((busy_to.cpu_s - idle_to.cpu_s) / busy_s * 100, 1),
            "commands_per_s": self._arguments.rate,
            "steady": steady,
            "killed": killed | {name: round(value, 1) for name, value in back.items()},
        }

    async def _revoke(
        self, catalog: Catalog, contexts: dict[str, Any], keys: dict[str, Any]
    ) -> dict[str, Any]:
        """Measure how soon some devices are refused, at the link and at a relay."""
        count = min(REVOKED, len(keys))
        data = DataFolder(self._folder / "relay")
        data.open(fresh=False)
        env = {**os.environ, "VIGIL_DATA_DIR": str(self._folder / "relay-state")}
        relay = Program("relay", vigil("relay", "run"), data, env)
        await asyncio.to_thread(relay.launch)
        try:
            links = dict(zip(contexts, self._fleet.links, strict=True))
            chosen = {name: keys[name] for name in list(keys)[:count]}
            found = await RevocationBench(get_settings(), catalog, chosen, links).run()
        except VigilError as error:
            raise VigilError(f"{error}\n{relay.process.tail(10)}") from error
        finally:
            await asyncio.to_thread(relay.process.stop)
        say(f"revoked: {found}")
        return found

    async def _give(
        self,
        catalog: Catalog,
        sender: KafkaSender,
        devices: list[str],
        back: dict[str, float] | None,
    ) -> list[str]:
        """Give commands at the rate; with `back`, kill a worker after a third of the time."""
        given: list[str] = []
        count = round(self._arguments.rate * self._arguments.seconds)
        began_s = time.monotonic()
        watch: asyncio.Task[None] | None = None
        for number in range(count):
            if back is not None and watch is None and number >= count // 3:
                watch = asyncio.create_task(self._kill(back))
            now_ms = utc_ms()
            command = EdgeCommand(
                device=self._dice.choice(devices),
                id=uuid4().hex,
                kind="clock-check",
                sent_ms=now_ms,
                deadline_ms=now_ms + COMMAND_RULES[CommandKind.CLOCK_CHECK].timeout_ms,
            )
            async with catalog.transaction() as connection:
                await add_command(connection, command, "bench", "bench")
            await sender.send(command)
            given.append(command.id)
            wait_s = began_s + (number + 1) / self._arguments.rate - time.monotonic()
            await asyncio.sleep(max(0.0, wait_s))
        if watch is not None:
            await watch
        return given

    async def _kill(self, back: dict[str, float]) -> None:
        """Kill one worker, and measure when all its devices are connected to another one."""
        victim = self._programs[0]
        await asyncio.to_thread(victim.process.kill)
        self._fleet.urls.pop(0)  # the load balancer notices that
        began_s = time.monotonic()
        await asyncio.sleep(0.5)
        back["devices_moved"] = len(self._fleet.links) - self._fleet.connected
        await self._until(self._all_connected, START_S)
        back["devices_back_s"] = time.monotonic() - began_s

    async def _outcome(self, catalog: Catalog, given: list[str]) -> dict[str, Any]:
        """Wait until each command has its final state; return counts, and seconds of answers."""
        deadline_s = time.monotonic() + 25
        while True:
            async with catalog.transaction() as connection:
                rows = await connection.fetch(
                    "SELECT state, done_ms - sent_ms AS took_ms FROM edge_commands "
                    "WHERE id = ANY ($1)",
                    given,
                )
            states = [row["state"] for row in rows]
            if "sent" not in states or time.monotonic() > deadline_s:
                break
            await asyncio.sleep(0.2)
        took = sorted(row["took_ms"] for row in rows if row["state"] == "answered")
        cuts = statistics.quantiles(took, n=100, method="inclusive") if len(took) > 1 else [0] * 99
        return {
            "given": len(given),
            **{state: states.count(state) for state in ("answered", "failed", "expired")},
            "without_outcome": len(given) - len(states) + states.count("sent"),
            "p50_ms": round(cuts[49]),
            "p95_ms": round(cuts[94]),
            "p99_ms": round(cuts[98]),
        }

    def _usage(self) -> Usage:
        return usage(pid for each in self._programs if (pid := each.process.pid) is not None)

    def _all_connected(self) -> bool:
        return self._fleet.connected == len(self._fleet.links)

    async def _alive(self, catalog: Catalog, count: int) -> bool:
        return len(await list_link_workers(catalog)) >= count

    async def _until(self, condition: Any, within_s: float) -> None:
        deadline_s = time.monotonic() + within_s
        while True:
            found = condition()
            if await found if asyncio.iscoroutine(found) else found:
                return
            if time.monotonic() > deadline_s:
                tails = "\n".join(each.process.tail(5) for each in self._programs)
                raise VigilError(f"Not within {within_s:.0f} s. The workers' logs end so:\n{tails}")
            await asyncio.sleep(0.05)

"""Is anything lost or doubled, and how long does playback pause, while the chart is upgraded?

    cameras ──► S3, SQS ──► relay ×2 ──► assembler ×2, healer, joiner ×2, indexer ×2 ──► PostgreSQL
                            each a container that the chart describes; web ×2, link

All containers are replaced, one by one, as the chart's controllers do it: Deployments start the new
pod before the old one goes, StatefulSets stop the old pod first. Then the same back to the image
before. At the end every fragment must be in exactly one current chunk, byte for byte.

Needs an image of the cloud side (`make images`), podman, helm.
"""

import argparse
import asyncio
import contextlib
import os
import random
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from domain.errors import VigilError
from domain.times import utc_ms
from harness.background_tasks import background_tasks
from harness.chaos import invariants
from harness.chaos.pauses import Pauses
from harness.chaos.quiesce import Settling
from harness.chaos.synthetic_cameras import CALM, SyntheticCamera, Tally
from harness.chart_release import ChartRelease, remove_all
from harness.environment import SHORT_WINDOWS, say, services
from harness.event_feeder import Entrance
from local.images.chart import Manifest, Pod
from local.images.engine import Engine, find_engine
from stores.catalog import Catalog, add_camera
from stores.objects import ObjectStore
from streams.settings import Settings
from streams.storage import make_object_store

TENANT = "upgrade"
REPLICAS = {
    "relay": 2, "assembler": 2, "healer": 1, "joiner": 2, "indexer": 2, "web": 2, "link": 1,
}  # fmt: skip
"""Pods of each program. The order in which they are replaced."""
SETTINGS = {**SHORT_WINDOWS, "VIGIL_SESSION_TIMEOUT_S": "10"}
WINDOW_MS = int(SETTINGS["VIGIL_WINDOW_MS"])
READY_WITHIN_S = 180
SETTLE_WITHIN_S = 300
STEADY_S = 15
ASK_EVERY_S = 0.2
UNREADY_AFTER_S = 15.0
"""The chart's readiness probe: three failures, one each 5 s."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the bench's options."""
    parser.add_argument(
        "--image", default="localhost/vigil-cloud:dev", help="image of the cloud side"
    )
    parser.add_argument("--cameras", type=int, default=16, help="cameras (default 16)")
    parser.add_argument(
        "--replicas", type=int, choices=(1, 2), default=2,
        help="pods of relay, assembler, joiner, indexer and web (default 2)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, help="seed of the cameras (default: a new one)")
    parser.add_argument(
        "--bases", choices=("registry", "debian"), default=os.environ.get("BASES") or "registry",
        help="how the image was built: it says where it is kept",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run the upgrade and the roll-back; return what came out."""
    seed = random.SystemRandom().randrange(1 << 31) if arguments.seed is None else arguments.seed
    say(f"seed {seed}")
    engine = find_engine(arguments.bases)
    if not engine.has(arguments.image):
        raise VigilError(f"There is no image {arguments.image}: run make images.")
    with tempfile.TemporaryDirectory(prefix="vigil-upgrade-") as scratch:
        folder = Path(scratch)
        with services(folder / "stack", SETTINGS) as stack:
            release = ChartRelease(engine, stack, folder / "release", SETTINGS)
            replicas = {name: min(most, arguments.replicas) for name, most in REPLICAS.items()}
            upgrade = Upgrade(
                engine, release, arguments.image, arguments.cameras, seed, replicas=replicas
            )
            return asyncio.run(upgrade.run())


@dataclass
class Upgrade:
    """One installation that is upgraded and rolled back. Its services run already."""

    engine: Engine
    release: ChartRelease
    image: str
    cameras: int
    seed: int
    replicas: dict[str, int] = field(default_factory=lambda: dict(REPLICAS))
    report: Callable[[str], None] = say
    tally: Tally = field(default_factory=Tally)
    _pods: dict[str, list[Pod]] = field(default_factory=dict)
    _generation: int = 0

    async def run(self) -> dict[str, Any]:
        """Start, upgrade, roll back, wait until all is joined, and compare."""
        next_image = next_version(self.engine, self.image)
        settings = Settings()
        try:
            await self._install()
            async with contextlib.AsyncExitStack() as opened:
                enter = opened.enter_async_context
                store = await enter(make_object_store(settings))
                catalog = await enter(Catalog(settings.database_url.get_secret_value()))
                entrance = await enter(Entrance(settings))
                cameras = [self._camera(number, store, entrance) for number in range(self.cameras)]
                for camera in cameras:
                    await add_camera(catalog, camera.camera, camera.camera, 0, unsigned="accept")
                ending = asyncio.Event()
                recording = [asyncio.create_task(camera.record(ending)) for camera in cameras]
                await self._first_chunk(catalog)
                figures = await self._measured("steady", settings, self._wait_steady())
                figures |= await self._measured("upgrade", settings, self._replace_all(next_image))
                figures |= await self._measured("rollback", settings, self._replace_all(self.image))
                ending.set()
                await asyncio.gather(*recording)
                await entrance.drained()
                runs = [run for camera in cameras for run in camera.runs]
                settling = Settling(settings, time.monotonic(), SETTLE_WITHIN_S, self.report)
                await settling.no_lag(entrance)
                found = await settling.counted(catalog, runs)
                found.detections_lost = await invariants.detections_lost(
                    catalog, TENANT, self.tally.detections
                )
                await invariants.compared(catalog, store, runs, found)
                healed, dead = await settling.topics_say()
        finally:
            await asyncio.to_thread(
                remove_all, [pod for pods in self._pods.values() for pod in pods], self.report
            )
        for line in found.messages:
            self.report(line)
        return figures | {
            "seed": self.seed, "cameras": self.cameras, "pods": sum(self.replicas.values()),
            "fragments": self.tally.fragments,
            "chunks": found.chunks, "revisions": found.revisions, "lost": found.lost,
            "doubled": found.doubled, "unknown": found.unknown, "waiting": found.waiting,
            "gaps": found.gaps, "wrong_bytes": found.wrong_bytes,
            "disagreeing": found.disagreeing, "detections_lost": found.detections_lost,
            "healed": healed, "dead_letters": dead, "clean": found.clean and not dead,
            "load": round(os.getloadavg()[0], 1),
        }  # fmt: skip

    async def _install(self) -> None:
        await asyncio.to_thread(self.release.migrate, self.image)
        await self.release.create_logins()
        workloads = await asyncio.to_thread(self.release.manifests, self.image)
        for program, replicas in self.replicas.items():
            self._pods[program] = [
                self._pod(workloads[program], ordinal) for ordinal in range(replicas)
            ]
            for pod in self._pods[program]:
                await asyncio.to_thread(pod.start)
        for pods in self._pods.values():
            for pod in pods:
                await asyncio.to_thread(pod.wait_ready, READY_WITHIN_S)
        self.report("all programs are ready")

    async def _replace_all(self, image: str) -> None:
        """As `helm upgrade`: the migration first, then each program."""
        self._generation += 1
        await asyncio.to_thread(self.release.migrate, image)
        workloads = await asyncio.to_thread(self.release.manifests, image)
        for program, replicas in self.replicas.items():
            for ordinal in reversed(range(replicas)):
                took_s = await self._replace(program, workloads[program], ordinal)
                self.report(f"{program} {ordinal}: ready {took_s:.1f} s after its start")

    async def _replace(self, program: str, workload: Manifest, ordinal: int) -> float:
        old = self._pods[program][ordinal]
        stops_first = workload["kind"] == "StatefulSet"
        if stops_first:
            await self._delete(old)
        # Its folders and files are made with it: after the old one is gone.
        new = await asyncio.to_thread(self._pod, workload, ordinal)
        await asyncio.to_thread(new.start)
        self._pods[program][ordinal] = new
        try:
            took_s = await asyncio.to_thread(new.wait_ready, READY_WITHIN_S)
        finally:
            if not stops_first:
                await self._delete(old)
        return took_s

    async def _delete(self, pod: Pod) -> None:
        ended = await asyncio.to_thread(pod.stop)
        await asyncio.to_thread(pod.remove)
        if ended.code:
            raise VigilError(f"{pod.name} ended with {ended.code}:\n{ended.output}")

    def _pod(self, workload: Manifest, ordinal: int) -> Pod:
        suffix = "" if workload["kind"] == "StatefulSet" else f"{self._generation}-{ordinal}"
        return self.release.cluster.pod(workload, ordinal, suffix)

    async def _measured(self, name: str, settings: Settings, work: Any) -> dict[str, float]:
        began_s = time.monotonic()
        async with Pauses(settings) as pauses, self._watched_web() as web:
            await work
            await asyncio.sleep(2 * WINDOW_MS / 1000)  # what was late comes
            found = {**pauses.longest(), "longest_pause_web_s": round(web[0], 2)}
        self.report(f"{name}: {found}")
        found["took_s"] = round(time.monotonic() - began_s, 1)
        return {f"{name}_{figure}": value for figure, value in found.items()}

    @staticmethod
    async def _wait_steady() -> None:
        await asyncio.sleep(STEADY_S)

    @asynccontextmanager
    async def _watched_web(self) -> AsyncIterator[list[float]]:
        """Ask the web as its Service does: a pod that is ready. Keeps the longest pause."""
        longest = [0.0]

        async def watch() -> None:
            ready_s: dict[str, float] = {}
            last_s = time.monotonic()
            while True:
                for pod in list(self._pods["web"]):
                    if await asyncio.to_thread(pod.probe, "readinessProbe"):
                        ready_s[pod.name] = time.monotonic()
                    # A Service drops a pod only after some failures: a rebalance is shorter.
                    elif time.monotonic() - ready_s.get(pod.name, -UNREADY_AFTER_S) > (
                        UNREADY_AFTER_S
                    ) or not await asyncio.to_thread(pod.probe, "livenessProbe"):
                        continue
                    last_s = time.monotonic()
                    break
                longest[0] = max(longest[0], time.monotonic() - last_s)
                await asyncio.sleep(ASK_EVERY_S)

        async with background_tasks(watch()):
            yield longest

    async def _first_chunk(self, catalog: Catalog) -> None:
        deadline = time.monotonic() + READY_WITHIN_S
        while True:
            async with catalog.transaction() as connection:
                if await connection.fetchval("SELECT count(*) FROM chunks"):
                    return
            if time.monotonic() > deadline:
                tails = "\n".join(p.output(5) for pods in self._pods.values() for p in pods)
                raise VigilError(f"No chunk came within {READY_WITHIN_S} s.\n{tails}")
            await asyncio.sleep(1)

    def _camera(self, number: int, store: ObjectStore, entrance: Entrance) -> SyntheticCamera:
        return SyntheticCamera(
            camera=f"{TENANT}/site-{number // 16}/cam-{number:03}",
            dice=random.Random(f"{self.seed} camera {number}"),
            start_ms=utc_ms() - 3_600_000,
            pace_s=2.0,
            window_s=WINDOW_MS / 1000,
            chances=CALM,
            store=store,
            entrance=entrance,
            tally=self.tally,
        )


def next_version(engine: Engine, image: str) -> str:
    """Make an image with another digest and the same programs; return its name."""
    name = f"{image}-next"
    container = engine.buildah("from", "--pull-never", image).strip()
    engine.buildah("config", "--label", "org.opencontainers.image.version=next", container)
    engine.buildah("commit", "--quiet", "--format", "docker", container, name)
    engine.buildah("rm", container)
    return name

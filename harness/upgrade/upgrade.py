"""Is anything lost or doubled, and how long does playback pause, while the chart is upgraded?

    cameras ──► S3, SQS ──► relay ×2 ──► assembler ×2, healer, joiner ×2, indexer ×2 ──► PostgreSQL
                            each a container that the chart describes; web ×2, link

All containers are replaced, one by one, as the chart's controllers do it: Deployments start the new
pod before the old one goes, StatefulSets stop the old pod first. Then the same back to the image
before, without a migration. At the end every fragment must be in exactly one current chunk, byte
for byte.

`--before` names an older image. Without it the two have the same programs and different digests.
Needs an image of the cloud side (`make images`), podman, helm.
"""

import argparse
import asyncio
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
from harness.background_tasks import background_tasks
from harness.chaos.pauses import Pauses
from harness.chart_release import ChartRelease, remove_all
from harness.environment import SHORT_WINDOWS, say, services
from harness.recording_load import RecordingLoad
from local.images.chart import Manifest, Pod
from local.images.engine import Engine, find_engine
from streams.settings import Settings

TENANT = "upgrade"
REPLICAS = {
    "relay": 2, "assembler": 2, "healer": 1, "joiner": 2, "indexer": 2, "web": 2, "link": 1,
}  # fmt: skip
"""Pods of each program. The order in which they are replaced."""
SETTINGS = {**SHORT_WINDOWS, "VIGIL_SESSION_TIMEOUT_S": "10"}
WINDOW_MS = int(SETTINGS["VIGIL_WINDOW_MS"])
READY_WITHIN_S = 120
SETTLE_WITHIN_S = 120
STEADY_S = 10
COMPARED_S = 40
"""The comparison at the end, and the end of all pods."""
LIMIT_S = 540
"""The bench ends after this time, whatever it waits for."""
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
    parser.add_argument(
        "--programs", nargs="+", choices=REPLICAS, default=list(REPLICAS),
        help="programs that run and are replaced (default all)",
    )  # fmt: skip
    parser.add_argument(
        "--before", help="image that runs first (default: the same programs with another digest)"
    )
    parser.add_argument(
        "--limit", type=int, default=LIMIT_S,
        help=f"seconds after which it ends in any case (default {LIMIT_S})",
    )  # fmt: skip
    parser.add_argument(
        "--pull", type=float, default=0.0, metavar="SECONDS",
        help="how long a node takes to pull the image, which a StatefulSet's pod waits for",
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
    before = arguments.before or next_version(engine, arguments.image)
    if not engine.has(before):
        raise VigilError(f"There is no image {before}.")
    with tempfile.TemporaryDirectory(prefix="vigil-upgrade-") as scratch:
        folder = Path(scratch)
        with services(folder / "stack", SETTINGS) as stack:
            release = ChartRelease(engine, stack, folder / "release", SETTINGS)
            replicas = {
                name: min(most, arguments.replicas)
                for name, most in REPLICAS.items()
                if name in arguments.programs
            }
            upgrade = Upgrade(
                release, before, arguments.image, arguments.cameras, seed, replicas=replicas,
                pull_s=arguments.pull,
            )  # fmt: skip
            return asyncio.run(upgrade.run(arguments.limit))


@dataclass(frozen=True)
class Replacement:
    """One pod that took another's place. Seconds; `began_s` and `ended_s` on one clock."""

    pod: str
    began_s: float
    stop_s: float
    """From SIGTERM to the old one's end."""
    start_s: float
    """Until the new container runs."""
    ready_s: float
    """Until its readiness probe passes."""
    ended_s: float

    def __str__(self) -> str:
        return (
            f"{self.pod}: stopped in {self.stop_s:.1f} s, started in {self.start_s:.1f} s, "
            f"ready after {self.ready_s:.1f} s"
        )


@dataclass
class Upgrade:
    """One installation that is upgraded from image `before` to `image`, and rolled back.

    Its services run already.
    """

    release: ChartRelease
    before: str
    image: str
    cameras: int
    seed: int
    replicas: dict[str, int] = field(default_factory=lambda: dict(REPLICAS))
    pull_s: float = 0.0
    """What pulling the image adds between an old pod's end and the new one's start."""
    report: Callable[[str], None] = say
    _pods: dict[str, list[Pod]] = field(default_factory=dict)
    _replaced: dict[str, Pod] = field(default_factory=dict)
    """By program, the pod that serves until its successor is ready."""
    _generation: int = 0
    _doing: str = "installing"
    _replacements: list[Replacement] = field(default_factory=list)

    async def run(self, limit_s: float = LIMIT_S) -> dict[str, Any]:
        """Start, upgrade, roll back, wait until all is joined, and compare.

        Where too little of `limit_s` is left for the roll-back, the comparison comes without it,
        and its figures are missing. Raises VigilError where even that takes longer.
        """
        try:
            async with asyncio.timeout(limit_s) as limit:
                return await self._run(limit.when() or 0.0)
        except TimeoutError:
            raise VigilError(
                f"The bench ended after {limit_s} s, while {self._doing}. Free the machine, or ask "
                "for fewer --replicas or --cameras."
            ) from None

    async def _run(self, until_s: float) -> dict[str, Any]:
        now_s = asyncio.get_running_loop().time
        settings = Settings()
        try:
            await self._install()
            load = RecordingLoad(settings, TENANT, self.cameras, self.seed, self.report)
            async with load:
                self._doing = "waiting for the first chunk"
                await self._first_chunk(load)
                figures = await self._measured("steady", settings, self._wait_steady())
                figures |= await self._measured("upgrade", settings, self._upgrade())
                if until_s - now_s() > figures["upgrade_took_s"] + COMPARED_S:
                    figures |= await self._measured(
                        "rollback", settings, self._replace_all(self.before)
                    )
                else:
                    self.report("no time is left for the roll-back: give it a higher --limit")
                self._doing = "waiting until all is joined"
                self.report(self._doing)
                found = await load.settled(min(SETTLE_WITHIN_S, until_s - now_s() - COMPARED_S / 2))
        finally:
            pods = [pod for pods in self._pods.values() for pod in pods]
            await asyncio.to_thread(remove_all, [*pods, *self._replaced.values()], self.report)
        return figures | found | {
            "seed": self.seed, "pods": sum(self.replicas.values()), "pull_s": self.pull_s,
            "load": round(os.getloadavg()[0], 1),
        }  # fmt: skip

    async def _install(self) -> None:
        await asyncio.to_thread(self.release.migrate, self.before)
        await self.release.create_logins()
        self.report("the schema and the topics are made")
        workloads = await asyncio.to_thread(self.release.manifests, self.before)
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

    async def _upgrade(self) -> None:
        """As `helm upgrade`: the migration first. `helm rollback` runs none."""
        await asyncio.to_thread(self.release.migrate, self.image)
        await self._replace_all(self.image)

    async def _replace_all(self, image: str) -> None:
        self._generation += 1
        workloads = await asyncio.to_thread(self.release.manifests, image)
        for program, replicas in self.replicas.items():
            for ordinal in reversed(range(replicas)):
                replacement = await self._replace(program, workloads[program], ordinal)
                self._replacements.append(replacement)
                self.report(str(replacement))

    async def _replace(self, program: str, workload: Manifest, ordinal: int) -> Replacement:
        began_s = time.monotonic()
        old = self._pods[program][ordinal]
        stops_first = workload["kind"] == "StatefulSet"
        stop_s = 0.0
        if stops_first:
            stop_s = await self._delete(old)
            await asyncio.sleep(self.pull_s)
        # Its folders and files are made with it: after the old one is gone.
        new = await asyncio.to_thread(self._pod, workload, ordinal)
        creating_s = time.monotonic()
        await asyncio.to_thread(new.start)
        started_s = time.monotonic()
        self._pods[program][ordinal] = new
        if not stops_first:
            self._replaced[program] = old
        ready_s = await asyncio.to_thread(new.wait_ready, READY_WITHIN_S)
        if not stops_first:
            stop_s = await self._delete(self._replaced.pop(program))
        return Replacement(
            new.name, began_s, stop_s, started_s - creating_s, ready_s, time.monotonic()
        )

    async def _delete(self, pod: Pod) -> float:
        """Stop and remove a pod; return the seconds from SIGTERM to its end."""
        began_s = time.monotonic()
        ended = await asyncio.to_thread(pod.stop)
        took_s = time.monotonic() - began_s
        await asyncio.to_thread(pod.remove)
        if ended.code:
            raise VigilError(f"{pod.name} ended with {ended.code}:\n{ended.output}")
        return took_s

    def _pod(self, workload: Manifest, ordinal: int) -> Pod:
        suffix = "" if workload["kind"] == "StatefulSet" else f"{self._generation}-{ordinal}"
        return self.release.cluster.pod(workload, ordinal, suffix)

    async def _measured(self, name: str, settings: Settings, work: Any) -> dict[str, float]:
        began_s = time.monotonic()
        self._doing = f"measuring: {name}"
        self.report(self._doing)
        async with Pauses(settings) as pauses, self._watched_web() as web:
            await work
            await asyncio.sleep(1.2 * WINDOW_MS / 1000)  # what was late comes
            found = pauses.longest()
            if "web" in self._pods:
                found["longest_pause_web_s"] = round(web[0], 2)
        self.report(f"{name}: {found}")
        since_s, until_s = pauses.worst
        while_replaced = [
            each.pod for each in self._replacements
            if each.began_s < until_s and each.ended_s > since_s
        ]  # fmt: skip
        if while_replaced:
            self.report(f"the longest pause of playback: {', '.join(while_replaced)}")
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
                old = self._replaced.get("web")
                for pod in [*self._pods["web"], *([old] if old else [])]:
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

        async with background_tasks(*([watch()] if "web" in self._pods else [])):
            yield longest

    async def _first_chunk(self, load: RecordingLoad) -> None:
        deadline = time.monotonic() + READY_WITHIN_S
        while not await load.chunks():
            if time.monotonic() > deadline:
                tails = "\n".join(p.output(5) for pods in self._pods.values() for p in pods)
                raise VigilError(f"No chunk came within {READY_WITHIN_S} s.\n{tails}")
            await asyncio.sleep(1)


def next_version(engine: Engine, image: str) -> str:
    """Make an image with another digest and the same programs; return its name."""
    name = f"{image}-next"
    container = engine.buildah("from", "--pull-never", image).strip()
    engine.buildah("config", "--label", "org.opencontainers.image.version=next", container)
    engine.buildah("commit", "--quiet", "--format", "docker", container, name)
    engine.buildah("rm", container)
    return name

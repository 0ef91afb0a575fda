"""kill -9 of the edge's cameras, spool and uploads, again and again, at random moments.

    process   shown 0..4 ─ kept ─ shown 5..9 ─ kept ─ shown 10, 11 ✗    killed, started again, …
    S3        pictures 0..9 must be stored, each once; what was being written may

A process records for a second at most. Some are killed before that: the start, which repairs what
the last one left, is hit, too. Half of the kills come at any moment, half during a phase of the
work, each in turn. At the end one process drains the spool. Every picture in S3 is compared with
what the cameras showed.
"""

import argparse
import asyncio
import hashlib
import multiprocessing
import os
import pickle
import random
import signal
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from domain.errors import VigilError
from domain.events import AnyEvent
from domain.identity import fragment_key
from harness.edge_cloud import EdgeCloud, StoredRuns, drained, stored_runs
from harness.environment import environment, say
from harness.footage import numbers
from harness.kill.edge_process import CLIP_PICTURES, FPS, PICTURES, Orders, main
from harness.kill.invariants import Reported, RunKey, Stored, compare
from harness.kill.marks import PHASES, Marks, Phase
from harness.numbered_edge import write_clip
from stores.aws_endpoint import AwsEndpoint
from stores.objects import ObjectStore
from stores.queue import Queue

_LIFE_S = (0.02, 1.2)
_START_S = 60.0
"""A process has kept a fragment within this time; if not, it is killed anyway."""
_AIM_S = 1.0
_LOOK_S = 0.001
"""How often the phase of a process is read, in seconds."""
_DRAIN_S = 600
_MANY = 12
_EACH_IS_HIT = 50
"""So many kills, or more, hit every phase."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the bench's options."""
    parser.add_argument("--kills", type=int, default=200, help="number of kills (default 200)")
    parser.add_argument("--cameras", type=int, default=2, help="cameras (default 2)")
    parser.add_argument(
        "--seed", type=int, help="seed of the times of the kills (default: a new one)"
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Kill, drain, compare; return counts."""
    seed = random.SystemRandom().randrange(1 << 31) if arguments.seed is None else arguments.seed
    with (
        tempfile.TemporaryDirectory(prefix="vigil-kill-") as scratch,
        EdgeCloud(Path(scratch) / "data", say) as cloud,
    ):
        env = dict(cloud.env)
        return killed(
            Path(scratch), env, kills=arguments.kills, cameras=arguments.cameras, seed=seed
        )


def killed(
    folder: Path, env: dict[str, str], kills: int, cameras: int, seed: int
) -> dict[str, Any]:
    """Kill so often on a spool in `folder`, drain, and return what was found."""
    dice = random.Random(seed)
    site = f"bench/kill-{uuid.uuid4().hex[:8]}"
    names = tuple(f"{site}/cam-{number}" for number in range(cameras))
    clip = folder / "clip.mp4"
    write_clip(clip, CLIP_PICTURES, fps=FPS, gop=PICTURES)
    orders = Orders(folder / "spool", folder / "marks", clip, names, env)
    reported = Reported()
    began_s = time.monotonic()
    starting = 0
    during: dict[str, int] = dict.fromkeys((*PHASES, "none"), 0)
    with Marks(orders.marks) as marks:
        for number in range(kills):
            recorded, going_on = _one_life(orders, reported, marks, a_life(number, dice))
            starting += not recorded
            for phase in going_on:
                during[phase] += 1
            during["none"] += not going_on
            if number % 20 == 19:
                say(f"{number + 1} kills, {sum(reported.kept.values())} fragments kept")
    killing_s = time.monotonic() - began_s
    _drain(replace(orders, drain=True))
    with environment(env):
        found, events = asyncio.run(_collect(env, site))
        verdict = compare(reported, found, events, asyncio.run(_read(env, found)))
    faults = verdict.pop("faults")
    if kills >= _EACH_IS_HIT:
        faults += [f"no kill came during: {phase}" for phase in PHASES if not during[phase]]
    for fault in faults[:_MANY]:
        say(fault)
    return {
        "seed": seed,
        "kills": kills,
        "kills_while_starting": starting,
        "kills_during": during,
        "cameras": cameras,
        "killing_s": round(killing_s, 1),
        **verdict,
        "faults_found": len(faults),
        "clean": not faults,
    }


@dataclass(frozen=True, slots=True)
class Life:
    """How long a process may live."""

    recording: bool
    """Whether it lives until a fragment is durable, at least."""
    for_s: float
    """After that, or after its start."""
    aim: Phase | None
    """It is killed when this goes on; None: at any moment."""


def a_life(number: int, dice: random.Random) -> Life:
    """Return how a process is killed: at any moment of its work, every fifth of its start; every
    other waits, after a random time, for a phase, each in turn.
    """
    aim = PHASES[number // 2 % len(PHASES)] if number % 2 else None
    if aim == "mending":
        return Life(recording=False, for_s=0, aim=aim)
    starting = aim is None and number % 5 == 4
    return Life(recording=not starting, for_s=dice.uniform(*_LIFE_S), aim=aim)


def _one_life(
    orders: Orders, reported: Reported, marks: Marks, how: Life
) -> tuple[bool, list[Phase]]:
    """Start a process, let it live, kill it; return whether it recorded, and its phases then."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    process = _context().Process(target=main, args=(orders, theirs))
    process.start()
    theirs.close()
    before = sum(reported.kept.values())

    def recorded() -> bool:
        return sum(reported.kept.values()) > before

    def live(until: Callable[[], bool], within_s: float, poll_s: float = 0.05) -> None:
        deadline_s = time.monotonic() + within_s
        while not until() and (left_s := deadline_s - time.monotonic()) > 0:
            if not process.is_alive():
                raise VigilError(f"the spool's process ended by itself ({process.exitcode}).")
            _hear(ours, reported, min(left_s, poll_s))

    if how.recording:
        live(recorded, _START_S)
    live(lambda: False, how.for_s)
    if how.aim is not None:
        live(lambda: how.aim in marks.going_on(), _AIM_S, _LOOK_S)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    going_on = marks.going_on()
    marks.clear()
    while _hear(ours, reported, 0):
        pass
    ours.close()
    return recorded(), going_on


def _hear(ours: Connection, reported: Reported, within_s: float) -> bool:
    """Take a message; False: there is none."""
    try:
        if not ours.poll(within_s):
            return False
        reported.hear(ours.recv())
    except (EOFError, OSError, pickle.UnpicklingError):  # it died in the middle of a word
        time.sleep(min(within_s, 0.01))
        return False
    return True


def _drain(orders: Orders) -> None:
    ours, theirs = multiprocessing.Pipe(duplex=False)
    process = _context().Process(target=main, args=(orders, theirs))
    process.start()
    process.join(_DRAIN_S)
    ours.close()
    theirs.close()
    if process.exitcode != 0:
        process.kill()
        raise VigilError(f"the spool was not drained in {_DRAIN_S} s ({process.exitcode}).")


def _context() -> "multiprocessing.context.ForkServerContext":
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["harness.kill.edge_process"])
    return context


async def _collect(env: dict[str, str], site: str) -> tuple[StoredRuns, list[AnyEvent]]:
    region = env["AWS_DEFAULT_REGION"]
    async with (
        ObjectStore(AwsEndpoint(region, env["VIGIL_S3_ENDPOINT"]), env["VIGIL_S3_BUCKET"]) as store,
        Queue(AwsEndpoint(region, env["VIGIL_SQS_ENDPOINT"]), env["VIGIL_SQS_QUEUE_URL"]) as queue,
    ):
        events = [one for one in await drained(queue) if one.key.startswith(site + "/")]
        return await stored_runs(store, site), events


async def _read(env: Mapping[str, str], found: StoredRuns) -> dict[RunKey, Stored]:
    """Read and decode all that is in S3."""
    endpoint = AwsEndpoint(env["AWS_DEFAULT_REGION"], env["VIGIL_S3_ENDPOINT"])
    stored = {}
    async with ObjectStore(endpoint, env["VIGIL_S3_BUCKET"]) as store:
        for (camera, run), stored_run in found.items():
            seqs = sorted(stored_run.fragments)
            data = [await store.get(fragment_key(camera, run, seq)) for seq in seqs]
            sha256 = {
                seq: hashlib.sha256(each).hexdigest() for seq, each in zip(seqs, data, strict=True)
            }
            pictures = await asyncio.to_thread(numbers, b"".join(data)) if data else []
            stored[camera, run] = Stored(pictures, sha256)
    return stored

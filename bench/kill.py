"""kill -9 of the edge's spool and uploads, again and again, at random moments.

    process   handed 0 ─ kept 0 ─ handed 1 ─ kept 1 ─ handed 2 ─ ✗     killed, started again, …
    S3        0 and 1 must stand, byte for byte; 2, which was being written, may

A process lives for a fraction of a second, so that its start, which mends what the last one left,
is hit as well. At the end one process drains the spool, and all is compared.
"""

import argparse
import asyncio
import multiprocessing
import os
import pickle
import random
import signal
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.cloudlet import Cloudlet, Standing, drained, said, standing
from bench.footage import film
from bench.kill_child import DURATION_MS, Orders, main
from domain.errors import VigilError
from domain.events import AnyEvent, Detection
from domain.seqs import SeqRanges
from stores.aws import AwsEndpoint
from stores.objects import ObjectStore
from stores.queue import Queue

_LIFE_S = (0.05, 1.5)
_DRAIN_S = 600
_MANY = 12


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the bench's options."""
    parser.add_argument("--kills", type=int, default=200, help="how often (default 200)")
    parser.add_argument("--cameras", type=int, default=2, help="cameras (default 2)")
    parser.add_argument("--seed", type=int, help="of when it is killed (default: a new one)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Kill, drain, compare; return counts."""
    seed = random.SystemRandom().randrange(1 << 31) if arguments.seed is None else arguments.seed
    with (
        tempfile.TemporaryDirectory(prefix="vigil-kill-") as scratch,
        Cloudlet(Path(scratch) / "data", _say) as cloud,
    ):
        env = dict(cloud.env)
        return killed(
            Path(scratch), env, kills=arguments.kills, cameras=arguments.cameras, seed=seed
        )


@dataclass(slots=True)
class Told:
    """What the processes said before they died."""

    handed: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    """(camera, run) -> fragments handed over."""
    kept: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    """(camera, run) -> fragments known to be durable."""

    def hear(self, what: str, camera: str, run: str, seq: int) -> None:
        """Take one message."""
        (self.handed if what == "handed" else self.kept)[camera, run] = seq + 1


def killed(
    folder: Path, env: dict[str, str], kills: int, cameras: int, seed: int
) -> dict[str, Any]:
    """Kill so often on a spool in `folder`, drain, and return what was found."""
    dice = random.Random(seed)
    site = f"bench/kill-{uuid.uuid4().hex[:8]}"
    names = tuple(f"{site}/cam-{number}" for number in range(cameras))
    orders = Orders(folder / "spool", names, env)
    told = Told()
    began_s = time.monotonic()
    starting = 0
    for number in range(kills):
        before = sum(told.handed.values())
        _one_life(orders, told, dice.uniform(*_LIFE_S))
        starting += sum(told.handed.values()) == before
        if number % 20 == 19:
            _say(f"{number + 1} kills, {sum(told.kept.values())} fragments kept")
    killing_s = time.monotonic() - began_s
    _drain(Orders(folder / "spool", names, env, drain=True))
    found, events = asyncio.run(_collect(env, site))
    verdict = compare(told, found, events)
    verdict |= {"wrong_bytes": asyncio.run(_wrong_bytes(env, found, verdict["faults"]))}
    faults = verdict.pop("faults")
    for fault in faults[:_MANY]:
        _say(fault)
    return {
        "seed": seed,
        "kills": kills,
        "kills_while_starting": starting,
        "cameras": cameras,
        "killing_s": round(killing_s, 1),
        **verdict,
        "said": len(faults),
        "clean": not faults,
    }


def compare(told: Told, found: Standing, events: list[AnyEvent]) -> dict[str, Any]:
    """Compare what was told with S3 and queue."""
    faults = said(events, found)
    lost = being_written = 0
    for of, kept in told.kept.items():
        run = found.get(of)
        here = SeqRanges.of(run.fragments) if run else SeqRanges()
        missing = kept - len(here.within(0, kept - 1))
        if missing:
            lost += missing
            faults.append(f"{missing} kept fragments of {of} are not in S3")
    for of, handed in told.handed.items():
        run = found.get(of)
        stands = len(run.fragments) if run else 0
        being_written += max(handed - max(stands, told.kept.get(of, 0)), 0)
    doubled = 0
    for of, run in found.items():
        seqs = SeqRanges.of(run.fragments)
        if of not in told.handed or len(seqs) > told.handed[of]:
            doubled += len(seqs) - told.handed.get(of, 0)
            faults.append(f"more stands of {of} than was recorded")
        if len(seqs.ranges) != 1 or (run.end and run.end.last_seq != len(seqs) - 1):
            faults.append(f"{of} has holes: {seqs}, its end says {run.end}")
        if run.end is not None and run.end.given_up:
            faults.append(f"{of} gave up {run.end.given_up}")
    seen = [e for e in events if isinstance(e, Detection)]
    unique = {(e.camera, e.run, e.frames[0].pts) for e in seen}
    wanted = {
        (*of, film(*of, seq, start_ms=0, duration_ms=DURATION_MS)[0].start_pts)
        for of, kept in told.kept.items()
        for seq in range(kept)
    }
    if wanted - unique:
        faults.append(f"{len(wanted - unique)} detections are lost")
    return {
        "runs": len(found),
        "fragments": sum(len(run.fragments) for run in found.values()),
        "kept": sum(told.kept.values()),
        "lost": lost,
        "doubled": doubled,
        "being_written": being_written,
        "detections": len(unique),
        "detections_lost": len(wanted - unique),
        "messages_sent_again": len(seen) - len(unique),
        "faults": faults,
    }


def _one_life(orders: Orders, told: Told, life_s: float) -> None:
    """Start a process, let it live, kill it."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    process = _context().Process(target=main, args=(orders, theirs))
    process.start()
    theirs.close()
    deadline_s = time.monotonic() + life_s
    while (left_s := deadline_s - time.monotonic()) > 0:
        if not process.is_alive():
            raise VigilError(f"the spool's process ended by itself ({process.exitcode}).")
        _hear(ours, told, left_s)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    while _hear(ours, told, 0):
        pass
    ours.close()


def _hear(ours: Connection, told: Told, within_s: float) -> bool:
    """Take a message; False: there is none."""
    try:
        if not ours.poll(within_s):
            return False
        told.hear(*ours.recv())
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
    context.set_forkserver_preload(["bench.kill_child"])
    return context


async def _collect(env: dict[str, str], site: str) -> tuple[Standing, list[AnyEvent]]:
    region = env["AWS_DEFAULT_REGION"]
    os.environ.update(env)
    async with (
        ObjectStore(AwsEndpoint(region, env["VIGIL_S3_ENDPOINT"]), env["VIGIL_S3_BUCKET"]) as store,
        Queue(AwsEndpoint(region, env["VIGIL_SQS_ENDPOINT"]), env["VIGIL_SQS_QUEUE_URL"]) as queue,
    ):
        events = [one for one in await drained(queue) if one.key.startswith(site + "/")]
        return await standing(store, site), events


async def _wrong_bytes(env: dict[str, str], found: Standing, faults: list[str]) -> int:
    wrong = 0
    region = env["AWS_DEFAULT_REGION"]
    endpoint = AwsEndpoint(region, env["VIGIL_S3_ENDPOINT"])
    async with ObjectStore(endpoint, env["VIGIL_S3_BUCKET"]) as store:
        for (camera, run), of in found.items():
            for seq, event in of.fragments.items():
                _, data = film(camera, run, seq, start_ms=event.start_ms, duration_ms=DURATION_MS)
                if await store.get(f"fragments/{camera}/{run}/{seq:08d}.ts") != data:
                    wrong += 1
                    faults.append(f"other bytes than were recorded: {camera} {run} {seq}")
    return wrong


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)

"""What waits in memory for the disk: nothing is lost without a word, and bytes are counted."""

import os
import random
from collections import Counter

from domain.events import FragmentArrived, RunStarted
from domain.identity import FragmentId
from edge_bridge.config.spool import SpoolLimits
from edge_bridge.spool.pending import PendingFragments, PendingWrite
from tests.unit.edge_bridge.material import RUN, fragment, started

SEED = int(os.environ.get("VIGIL_TEST_SEED", "0")) or random.randrange(1 << 32)
CAMERAS = [f"acme/berlin/{name}" for name in ("gate", "lobby", "yard")]
LIMIT = 20_000


class Oracle:
    """What a test knows of each fragment."""

    def __init__(self) -> None:
        self.given: dict[FragmentId, bytearray] = {}
        self.disk: dict[FragmentId, bytearray] = {}
        self.closed: set[FragmentId] = set()
        self.discarded: set[FragmentId] = set()
        self.outcomes: Counter[FragmentId] = Counter()
        self.stored: set[FragmentId] = set()

    def give_up(self, event: FragmentArrived, _: RunStarted, why: str) -> None:
        assert why == "disk too slow"
        self.outcomes[FragmentId(event.camera, event.run, event.seq)] += 1

    def write(self, write: PendingWrite) -> None:
        one = write.fragment.id
        self.disk.setdefault(one, bytearray()).extend(b"".join(write.pieces))
        assert write.size == sum(map(len, write.pieces))
        write.fragment.written += write.size
        if write.closed is not None:
            assert self.disk[one] == self.given[one], "whole, in order"
            self.outcomes[one] += 1
            self.stored.add(one)


def test_each_fragment_is_written_whole_or_given_up_once() -> None:
    print(f"VIGIL_TEST_SEED={SEED}")
    chance = random.Random(SEED)
    for _ in range(int(os.environ.get("VIGIL_TEST_EXAMPLES", "30"))):
        _one_example(chance)


def _one_example(chance: random.Random) -> None:
    oracle = Oracle()
    limits = SpoolLimits(pending_max_bytes=LIMIT, priorities={CAMERAS[0]: chance.randrange(1, 9)})
    pending = PendingFragments(limits, oracle.give_up)
    seqs = dict.fromkeys(CAMERAS, 0)
    flying: list[PendingWrite] = []

    def land() -> None:
        for write in flying:
            kept = write.closed is None and not write.fragment.lost and chance.random() < 0.2
            if not kept and not write.fragment.lost and not write.fragment.discarded:
                oracle.write(write)
            if pending.written(write, kept=kept):
                oracle.disk.pop(write.fragment.id, None)
        flying.clear()

    def take() -> None:
        taken = pending.take()
        assert isinstance(taken, list)
        flying.extend(taken)

    for _ in range(300):
        camera = chance.choice(CAMERAS)
        one = FragmentId(camera, RUN, seqs[camera])
        data = chance.randbytes(chance.randrange(1, 2_000))
        match chance.choice(["piece", "piece", "close", "discard", "disk", "disk"]):
            case "piece":
                oracle.given.setdefault(one, bytearray()).extend(data)
                pending.piece(one, data)
            case "close":
                oracle.given.setdefault(one, bytearray()).extend(data)
                oracle.closed.add(one)
                event = fragment(one.seq, camera=camera)[0]
                pending.close(event, data, started(camera=camera))
                seqs[camera] += 1
            case "discard":
                pending.discard(one)
                oracle.discarded.add(one)
                seqs[camera] += 1
            case "disk" if flying:
                land()
            case _:
                take()
        flying_bytes = sum(write.size for write in flying)
        assert flying_bytes <= pending.total_bytes <= LIMIT
    land()
    for camera, seq in seqs.items():
        pending.discard(FragmentId(camera, RUN, seq))
    while len(pending):
        take()
        for write in flying:
            if not (write.fragment.lost or write.fragment.discarded):
                oracle.write(write)
            if pending.written(write):
                oracle.disk.pop(write.fragment.id, None)
        flying.clear()
    assert pending.total_bytes == 0
    assert oracle.outcomes == Counter(oracle.closed), "each that is complete has one outcome"
    assert set(oracle.disk) == oracle.stored, "no other file is left"

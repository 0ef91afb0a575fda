"""A power cut at any moment: what the disk itself had been given is all that is left.

The spool is on an ext4 of its own in an image file, which is copied at chosen moments. The copy
contains what was written to the device by then, and nothing that was only in memory.
"""

import contextlib
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from domain.errors import MediaError
from domain.identity import FragmentId, new_run_id
from edge_bridge.config.spool import SpoolLimits
from edge_bridge.spool.rows import FragmentState
from edge_bridge.spool.spool import Spool, open_spool
from tests.unit.edge_bridge.material import CAMERA, T0_MS, fragment, started

SEED = int(os.environ.get("VIGIL_TEST_SEED", "0")) or random.randrange(1 << 32)
LIMITS = SpoolLimits(max_bytes=1 << 30, free_floor_bytes=0)
MIB = 24
CUTS = 20


@dataclass(slots=True)
class Promised:
    """What the spool had reported as durable when the power was cut."""

    stored: set[tuple[str, int]] = field(default_factory=set)
    uploaded: set[tuple[str, int]] = field(default_factory=set)
    messages: set[bytes] = field(default_factory=set)
    writing: tuple[str, int] | None = None

    def copy(self) -> "Promised":
        return Promised({*self.stored}, {*self.uploaded}, {*self.messages}, self.writing)


def image(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(MIB << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(path)], check=True, capture_output=True)


@contextlib.contextmanager
def mounted(path: Path, at: Path) -> Iterator[Path]:
    at.mkdir(exist_ok=True)
    done = subprocess.run(
        ["mount", "-o", "loop", str(path), str(at)], check=False, capture_output=True
    )
    if done.returncode:
        pytest.skip(f"no loop device may be mounted here: {done.stderr.decode().strip()}")
    try:
        yield at / "spool"
    finally:
        subprocess.run(["umount", str(at)], check=True)


class Power:
    """Copies the image at chosen steps of the spool."""

    def __init__(self, disk: Path, folder: Path, chance: random.Random) -> None:
        self._disk, self._folder, self._chance = disk, folder, chance
        self.promised = Promised()
        self.cuts: list[tuple[Path, str, Promised]] = []
        self.armed = False

    def step(self, name: str) -> None:
        if self.armed and len(self.cuts) < CUTS and self._chance.random() < 0.15:
            copy = self._folder / f"cut-{len(self.cuts)}.img"
            shutil.copyfile(self._disk, copy)
            self.cuts.append((copy, name, self.promised.copy()))


def live(spool: Spool, power: Power, chance: random.Random) -> None:
    """Some minutes of an edge: fragments of several runs, uploads, messages."""
    promised = power.promised
    runs = [new_run_id(T0_MS + number, bytes([number] * 10)) for number in range(3)]
    for seq in range(30):
        for run in runs:
            promised.writing = (run, seq)
            power.armed = True
            event, data = fragment(seq, run=run)
            at = 0
            for _ in range(chance.randrange(3)):  # in pieces, or at once
                size = chance.randrange(1, 600)
                spool.append(FragmentId(CAMERA, run, seq), [data[at : at + size]], at)
                at += size
            assert spool.store(event, data[at:], started(run))
            promised.stored.add((run, seq))
            promised.writing = None
            power.step("stored")
            if chance.random() < 0.3:
                spool.uploaded(FragmentId(CAMERA, run, seq))
                promised.uploaded.add((run, seq))
                power.step("uploaded")
            if chance.random() < 0.3:
                body = b'{"run": "%s", "seq": %d}' % (run.encode(), seq)
                spool.put_message("detection", body)
                promised.messages.add(body)
                power.step("message")


def kept(spool: Spool, promised: Promised) -> bool:
    """Whether all that was promised is there, whole."""
    there: dict[tuple[str, int], FragmentState] = {}
    for run in spool.journal.runs_with_fragments():
        there |= {(one.run, one.seq): state for one, state, _ in spool.journal.rows_of_run(run)}
    whole = {key for key, state in there.items() if state is not FragmentState.GIVEN_UP}
    for run, seq in whole:
        try:
            event = spool.files.inspect(spool.files.path(CAMERA, run, seq))
        except MediaError:
            return False
        assert event == fragment(seq, run=run)[0]
    messages = {row.body for row in spool.messages(10_000)}
    return (
        promised.stored <= whole <= promised.stored | {promised.writing}
        and all(there[one] >= FragmentState.UPLOADED for one in promised.uploaded)
        and promised.messages <= messages
    )


def cut_short(tmp_path: Path) -> list[tuple[str, bool]]:
    """Live, cut the power again and again, and start from each cut: when it was, and all kept?"""
    chance = random.Random(SEED)
    disk = tmp_path / "disk.img"
    image(disk)
    power = Power(disk, tmp_path, chance)
    with mounted(disk, tmp_path / "disk") as folder:
        spool = open_spool(folder, "e1", LIMITS, step=power.step)
        live(spool, power, chance)
        spool.close()
    assert len(power.cuts) == CUTS
    verdicts = []
    for copy, name, promised in power.cuts:
        with (
            mounted(copy, tmp_path / "after") as folder,
            contextlib.closing(open_spool(folder, "e1", LIMITS)) as again,
        ):
            verdicts.append((name, kept(again, promised)))
        copy.unlink()
    return verdicts


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="only root mounts")
def test_a_power_cut_loses_at_most_the_fragment_being_written(tmp_path: Path) -> None:
    print(f"VIGIL_TEST_SEED={SEED}")
    assert [name for name, intact in cut_short(tmp_path) if not intact] == []


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="only root mounts")
def test_without_forced_writes_this_test_sees_the_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    print(f"VIGIL_TEST_SEED={SEED}")
    monkeypatch.setattr(os, "fsync", lambda _: None)
    assert not all(intact for _, intact in cut_short(tmp_path))

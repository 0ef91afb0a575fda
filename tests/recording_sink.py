"""A recording sink in memory, and what the tests of cameras need besides."""

import hashlib
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import psutil
import yaml

from domain.events import FragmentArrived, RunStarted
from edge_bridge.config import EdgeConfig, load
from tests.footage import numbers_in

SITE = "acme/berlin"


class PieceCollector:
    """The pieces of fragments that grow, for a sink in memory."""

    def __init__(self) -> None:
        self.growing: dict[tuple[str, str, int], bytes] = {}

    def piece(self, camera: str, run: str, seq: int, data: bytes) -> None:
        name = camera, run, seq
        self.growing[name] = self.growing.get(name, b"") + bytes(data)

    def discard(self, camera: str, run: str, seq: int) -> None:
        self.growing.pop((camera, run, seq), None)

    def whole(self, event: FragmentArrived, rest: bytes) -> bytes:
        """Return all bytes of a fragment that is complete; they match its event."""
        data = self.growing.pop((event.camera, event.run, event.seq), b"") + bytes(rest)
        assert len(data) == event.size_bytes
        assert hashlib.sha256(data).hexdigest() == event.sha256
        return data


class MemorySink(PieceCollector):
    """Keeps the fragments and ends of runs in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.fragments: dict[str, list[tuple[FragmentArrived, bytes]]] = {}
        self.ends: dict[str, str] = {}

    def fragment(self, event: FragmentArrived, data: bytes, started: RunStarted) -> None:
        del started
        whole = event, self.whole(event, data)  # before others see the run
        if event.run in self.fragments:
            self.fragments[event.run].append(whole)
        else:
            self.fragments[event.run] = [whole]

    def end_run(self, run: str, ended_ms: int, reason: str) -> None:
        del ended_ms
        self.ends[run] = reason

    def runs(self, name: str) -> list[str]:
        """The runs of a camera, oldest first."""
        camera_id = f"{SITE}/{name}"
        return sorted(
            run for run, kept in list(self.fragments.items()) if kept[0][0].camera == camera_id
        )

    def frames(self, name: str) -> int:
        """How many frames of a camera are recorded so far."""
        return sum(event.frames for run in self.runs(name) for event, _ in self.fragments[run])

    def joined(self, run: str, folder: Path) -> Path:
        """Write a run's fragments one after the other; they adjoin and are all there."""
        kept = self.fragments[run]
        assert [event.seq for event, _ in kept] == list(range(len(kept)))
        for (one, _), (following, _) in pairwise(kept):
            assert one.end_ms == following.start_ms
        path = folder / f"{run}.ts"
        path.write_bytes(b"".join(data for _, data in kept))
        return path

    def numbers(self, run: str, folder: Path) -> list[int | None]:
        """The numbers of a run's frames."""
        numbers = list(numbers_in(self.joined(run, folder)))
        assert len(numbers) == sum(event.frames for event, _ in self.fragments[run])
        return numbers


def follow(numbers: list[int | None]) -> bool:
    """Whether each frame follows the previous one."""
    first = numbers[0]
    return first is not None and numbers == list(range(first, first + len(numbers)))


def recording(folder: Path, cameras: Sequence[Mapping[str, object]]) -> EdgeConfig:
    """Return the configuration of an edge that records these cameras, and sends nothing."""
    path = folder / "edge.yaml"
    data = {
        "site": SITE,
        "edge": "e1",
        "cloud": {"bucket": "none", "queue_url": "http://127.0.0.1:9/q"},
        "spool": {"dir": "spool"},
        "fragment_s": 2,
        "no_data_s": 3,
        "cameras": [dict(one) for one in cameras],
    }
    path.write_text(yaml.safe_dump(data))
    return load(path)


class MemoryGrowth:
    """The largest growth of this process's memory."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._before = self._most = self._process.memory_info().rss

    def measure(self) -> None:
        """Measure."""
        self._most = max(self._most, self._process.memory_info().rss)

    @property
    def growth(self) -> int:
        """Bytes."""
        return self._most - self._before

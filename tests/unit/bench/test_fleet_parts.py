"""What `vigil bench fleet` feeds is valid, and what it counts is right."""

import asyncio
import os
import subprocess
import sys
from typing import Any

import pytest

from bench.fleet import slope
from bench.fleet_feed import EACH, Feeder
from domain.events import ChunkComplete, Detection, FragmentArrived, parse
from domain.windows import WindowRules
from harness.cpu_cost import cpu_s

BURN = "import time\nwhile time.process_time() < 0.3: pass\n"


class Broker:
    """Keeps what is sent; ends the feeder when it has enough."""

    def __init__(self, enough: int) -> None:
        self.enough = enough
        self.sent: list[Any] = []

    async def send(self, _topic: str, value: bytes, key: bytes) -> None:
        event = parse(value)
        assert event.key.encode() == key
        self.sent.append(event)
        if len(self.sent) == self.enough:
            raise asyncio.CancelledError


async def test_the_feeder_sends_fragments_detections_and_each_windows_chunk() -> None:
    cameras = [f"bench/site-0/cam-{at}" for at in range(3)]
    broker = Broker(enough=3 * 3 * 3 * EACH)
    feeder = Feeder(cameras, broker, rate=1e6)
    with pytest.raises(asyncio.CancelledError):
        await feeder.feed()
    for camera in cameras:
        own = [event for event in broker.sent if event.camera == camera]
        fragments = [event for event in own if isinstance(event, FragmentArrived)]
        assert [event.seq for event in fragments] == list(range(len(fragments)))
        chunks = [event for event in own if isinstance(event, ChunkComplete)]
        assert [event.fragments[0].seq for event in chunks] == [
            EACH * at for at in range(len(chunks))
        ]
        assert len(chunks) >= 1
        for chunk in chunks:
            assert chunk.window_start_ms % WindowRules().window_ms == 0
            for place in chunk.fragments:
                fragment = fragments[place.seq]
                assert (place.start_ms, place.sha256) == (fragment.start_ms, fragment.sha256)
        seen = [event for event in own if isinstance(event, Detection)]
        assert abs(len(seen) - 2 * len(fragments)) <= 2


def test_a_growing_lag_has_a_slope_and_a_swinging_one_has_none() -> None:
    assert slope([(0, 10), (5, 20), (10, 30)]) == pytest.approx(2)
    assert slope([(0, 10), (5, 20), (10, 10)]) == pytest.approx(0)
    assert slope([(5, 10)]) == 0


def test_the_cpu_of_what_has_ended_counts() -> None:
    before = cpu_s(os.getpid())
    subprocess.run([sys.executable, "-c", BURN], check=True)
    assert cpu_s(os.getpid()) - before >= 0.25

"""Which packets are coalesced."""

from typing import Any

import pytest

from edge_bridge.capture.coalescing import COALESCE_MS, Coalescer

T0_MS = 1_760_000_000_000


def released(arrivals: list[int], low_latency_from: int = 1_000) -> list[list[int]]:
    """Return the arrivals (ms after T0) that are handed on at each packet, and at the end."""
    coalescer, out = Coalescer(), []
    for number, at in enumerate(arrivals):
        packet: Any = number
        now = coalescer.push((packet, T0_MS + at), number >= low_latency_from)
        out.append([one - T0_MS for _, one in now])
    return [*out, [one - T0_MS for _, one in coalescer.flush()]]


def test_packets_go_together_each_with_its_arrival() -> None:
    every = list(range(0, 801, 100))
    assert released(every) == [[], [], [], [], every[:5], [], [], [], [], every[5:]]


@pytest.mark.parametrize(
    ("arrivals", "low_latency_from", "expected", "why"),
    [
        ([0, 40, 80], 0, [[0], [40], [80], []], "low latency: each at once"),
        ([0, 40, 80], 2, [[], [], [0, 40, 80], []], "low latency from the third on"),
        ([0, 1_000, 2_000], 9, [[], [0, 1_000], [], [2_000]], "few pictures: one waits for one"),
        ([0, 40, -3_000, -2_960], 9, [[], [], [0, 40, -3_000], [], [-2_960]], "clock set back"),
        ([], 9, [[]], "nothing"),
    ],
)
def test_no_packet_waits_long(
    arrivals: list[int], low_latency_from: int, expected: list[list[int]], why: str
) -> None:
    assert released(arrivals, low_latency_from) == expected, why
    assert COALESCE_MS < 500

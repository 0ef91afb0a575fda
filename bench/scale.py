"""Whether the product grows as its cameras do. One JSON line for each part.

state       memory and CPU of the assembler's cache and table, for 100 and for 8,000 cameras
memory      memory of a real assembler, for 1,000 and for 8,000 cameras
slow-down   an S3 that refuses above a rate (503 SlowDown): is live footage first, is all kept?
requests    requests, rows and bytes for each camera-hour: the same at 10 and 1,000 cameras?
growth      8 -> 64 partitions by `vigil topics grow`, while fragments come: lost, doubled, pause
quotas      the plan for 51 and 500 sites, against AWS's default quotas
"""

import argparse
from collections.abc import Callable
from typing import Any

from bench import (
    scale_growth,
    scale_memory,
    scale_quotas,
    scale_requests,
    scale_slow_down,
    scale_state,
)

PARTS: dict[str, Callable[[argparse.Namespace], list[dict[str, Any]]]] = {
    "state": scale_state.run,
    "memory": scale_memory.run,
    "slow-down": scale_slow_down.run,
    "requests": scale_requests.run,
    "growth": scale_growth.run,
    "quotas": scale_quotas.run,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the bench's options."""
    parser.add_argument(
        "--part", action="append", choices=list(PARTS), help="only this part (repeatable)"
    )
    parser.add_argument(
        "--state-cameras", type=int, nargs="+", default=[100, 1_000, 8_000],
        help="cameras of state that are compared (default 100 1000 8000)",
    )  # fmt: skip
    parser.add_argument(
        "--memory-cameras", type=int, nargs="+", default=[1_000, 8_000],
        help="cameras of a real assembler that are compared (default 1000 8000)",
    )  # fmt: skip
    parser.add_argument(
        "--growth-cameras", type=int, default=100, help="cameras during the growth (default 100)"
    )
    parser.add_argument(
        "--request-cameras", type=int, nargs="+", default=[10, 100, 1_000],
        help="cameras whose requests are compared (default 10 100 1000)",
    )  # fmt: skip
    parser.add_argument(
        "--request-windows", type=int, default=3, help="windows of each run (default 3)"
    )
    parser.add_argument(
        "--request-speed", type=float, default=1.5,
        help="seconds of media that a camera sends in a second (default 1.5)",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Run the parts; return their figures."""
    return [
        {"part": part} | figures
        for part in arguments.part or PARTS
        for figures in PARTS[part](arguments)
    ]

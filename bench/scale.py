"""Whether the product grows as its cameras do. One JSON line for each part.

state       memory and CPU of the assembler, for 100 and for 8,000 cameras of state
slow-down   an S3 that refuses above a rate (503 SlowDown): is live footage first, is all kept?
growth      8 -> 64 partitions by `vigil topics grow`, while fragments come: lost, doubled, pause
quotas      the plan for 51 and 500 sites, against AWS's default quotas
"""

import argparse
from collections.abc import Callable
from typing import Any

from bench import scale_growth, scale_quotas, scale_slow_down, scale_state

PARTS: dict[str, Callable[[argparse.Namespace], list[dict[str, Any]]]] = {
    "state": scale_state.run,
    "slow-down": scale_slow_down.run,
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
        "--growth-cameras", type=int, default=100, help="cameras during the growth (default 100)"
    )


def run(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Run the parts; return their figures."""
    return [
        {"part": part} | figures
        for part in arguments.part or PARTS
        for figures in PARTS[part](arguments)
    ]

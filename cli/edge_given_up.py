"""`vigil edge given-up`: which footage this device gave up, and why."""

import argparse
import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from domain.printable import escaped
from domain.unset_clock import is_provisional
from edge_bridge.config import load
from edge_bridge.spool.loss_rows import Loss, read_losses


def add(actions: Any) -> None:
    """Add `edge given-up`."""
    given_up = actions.add_parser("given-up", help="list the footage that was given up, and why")
    given_up.add_argument(
        "--config", type=Path, required=True, help="the configuration of the edge"
    )
    given_up.add_argument("--json", action="store_true", help="print one JSON object per line")
    given_up.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    losses = read_losses(load(arguments.config).spool.dir)
    if arguments.json:
        for loss in losses:
            print(json.dumps(asdict(loss)))
        return 0
    if not losses:
        print("nothing was given up")
        return 0
    from rich.console import Console  # noqa: PLC0415 - a recording edge does not need it
    from rich.table import Table  # noqa: PLC0415 - as above

    table = Table(box=None, pad_edge=False)
    for title in ("camera", "from (UTC)", "to (UTC)", "fragments", "MB", "why", "run"):
        table.add_column(title, overflow="fold")
    for loss in losses:
        table.add_row(*_row(loss))
    Console(highlight=False).print(table)
    return 0


def _row(loss: Loss) -> list[str]:
    count = loss.last_seq - loss.first_seq + 1
    size = f"{loss.bytes / 1e6:.1f}" if loss.bytes else "never written"
    return [
        loss.camera, _utc(loss.from_ms), _utc(loss.to_ms), str(count), size, escaped(loss.why),
        loss.run,
    ]  # fmt: skip


def _utc(ms: int) -> str:
    if is_provisional(ms):
        return f"{ms / 1_000:.0f} s after the device started"
    return datetime.fromtimestamp(ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S")

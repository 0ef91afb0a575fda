"""What one try found, and the table of them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

_COLOURS = {"good": "green", "fair": "yellow", "bad": "red"}
_PIPE_WIDTH = 100
_WHAT_WIDTH = 26


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One thing tried."""

    what: str
    state: Literal["good", "fair", "bad"]
    detail: str
    remedy: str = ""
    """What to do; never empty where the state is not good."""


def print_table(findings: Sequence[CheckResult], file: IO[str] | None = None) -> None:
    """Print what was found, and under each fault what to do; fits 80 columns."""
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    table.add_column("what", max_width=_WHAT_WIDTH, overflow="fold")
    table.add_column("found, and what to do", overflow="fold")
    for one in findings:
        words = Text(_shown(one.detail))
        if one.remedy:
            words.append("\n-> ", style="bold").append(_shown(one.remedy), style="bold")
        table.add_row(Text(one.state, style=_COLOURS[one.state]), _shown(one.what), words)
    console = Console(highlight=False, markup=False, file=file)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _PIPE_WIDTH
    console.print(table)


def _shown(said: str) -> str:
    """Return a text, parts of which strangers wrote, without control letters."""
    return "".join(letter if letter.isprintable() else " " for letter in said)

"""The result of one check, and the table of all results."""

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
    """What was checked, its state, and what to do."""

    what: str
    state: Literal["good", "fair", "bad"]
    detail: str
    remedy: str = ""
    """What to do; never empty where the state is not good."""


def print_table(results: Sequence[CheckResult], file: IO[str] | None = None) -> None:
    """Print the results, and below each problem what to do; fits 80 columns."""
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    table.add_column("what", max_width=_WHAT_WIDTH, overflow="fold")
    table.add_column("result, and what to do", overflow="fold")
    for result in results:
        text = Text(_printable(result.detail))
        if result.remedy:
            text.append("\n-> ", style="bold").append(_printable(result.remedy), style="bold")
        state = Text(result.state, style=_COLOURS[result.state])
        table.add_row(state, _printable(result.what), text)
    console = Console(highlight=False, markup=False, file=file)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _PIPE_WIDTH
    console.print(table)


def _printable(text: str) -> str:
    """Return a text, parts of which come from outside, without control characters."""
    return "".join(letter if letter.isprintable() else " " for letter in text)

"""The list of what the edge gave up, for `vigil edge given-up`."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from domain.errors import ConfigError
from domain.events import FragmentArrived
from edge_bridge.spool.journal_file import JOURNAL_ERRORS
from edge_bridge.spool.rows import SpooledFragment

MAX_ROWS = 10_000
"""Rows that are kept; the oldest are deleted."""
_LOSS = "camera, run, first_seq, last_seq, from_ms, to_ms, bytes, why, at_ms"


@dataclass(frozen=True, slots=True)
class Loss:
    """Consecutive fragments of one run that are lost."""

    camera: str
    run: str
    first_seq: int
    last_seq: int
    from_ms: int
    """UTC start of the first; on the device's steady clock where it is undated."""
    to_ms: int
    """UTC end of the last."""
    bytes: int
    """Bytes that were on the disk; 0: it never was."""
    why: str
    at_ms: int
    """When the last of them was given up."""


def loss_of(row: SpooledFragment, why: str, at_ms: int) -> Loss:
    """Return the loss of one fragment that was on the disk."""
    end_ms = row.start_ms
    if row.event:
        with suppress(ValueError):  # a damaged row is still a loss
            end_ms = FragmentArrived.model_validate_json(row.event).end_ms
    return Loss(
        row.camera, row.run, row.seq, row.seq, row.start_ms, end_ms, row.size, why, at_ms
    )  # fmt: skip


class LossRows:
    """The table; consecutive losses of one run with one reason are one row."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def add(self, loss: Loss) -> None:
        """Add a loss."""
        grown = self._db.execute(
            "UPDATE losses SET last_seq = ?, to_ms = max(to_ms, ?), bytes = bytes + ?, at_ms = ? "
            "WHERE run = ? AND why = ? AND last_seq = ?",
            (
                loss.last_seq, loss.to_ms, loss.bytes, loss.at_ms, loss.run, loss.why,
                loss.first_seq - 1,
            ),
        ).rowcount  # fmt: skip
        if not grown:
            self._db.execute(
                f"INSERT INTO losses ({_LOSS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
                (
                    loss.camera, loss.run, loss.first_seq, loss.last_seq, loss.from_ms,
                    loss.to_ms, loss.bytes, loss.why, loss.at_ms,
                ),
            )  # fmt: skip
            self._db.execute(
                "DELETE FROM losses WHERE id <= (SELECT max(id) FROM losses) - ?", (MAX_ROWS,)
            )

    def list(self) -> list[Loss]:
        """Return all losses, in the order in which they happened."""
        return [Loss(*row) for row in _rows(self._db)]


def read_losses(folder: Path) -> list[Loss]:
    """Return what the edge of a spool gave up; it may be running. Raises ConfigError."""
    path = folder / "journal.db"
    if not path.exists():
        raise ConfigError(
            f"{folder} contains no spool: check spool.dir, and whether this edge has ever run."
        )
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
            return [Loss(*row) for row in _rows(db)]
    except JOURNAL_ERRORS as error:
        raise ConfigError(
            f"{path} cannot be read ({error}): run this command as the user of the edge."
        ) from error


def _rows(db: sqlite3.Connection) -> Iterable[tuple[str, str, int, int, int, int, int, str, int]]:
    return db.execute(f"SELECT {_LOSS} FROM losses ORDER BY id").fetchall()  # noqa: S608

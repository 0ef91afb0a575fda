"""The journal's rows of undated footage: recorded while the clock was wrong. SQL only, no rules.

The run of an undated fragment is provisional: its id and times count from the device's start.
"""

import sqlite3

from domain.unset_clock import FIRST_TRUE_RUN

UNDATED_PREFIX = "held-"
"""Before the type of a message that waits for the time. The journal's indexes contain it."""
_BOOT = "substr(run, -8)"


class UndatedRows:
    """Fragments, runs and messages of provisional runs, and the clock shift of each boot."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def shifts(self) -> dict[str, int]:
        """Return the clock shift, ms, of each boot of the device whose time became known."""
        return dict(self._db.execute("SELECT boot, shift_ms FROM shifts"))

    def fix_shift(self, boot: str, shift_ms: int) -> None:
        """Store a boot's clock shift; the first one counts."""
        self._db.execute(
            "INSERT INTO shifts VALUES (?, ?) ON CONFLICT DO NOTHING", (boot, shift_ms)
        )

    def drop_shifts(self, boot: str) -> None:
        """Delete the shifts of other boots that have no undated run left."""
        self._db.execute(
            "DELETE FROM shifts WHERE boot <> ? AND NOT EXISTS (SELECT 1 FROM runs "
            "WHERE run < ? AND substr(run, -8) = shifts.boot)",
            (boot, FIRST_TRUE_RUN),
        )

    def count(self) -> int:
        """Return how many fragments are undated."""
        row = self._db.execute(
            "SELECT count(*) FROM fragments WHERE run < ? AND state = 0", (FIRST_TRUE_RUN,)
        ).fetchone()
        return int(row[0])

    def fragments(self, limit: int) -> list[tuple[str, str, int]]:
        """Return (camera, run, seq) of undated fragments whose boot's shift is known, in order."""
        return self._db.execute(
            "SELECT camera, run, seq FROM fragments WHERE run < ? "  # noqa: S608
            f"AND {_BOOT} IN (SELECT boot FROM shifts) ORDER BY run, seq LIMIT ?",
            (FIRST_TRUE_RUN, limit),
        ).fetchall()

    def messages(self, limit: int) -> list[tuple[int, str, bytes]]:
        """Return (id, type with the prefix, body) of undated messages, in order."""
        return self._db.execute(
            "SELECT id, type, body FROM messages INDEXED BY messages_held "
            "WHERE type GLOB 'held-*' ORDER BY id LIMIT ?",
            (limit,),
        ).fetchall()

    def empty_runs(self) -> list[tuple[str, str, int, str]]:
        """Return (run, camera, ended_ms, reason) of ended provisional runs without a fragment."""
        return self._db.execute(
            "SELECT run, camera, coalesce(ended_ms, last_ms), coalesce(reason, 'unknown') "
            "FROM runs WHERE run < ? AND end_state = 1 AND NOT EXISTS "
            "(SELECT 1 FROM fragments AS f WHERE f.run = runs.run)",
            (FIRST_TRUE_RUN,),
        ).fetchall()

    def end_as(self, run: str, ended_ms: int, reason: str) -> None:
        """End a true run as its provisional run ended, unless its end was sent already."""
        self._db.execute(
            "UPDATE runs SET ended_ms = ?, reason = ?, end_state = 1 WHERE run = ? "
            "AND end_state <= 1 AND end_event IS NULL",
            (ended_ms, reason, run),
        )

    def drop_run(self, run: str) -> None:
        """Delete a provisional run."""
        self._db.execute("DELETE FROM runs WHERE run = ?", (run,))

    def drop_without_shift(self, boot: str) -> None:
        """Delete rows of given-up fragments from boots whose time will never be known."""
        self._db.execute(
            "DELETE FROM fragments WHERE run < ? AND state = 3 "  # noqa: S608
            f"AND {_BOOT} <> ? AND {_BOOT} NOT IN (SELECT boot FROM shifts)",
            (FIRST_TRUE_RUN, boot),
        )

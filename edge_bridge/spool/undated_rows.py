"""The journal's rows of what is held back until the time is known. No rules but SQL's own."""

import sqlite3

from domain.unset_clock import FIRST_TRUE_RUN

UNDATED_PREFIX = "held-"
"""Before the type of a message that is held; the journal's indexes have it written out."""
_BOOT = "substr(run, -8)"


class UndatedRows:
    """Fragments, runs and messages of provisional runs, and each start's shift."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def shifts(self) -> dict[str, int]:
        """Return the shift, ms, of each start of the device whose time became known."""
        return dict(self._db.execute("SELECT boot, shift_ms FROM shifts"))

    def fix_shift(self, boot: str, shift_ms: int) -> None:
        """Fix a start's shift; the first one counts."""
        self._db.execute(
            "INSERT INTO shifts VALUES (?, ?) ON CONFLICT DO NOTHING", (boot, shift_ms)
        )

    def forget_shifts(self, boot: str) -> None:
        """Drop the shifts of other starts of which nothing is held any more."""
        self._db.execute(
            "DELETE FROM shifts WHERE boot <> ? AND NOT EXISTS (SELECT 1 FROM runs "
            "WHERE run < ? AND substr(run, -8) = shifts.boot)",
            (boot, FIRST_TRUE_RUN),
        )

    def count(self) -> int:
        """Return how many fragments are held."""
        row = self._db.execute(
            "SELECT count(*) FROM fragments WHERE run < ? AND state = 0", (FIRST_TRUE_RUN,)
        ).fetchone()
        return int(row[0])

    def fragments(self, limit: int) -> list[tuple[str, str, int]]:
        """Return (camera, run, seq) of held fragments whose start's shift is known, in order."""
        return self._db.execute(
            "SELECT camera, run, seq FROM fragments WHERE run < ? "  # noqa: S608
            f"AND {_BOOT} IN (SELECT boot FROM shifts) ORDER BY run, seq LIMIT ?",
            (FIRST_TRUE_RUN, limit),
        ).fetchall()

    def messages(self, limit: int) -> list[tuple[int, str, bytes]]:
        """Return (id, type as it is held, body) of held messages, in order."""
        return self._db.execute(
            "SELECT id, type, body FROM messages INDEXED BY messages_held "
            "WHERE type GLOB 'held-*' ORDER BY id LIMIT ?",
            (limit,),
        ).fetchall()

    def empty_runs(self) -> list[tuple[str, str, int, str]]:
        """Return (run, camera, ended_ms, reason) of held runs that ended and have no fragment."""
        return self._db.execute(
            "SELECT run, camera, coalesce(ended_ms, last_ms), coalesce(reason, 'unknown') "
            "FROM runs WHERE run < ? AND end_state = 1 AND NOT EXISTS "
            "(SELECT 1 FROM fragments AS f WHERE f.run = runs.run)",
            (FIRST_TRUE_RUN,),
        ).fetchall()

    def end_as(self, run: str, ended_ms: int, reason: str) -> None:
        """End a true run as its provisional one ended, unless its end was told already."""
        self._db.execute(
            "UPDATE runs SET ended_ms = ?, reason = ?, end_state = 1 WHERE run = ? "
            "AND end_state <= 1 AND end_event IS NULL",
            (ended_ms, reason, run),
        )

    def drop_run(self, run: str) -> None:
        """Forget a provisional run."""
        self._db.execute("DELETE FROM runs WHERE run = ?", (run,))

    def drop_untold(self, boot: str) -> None:
        """Forget traces of fragments given up that belong to starts whose time is never known."""
        self._db.execute(
            "DELETE FROM fragments WHERE run < ? AND state = 3 "  # noqa: S608
            f"AND {_BOOT} <> ? AND {_BOOT} NOT IN (SELECT boot FROM shifts)",
            (FIRST_TRUE_RUN, boot),
        )

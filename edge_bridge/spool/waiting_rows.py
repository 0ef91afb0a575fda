"""The journal's rows of fragments that are not in the cloud yet, and which of them is next."""

import sqlite3
from collections.abc import Sequence

from domain.unset_clock import FIRST_TRUE_RUN
from edge_bridge.spool.rows import FragmentState, SpooledFragment

FRAGMENT = "camera, run, seq, start_ms, size, event, state, prev_sha256"


class WaitingRows:
    """Queries of what waits; nothing here changes a row."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def between(self, from_ms: int, to_ms: int, limit: int) -> list[SpooledFragment]:
        """Return fragments to upload that start in from_ms..to_ms, oldest first, none undated."""
        return fragments(
            self._db,
            # The `+` keeps SQLite on the index by state and start.
            "WHERE state = ? AND +run >= ? AND start_ms >= ? AND start_ms < ? "
            "ORDER BY start_ms LIMIT ?",
            (FragmentState.STORED, FIRST_TRUE_RUN, from_ms, to_ms, limit),
        )

    def cameras(self) -> list[str]:
        """Return the cameras of which anything waits, undated or not."""
        found: list[str] = []
        while True:  # one index lookup for each camera, however much waits
            row = self._db.execute(
                "SELECT camera FROM fragments WHERE state = ? AND camera > ? "
                "ORDER BY camera LIMIT 1",
                (FragmentState.STORED, found[-1] if found else ""),
            ).fetchone()
            if row is None:
                return found
            found.append(row[0])

    def oldest_of(self, camera: str, limit: int) -> list[SpooledFragment]:
        """Return the oldest fragments of a camera that wait, undated or not."""
        return fragments(
            self._db,
            "WHERE state = ? AND camera = ? ORDER BY start_ms LIMIT ?",
            (FragmentState.STORED, camera, limit),
        )

    def on_disk(self, state: FragmentState, limit: int) -> list[SpooledFragment]:
        """Return the oldest fragments in a state that have a file."""
        return fragments(
            self._db, "WHERE state = ? AND size > 0 ORDER BY start_ms LIMIT ?", (state, limit)
        )


def fragments(
    db: sqlite3.Connection, where: str, arguments: Sequence[object]
) -> list[SpooledFragment]:
    """Return the fragments that a clause selects."""
    rows = db.execute(f"SELECT {FRAGMENT} FROM fragments {where}", arguments)  # noqa: S608
    return [
        SpooledFragment(camera, run, seq, start_ms, size, event, FragmentState(state), previous)
        for camera, run, seq, start_ms, size, event, state, previous in rows
    ]

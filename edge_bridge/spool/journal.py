"""The SQLite rows of the spool. SQL only; the rules are in spool.py."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from domain.identity import FragmentId
from domain.seqs import SeqRanges
from domain.unset_clock import FIRST_TRUE_RUN
from edge_bridge.spool.journal_file import open_journal
from edge_bridge.spool.loss_rows import LossRows
from edge_bridge.spool.rows import (
    EndState,
    FragmentState,
    OutboxMessage,
    SpoolCounts,
    SpooledFragment,
    SpooledRun,
)
from edge_bridge.spool.undated_rows import UndatedRows
from edge_bridge.spool.waiting_rows import FRAGMENT, WaitingRows, fragments

_RUN = "run, camera, last_seq, last_ms, ended_ms, reason, end_event, end_state"


class Journal:
    """The rows. Each method is one durable transaction, unless called within `transaction`."""

    def __init__(self, path: Path, suspected: bool = False) -> None:
        """Open or make the journal; raises as `open_journal` does."""
        self.path = path
        self._db = open_journal(path, suspected)
        self.undated = UndatedRows(self._db)
        self.waiting = WaitingRows(self._db)
        self.losses = LossRows(self._db)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def transaction(self) -> AbstractContextManager[object]:
        """Return a context in which all changes are one transaction, rolled back on an error."""
        return _Transaction(self._db)

    # Fragments

    def put_fragment(self, row: SpooledFragment, end_ms: int) -> None:
        """Add a fragment and update its run; a row that exists is not changed."""
        self._db.execute(
            f"INSERT INTO fragments ({FRAGMENT}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) "  # noqa: S608
            "ON CONFLICT DO NOTHING",
            (
                row.camera,
                row.run,
                row.seq,
                row.start_ms,
                row.size,
                row.event,
                row.state,
                row.prev_sha256,
            ),
        )
        self._db.execute(
            "UPDATE runs SET last_seq = max(last_seq, ?), last_ms = max(last_ms, ?) WHERE run = ?",
            (row.seq, end_ms, row.run),
        )

    def set_state(self, ids: Iterable[FragmentId], state: FragmentState) -> None:
        """Move fragments to a later state; never back."""
        self._db.executemany(
            "UPDATE fragments SET state = ?1 WHERE run = ?2 AND seq = ?3 AND state < ?1",
            [(state, one.run, one.seq) for one in ids],
        )

    def without_file(self, one: FragmentId) -> None:
        """Record that a fragment has no file any more."""
        self._db.execute(
            "UPDATE fragments SET size = 0 WHERE run = ? AND seq = ?", (one.run, one.seq)
        )

    def drop_fragment(self, one: FragmentId) -> None:
        """Delete a fragment's row."""
        self._db.execute("DELETE FROM fragments WHERE run = ? AND seq = ?", (one.run, one.seq))

    def fragments(self, state: FragmentState, limit: int) -> list[SpooledFragment]:
        """Return fragments in a state, oldest first, none undated."""
        return fragments(
            self._db,
            "WHERE state = ? AND +run >= ? ORDER BY start_ms LIMIT ?",
            (state, FIRST_TRUE_RUN, limit),
        )

    def fragment(self, run: str, seq: int) -> SpooledFragment | None:
        """Return a fragment's row."""
        found = fragments(self._db, "WHERE run = ? AND seq = ?", (run, seq))
        return found[0] if found else None

    def all_fragments(self) -> Iterable[tuple[FragmentId, FragmentState, int]]:
        """Return identity, state and size of all rows."""
        rows = self._db.execute("SELECT camera, run, seq, state, size FROM fragments").fetchall()
        return [(FragmentId(*row[:3]), FragmentState(row[3]), row[4]) for row in rows]

    def rows_of_run(
        self, run: str, after: int = -1, limit: int = -1
    ) -> list[tuple[FragmentId, FragmentState, int]]:
        """Return identity, state and size of a run's rows after a seq, in order; -1: all of them.

        Raises ValueError where a state is not a known one.
        """
        rows = self._db.execute(
            "SELECT camera, run, seq, state, size FROM fragments WHERE run = ? AND seq > ? "
            "ORDER BY seq LIMIT ?",
            (run, after, limit),
        )
        return [(FragmentId(*row[:3]), FragmentState(row[3]), row[4]) for row in rows]

    def runs_with_fragments(self) -> Iterator[str]:
        """Yield the runs of all fragments, one index lookup each."""
        at = ""
        while True:
            row = self._db.execute(
                "SELECT run FROM fragments WHERE run > ? ORDER BY run LIMIT 1", (at,)
            ).fetchone()
            if row is None:
                return
            at = row[0]
            yield at

    def repair_event(self, one: FragmentId, event: str) -> None:
        """Replace the event in a fragment's row."""
        self._db.execute(
            "UPDATE fragments SET event = ? WHERE run = ? AND seq = ?", (event, one.run, one.seq)
        )

    def given_up(self, run: str) -> SeqRanges:
        """Return the seqs of a run that were given up."""
        rows = self._db.execute(
            "SELECT seq FROM fragments WHERE run = ? AND state = ?", (run, FragmentState.GIVEN_UP)
        )
        return SeqRanges.of(row[0] for row in rows)

    # Runs

    def put_run(self, run: str, camera: str) -> bool:
        """Add an open run; False where it exists already."""
        cursor = self._db.execute(
            "INSERT INTO runs (run, camera) VALUES (?, ?) ON CONFLICT DO NOTHING", (run, camera)
        )
        return cursor.rowcount == 1

    def run(self, run: str) -> SpooledRun | None:
        """Return a run's row."""
        found = self._runs("WHERE run = ?", (run,))
        return found[0] if found else None

    def runs(self, state: EndState) -> list[SpooledRun]:
        """Return the runs whose end is in a state."""
        return self._runs("WHERE end_state = ? ORDER BY run", (state,))

    def settled_runs(self) -> list[SpooledRun]:
        """Return ended runs whose fragments are all noticed or given up, none undated any more."""
        return self._runs(
            """WHERE end_state = ?1 AND +run >= ?2
            -- every fragment is noticed or given up
            AND NOT EXISTS (SELECT 1 FROM fragments AS f INDEXED BY fragments_due
                WHERE f.run = runs.run AND f.state < 2)
            -- the run has no undated part left: its provisional run differs in the time alone
            AND NOT EXISTS (SELECT 1 FROM runs AS h
                WHERE h.run < ?2 AND substr(h.run, 14) = substr(runs.run, 14))
            ORDER BY run""",
            (EndState.ENDED, FIRST_TRUE_RUN),
        )

    def end_run(self, run: str, ended_ms: int, reason: str) -> None:
        """End a run that is open."""
        self._db.execute(
            "UPDATE runs SET ended_ms = ?, reason = ?, end_state = ? WHERE run = ? "
            "AND end_state = ?",
            (ended_ms, reason, EndState.ENDED, run, EndState.OPEN),
        )

    def reopen_run(self, run: str) -> None:
        """Open a run again whose end was not sent: it is still being recorded."""
        self._db.execute(
            "UPDATE runs SET end_state = 0, ended_ms = NULL, reason = NULL WHERE run = ? "
            "AND end_state = 1 AND end_event IS NULL",
            (run,),
        )

    def freeze_end(self, run: str, event: str) -> None:
        """Store the event of a run's end."""
        self._db.execute("UPDATE runs SET end_event = ? WHERE run = ?", (event, run))

    def set_end_state(self, run: str, state: EndState) -> None:
        """Set the state of a run's end."""
        self._db.execute("UPDATE runs SET end_state = ? WHERE run = ?", (state, run))

    def drop_ended_runs(self) -> None:
        """Delete runs whose end is noticed, and their rows of given-up fragments."""
        self._db.execute(
            "DELETE FROM fragments WHERE state = ? AND run IN "
            "(SELECT run FROM runs WHERE end_state = ?)",
            (FragmentState.GIVEN_UP, EndState.NOTICED),
        )
        self._db.execute(
            "DELETE FROM runs WHERE end_state = ? AND NOT EXISTS "
            "(SELECT 1 FROM fragments AS f WHERE f.run = runs.run)",
            (EndState.NOTICED,),
        )

    def _runs(self, where: str, arguments: Sequence[object]) -> list[SpooledRun]:
        rows = self._db.execute(f"SELECT {_RUN} FROM runs {where}", arguments)  # noqa: S608
        return [
            SpooledRun(run, camera, last_seq, last_ms, ended_ms, reason, event, EndState(state))
            for run, camera, last_seq, last_ms, ended_ms, reason, event, state in rows
        ]

    # Messages

    def put_message(self, kind: str, body: bytes) -> None:
        """Add a message at the end."""
        self._db.execute(
            "INSERT INTO messages (type, size, body) VALUES (?, ?, ?)", (kind, len(body), body)
        )

    def messages(self, limit: int) -> list[OutboxMessage]:
        """Return the oldest messages that may be sent, in order."""
        rows = self._db.execute(
            "SELECT id, type, body FROM messages WHERE type NOT GLOB 'held-*' ORDER BY id LIMIT ?",
            (limit,),
        )
        return [OutboxMessage(*row) for row in rows]

    def drop_messages(self, ids: Iterable[int]) -> None:
        """Delete messages."""
        self._db.executemany("DELETE FROM messages WHERE id = ?", [(one,) for one in ids])

    def message_bytes(self) -> int:
        """Return the bytes of all messages."""
        row = self._db.execute("SELECT coalesce(sum(size), 0) FROM messages").fetchone()
        return int(row[0])

    def file_bytes(self) -> int:
        """Return the bytes of all fragments that have a file."""
        row = self._db.execute("SELECT bytes FROM totals WHERE name = 'fragments'").fetchone()
        return int(row[0])

    def drop_oldest_messages(self, kind: str, min_bytes: int) -> tuple[int, int]:
        """Delete the oldest messages of a type until that many bytes are free, or none is left.

        Returns how many, and their bytes.
        """
        freed, ids = 0, []
        for one, size in self._db.execute(
            "SELECT id, size FROM messages WHERE type = ? ORDER BY id", (kind,)
        ):
            if freed >= min_bytes:
                break
            freed += size
            ids.append(one)
        self.drop_messages(ids)
        return len(ids), freed

    def counts(self) -> SpoolCounts:
        """Return how much waits for the cloud."""
        by_state = {
            state: (count, oldest)
            for state, count, oldest in self._db.execute(
                "SELECT state, count(*), min(start_ms) FROM fragments WHERE state < 2 "
                "AND +run >= ? GROUP BY state",
                (FIRST_TRUE_RUN,),
            )
        }
        messages, size = self._db.execute(
            "SELECT count(*), coalesce(sum(size), 0) FROM messages WHERE type NOT GLOB 'held-*'"
        ).fetchone()
        (ending,) = self._db.execute(
            "SELECT count(*) FROM runs WHERE end_state IN (1, 2) AND +run >= ?", (FIRST_TRUE_RUN,)
        ).fetchone()
        stored, oldest = by_state.get(FragmentState.STORED, (0, None))
        uploaded, _ = by_state.get(FragmentState.UPLOADED, (0, None))
        return SpoolCounts(stored, uploaded, oldest, messages, size, ending, self.undated.count())


class _Transaction:
    """BEGIN IMMEDIATE ... COMMIT, with a rollback on any exception."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._db.execute("COMMIT")
        finally:
            if self._db.in_transaction:  # SQLite itself rolls back where the disk fails
                self._db.execute("ROLLBACK")

"""Opens the journal's file and checks its integrity."""

import sqlite3
from importlib import resources
from pathlib import Path

from domain.errors import StoreError

VERSION = 1
"""Version of the tables. Any other journal is quarantined and rebuilt from the fragments' files."""
MAX_CHECKED_BYTES = 64 << 20
"""A larger journal is checked as a whole only on suspicion: it takes 10 s a GiB and more, during
which nothing is recorded. Recovery reads each row anyway, alongside recording."""
_COLUMNS = {
    "fragments": "run, seq, camera, start_ms, size, event, state, prev_sha256",
    "runs": "run, camera, last_seq, last_ms, ended_ms, reason, end_event, end_state",
    "messages": "id, type, size, body",
    "shifts": "boot, shift_ms",
    "losses": "id, camera, run, first_seq, last_seq, from_ms, to_ms, bytes, why, at_ms",
    "totals": "name, bytes",
}
_ADDED_COLUMNS = (("fragments", "prev_sha256", "TEXT"),)
"""Columns that version 1 had not at first. A program that does not know them leaves them null."""
JOURNAL_ERRORS = (sqlite3.Error, UnicodeDecodeError)
"""What a statement raises. Python raises the second where a message of SQLite quotes damage."""
_DISK_ERRORS = {
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PERM, sqlite3.SQLITE_NOMEM,
}  # fmt: skip
"""Errors of the disk: the file itself may be intact."""


def is_damage(error: Exception) -> bool:
    """Return whether an error shows that the journal itself is damaged."""
    if isinstance(error, sqlite3.Error):
        # Invalid text has no code: Python raises it, not SQLite.
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
        return code & 0xFF not in _DISK_ERRORS
    return isinstance(error, ValueError)


def open_journal(path: Path, suspected: bool = False) -> sqlite3.Connection:
    """Open or make the journal; `suspected`: check all of it, whatever its size.

    Raises StoreError where it is not an intact journal of this version. Raises
    sqlite3.OperationalError where the disk does not let it be used.
    """
    for part in (path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))):
        if part.is_dir():
            raise StoreError(f"{part} is a folder.")
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        _prepare(db)
        thorough = suspected or path.stat().st_size < MAX_CHECKED_BYTES
        result = _check_integrity(db) if thorough else "ok"
    except (sqlite3.DatabaseError, ValueError) as error:
        db.close()
        if not is_damage(error):
            raise
        raise StoreError(f"{path} is damaged ({error}).") from error
    except BaseException:
        db.close()
        raise
    if result != "ok":
        db.close()
        raise StoreError(f"{path} is damaged ({result}).")
    return db


def _prepare(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA wal_autocheckpoint = 256")  # pages: the WAL stays near 1 MiB
    db.execute("PRAGMA cache_size = -512")  # KiB; the system keeps the rest in its cache
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version not in (0, VERSION):
        raise sqlite3.DatabaseError(f"its tables have version {version}, not {VERSION}")
    db.executescript(resources.files(__package__).joinpath("journal.sql").read_text())
    for table, column, kind in _ADDED_COLUMNS:
        known = db.execute("SELECT name FROM pragma_table_info(?)", (table,))
        if (column,) not in known.fetchall():
            db.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")
    for table, columns in _COLUMNS.items():
        db.execute(f"SELECT {columns} FROM {table} LIMIT 0")  # noqa: S608
        # Compiled, not run: a damaged definition of an index or a constraint fails here already.
        values = [None] * len(columns.split(", "))
        marks = ", ".join("?" for _ in values)
        db.execute(f"EXPLAIN INSERT INTO {table} ({columns}) VALUES ({marks})", values)  # noqa: S608
    if not version:
        db.execute(f"PRAGMA user_version = {VERSION}")


def _check_integrity(db: sqlite3.Connection) -> str:
    (result,) = db.execute("PRAGMA integrity_check(1)").fetchone()
    for table, columns in _COLUMNS.items():
        for _ in db.execute(f"SELECT {columns} FROM {table}"):  # noqa: S608
            pass  # invalid text raises
    db.execute("UPDATE totals SET bytes = (SELECT coalesce(sum(size), 0) FROM fragments)")
    return str(result)

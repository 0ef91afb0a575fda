"""The table of open windows: what the assembler remembers.

key        camera id (the same as the events', so it is on the partition of its camera)
value      CameraWindows.snapshot(): all runs of one camera, as JSON
bound      WindowRules: max_runs runs a camera, max_open_fragments fragments in its open windows,
           max_ranges ranges of seqs a run; below one Kafka message. About 130 bytes a fragment
           that waits: 4 to 12 KB for a camera that records
changelog  <app id>-open-windows-changelog, compacted; a camera without runs has no entry
"""

from typing import Any, Protocol

from pydantic_core import from_json, to_json

from domain.camera_windows import CameraWindows
from domain.windows import WindowRules
from streams.app import App
from tables.json_values import JsonValues

NAME = "open-windows"


class KeyValueTable(Protocol):
    """The part of a Faust table that is used: entries by camera."""

    def get(self, key: str) -> Any:
        """Return the entry, or None."""

    def __setitem__(self, key: str, value: Any) -> None: ...

    def pop(self, key: str, default: Any = None) -> Any:
        """Remove the entry; its tombstone goes to the changelog."""

    def keys(self) -> Any:
        """Return all cameras of the partitions this worker has."""


def open_windows(app: App) -> Any:
    """Declare the table for `app`; written by the assembler alone (tables/window_cache.py)."""
    table = app.Table(
        NAME,
        default=None,
        partitions=app.settings.partitions,
        key_type=str,
        help="Windows of each camera that are not yet sealed",
    )
    table.value_serializer = JsonValues()
    return table


def load_windows(table: KeyValueTable, camera: str, rules: WindowRules) -> CameraWindows:
    """Return a camera's windows, empty where none are kept."""
    value = table.get(camera)
    if isinstance(value, bytes):  # of a store in memory, which keeps what was written
        value = from_json(value)
    return CameraWindows.restore(camera, rules, value)


def encode_windows(windows: CameraWindows) -> bytes:
    """Return the entry of a camera's windows as JSON; empty where nothing is left to remember.

    Bytes, because thousands of entries are kept until they are written: as lists and dicts the
    garbage collector would check them again and again.
    """
    snapshot = windows.snapshot()
    return to_json(snapshot) if snapshot else b""


def store_windows(table: KeyValueTable, camera: str, entry: bytes) -> None:
    """Keep the entry of a camera; remove it where it is empty."""
    if entry:
        table[camera] = entry
    else:
        table.pop(camera, None)

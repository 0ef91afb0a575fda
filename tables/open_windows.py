"""The table of open windows: what the assembler remembers.

key        camera id (the same as the events', so it is on the partition of its camera)
value      CameraWindows.snapshot(): all runs of one camera, as JSON
bound      WindowRules: max_runs runs a camera, max_open_fragments fragments in its open windows,
           max_ranges ranges of seqs a run; below one Kafka message. About 130 bytes a fragment
           that waits: 4 to 12 KB for a camera that records
changelog  <app id>-open-windows-changelog, compacted; a camera without runs has no entry
"""

from typing import Any, Protocol

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
    return CameraWindows.restore(camera, rules, table.get(camera))


def store_windows(table: KeyValueTable, camera: str, snapshot: dict[str, Any]) -> None:
    """Keep a camera's windows, or remove the entry where nothing is left to remember."""
    if snapshot:
        table[camera] = snapshot
    else:
        table.pop(camera, None)

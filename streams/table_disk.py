"""The disk of a worker's tables, full or broken: one sentence, and the process ends.

Nothing is lost: the changelogs have what the disk lacks, and events in progress come again.
"""

import asyncio
import errno
from pathlib import Path
from typing import Any

from domain.errors import VigilError
from streams.process_exit import exit_process

FULL = ("No space left on device", "Disk quota exceeded", "File too large")
LOCKED = ("lock hold by current process", "While lock file")
DAMAGED_PREFIXES = ("Corruption:", "Invalid argument:", "Not implemented:")
"""How RocksDB's errors about its files begin; errors of the disk begin with `IO error:`."""
DAMAGED = ("No such file or directory: While open", "File exists (os error 17)")
"""A part of the files is missing, or a file is where the folder should be."""


class TableDiskError(VigilError):
    """The files of a table cannot be read or written. The text is RocksDB's own."""

    @property
    def damaged(self) -> bool:
        """Whether the files are damaged; else it is the disk."""
        text = str(self)
        return text.startswith(DAMAGED_PREFIXES) or any(each in text for each in DAMAGED)


def is_disk_error(error: BaseException | None) -> bool:
    """Return whether an error is one of the disk."""
    return isinstance(error, TableDiskError) or (
        isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    )


def disk_error_text(error: BaseException | None, folder: Path) -> str:
    """Return what is wrong with the disk of `folder` and the remedy; empty: nothing is."""
    if not is_disk_error(error):
        return ""
    text = str(error)
    if isinstance(error, OSError) or any(each in text for each in FULL):
        return (
            f"The disk of the tables is full ({folder}). Free some space, or delete that folder: "
            "its tables are recovered from Kafka. Nothing is lost."
        )
    if any(each in text for each in LOCKED):
        return (
            f"Another process uses the tables in {folder}. Stop it, or give this worker a "
            "VIGIL_WORKER_INSTANCE of its own."
        )
    if isinstance(error, TableDiskError) and error.damaged:
        return (
            f"Table files in {folder} are damaged: {text[:300]}. At the next start their tables "
            "are recovered from Kafka. Nothing is lost."
        )
    return (
        f"The disk of the tables does not work ({folder}): {text[:300]}. Repair it, or set "
        "VIGIL_DATA_DIR to another one: tables are recovered from Kafka. Nothing is lost."
    )


def exit_on_disk_error(loop: asyncio.AbstractEventLoop, folder: Path) -> None:
    """End the process where a callback of this loop fails by the disk; Faust only logs that."""

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if text := disk_error_text(context.get("exception"), folder):
            exit_process(text)
        loop.default_exception_handler(context)

    loop.set_exception_handler(handle)

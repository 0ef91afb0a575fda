"""The disk of a worker's tables, full or broken: one sentence, and the process ends.

Nothing is lost by it: what the disk lacks stands in the changelogs, what was in hand comes again.
"""

import asyncio
import errno
from pathlib import Path
from typing import Any

from streams.process_exit import exit_process

try:
    from rocksdb.errors import RocksIOError
except ImportError:  # tables in memory alone

    class RocksIOError(Exception):  # type: ignore[no-redef]
        """Never raised."""


FULL = ("No space left on device", "Disk quota exceeded", "File too large")


def is_disk_error(error: BaseException | None) -> bool:
    """Say whether an error is one of the disk."""
    return isinstance(error, RocksIOError) or (
        isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    )


def disk_error_text(error: BaseException | None, folder: Path) -> str:
    """Return what is wrong with the disk of `folder` and the remedy; empty where it is not that."""
    if not is_disk_error(error):
        return ""
    text = str(error)
    if isinstance(error, OSError) or any(each in text for each in FULL):
        return (
            f"The disk of the tables is full ({folder}). Make room there, or delete that folder: "
            "its tables are recovered from Kafka. Nothing is lost."
        )
    return (
        f"The disk of the tables does not work ({folder}): {text[:300]}. Mend it, or set "
        "VIGIL_DATA_DIR to another one: tables are recovered from Kafka. Nothing is lost."
    )


def exit_on_disk_error(loop: asyncio.AbstractEventLoop, folder: Path) -> None:
    """End the process where a callback of this loop fails by the disk, which is only logged."""

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if text := disk_error_text(context.get("exception"), folder):
            exit_process(text)
        loop.default_exception_handler(context)

    loop.set_exception_handler(handle)

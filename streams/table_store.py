"""Faust's RocksDB store for tables, on rocksdict, with typed errors and quarantine of damage.

rocksdict reads the files that the older binding (faust-streaming-rocksdb) wrote, without a
conversion: the same keys, values and offset key. tests/unit/streams/test_table_store.py holds that.

rocksdict raises plain Exception for everything. Here it becomes TableDiskError, so that the worker
distinguishes a full disk from a fault of its own. Files that cannot be read as a table are moved to
`<partition>.db.damaged`. Their table is then recovered from its changelog.
"""

import logging
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from faust.stores import STORES
from faust.stores import rocksdb as driver
from faust.types import TP

from streams.table_disk import TableDiskError

URL = "rocksdict://"
"""What `store=` of an app is set to, for tables in RocksDB."""

STORES.aliases["rocksdict"] = "streams.table_store:TableStore"

log = logging.getLogger(__name__)


class TableStore(driver.Store):
    """One table's partitions, a RocksDB folder each."""

    # -- opening

    async def _try_open_db_for_partition(
        self, partition: int, *args: Any, **options: Any
    ) -> driver.DB:
        self._quarantine_if_damaged(partition)
        return await super()._try_open_db_for_partition(partition, *args, **options)

    def persisted_offset(self, tp: TP) -> int | None:
        """Return the changelog offset that the files reach; None: recover all of the changelog."""
        self._quarantine_if_damaged(tp.partition)
        with self._errors():
            return super().persisted_offset(tp)

    def _quarantine_if_damaged(self, partition: int) -> None:
        """Open a partition; move its files away where they are damaged.

        Only called before a recovery, which then fills the new, empty files.
        """
        try:
            self._db_for_partition(partition)
        except TableDiskError as error:
            if error.damaged:
                self._quarantine(partition, error)

    def _quarantine(self, partition: int, error: TableDiskError) -> None:
        files = self.partition_path(partition)
        moved_to = files.with_name(f"{files.name}.damaged")
        try:
            if moved_to.is_dir():
                shutil.rmtree(moved_to)  # one copy is kept: the newest
            files.rename(moved_to)
        except OSError as refusal:
            raise TableDiskError(str(refusal)) from refusal
        log.error(
            "The table files %s are damaged (%s). They were moved to %s. The table is recovered "
            "from its changelog; nothing is lost.",
            files,
            str(error),  # not the error itself: its traceback would keep the files open
            moved_to,
        )

    def _open_for_partition(self, partition: int) -> driver.DB:
        with self._errors():
            return super()._open_for_partition(partition)

    # -- reading and writing

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn rocksdict's errors into TableDiskError."""
        try:
            yield
        except TableDiskError:
            raise
        except Exception as error:
            raise self._translated(error) from error

    def _translated(self, error: Exception) -> Exception:
        """Return TableDiskError for an error of rocksdict, and any other error as it is.

        Damage that shows only when a block is read is quarantined at once. The worker ends, and
        recovers the table when it starts again.
        """
        if type(error) is not Exception:
            return error
        fault = TableDiskError(str(error))
        if fault.damaged:
            for partition in list(self._dbs):
                if f"/{self.partition_path(partition).name}/" in str(error):
                    self._quarantine(partition, fault)
        return fault

    def set_persisted_offset(self, tp: TP, offset: int) -> None:
        """Note up to where of the changelog the files reach."""
        try:
            super().set_persisted_offset(tp, offset)
        except Exception as error:
            raise self._translated(error) from error

    def apply_changelog_batch(self, batch: Iterable[Any], to_key: Any, to_value: Any) -> None:
        """Write what was read from the changelog."""
        with self._errors():
            super().apply_changelog_batch(batch, to_key, to_value)

    def _get(self, key: bytes) -> bytes | None:
        try:
            return super()._get(key)
        except Exception as error:
            raise self._translated(error) from error

    def _set(self, key: bytes, value: bytes | None) -> None:
        try:
            super()._set(key, value)
        except Exception as error:
            raise self._translated(error) from error

    def _del(self, key: bytes) -> None:
        with self._errors():
            super()._del(key)

    def _contains(self, key: bytes) -> bool:
        with self._errors():
            return super()._contains(key)

    def _visible_items(self, db: driver.DB) -> Iterator[tuple[bytes, bytes]]:
        with self._errors():
            yield from super()._visible_items(db)

    def _visible_keys(self, db: driver.DB) -> Iterator[bytes]:
        with self._errors():
            yield from super()._visible_keys(db)

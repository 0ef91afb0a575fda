"""Faust's RocksDB store for tables, on rocksdict, with typed errors and quarantine of damage.

rocksdict reads the files that the older binding (faust-streaming-rocksdb) wrote, without a
conversion: the same keys, values and offset key. tests/unit/streams/test_table_store.py holds that.

rocksdict raises plain Exception for everything. Here it becomes TableDiskError, so that the worker
distinguishes a full disk from a fault of its own. Files that cannot be read as a table are moved to
`<partition>.db.damaged`. Their table is then recovered from its changelog.
"""

import logging
import shutil
from typing import Any

from faust.stores import STORES

from streams.delivery.faust_private import StoreBase
from streams.table_disk import TableDiskError

URL = "rocksdict://"
"""What `store=` of an app is set to, for tables in RocksDB."""

OPTIONS = {
    "write_buffer_size": 1 << 20,
    "max_write_buffer_number": 2,
    "target_file_size_base": 1 << 20,
    "block_cache_size": 1 << 20,
}
"""Of each partition's RocksDB, bytes. Faust's own are 3 buffers of 64 MiB and 2 GiB of cache.

A worker with 64 partitions would fill 12 GiB with values that were replaced long ago.
"""

STORES.aliases["rocksdict"] = "streams.table_store:TableStore"

log = logging.getLogger(__name__)


class TableStore(StoreBase):
    """One table's partitions, a RocksDB folder each."""

    def __init__(self, url: Any, app: Any, table: Any, **options: Any) -> None:
        options["options"] = OPTIONS | dict(options.get("options") or {})
        super().__init__(url, app, table, **options)

    def before_recovery(self, partition: int) -> None:
        """Open a partition; move its files away where they are damaged."""
        try:
            self.open_partition(partition)
        except TableDiskError as error:
            if error.damaged:
                self._quarantine(partition, error)

    def translated(self, error: Exception) -> Exception:
        """Return TableDiskError for an error of rocksdict, and any other error as it is.

        Damage that shows only when a block is read is quarantined at once. The worker ends, and
        recovers the table when it starts again.
        """
        if type(error) is not Exception:
            return error
        fault = TableDiskError(str(error))
        if fault.damaged:
            for partition in self.opened_partitions():
                if f"/{self.partition_path(partition).name}/" in str(error):
                    self._quarantine(partition, fault)
        return fault

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

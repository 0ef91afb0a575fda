"""Tables on rocksdict: files of the older binding, damaged files, a full and a locked disk."""

import contextlib
import gc
import json
import logging
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from faust.streams import current_event
from faust.types import TP

from streams import table_store
from streams.app import make_app
from streams.delivery import table_context
from streams.settings import get_settings
from streams.table_disk import TableDiskError, disk_error_text, is_disk_error
from streams.table_store import TableStore
from tables.open_windows import open_windows

OLD = Path(__file__).parents[2] / "data" / "tables-rocksdb-0.9.3"
EXPECTED = json.loads((OLD / "expected.json").read_text())
PARTITIONS = (0, 1)


class OpenTable:
    """The table of open windows of one worker, in a folder."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("VIGIL_DATA_DIR", str(folder))
        monkeypatch.setenv("VIGIL_PARTITIONS", str(len(PARTITIONS)))
        get_settings.cache_clear()
        app = make_app("assemble")
        app.conf.tabledir.mkdir(parents=True, exist_ok=True)
        self.folder = app.conf.tabledir
        self.table = open_windows(app)
        tps = {self.tp(number) for number in PARTITIONS}
        app.assignor.assigned_actives = lambda: tps  # type: ignore[method-assign]

    def tp(self, partition: int) -> TP:
        return TP(self.table.changelog_topic_name, partition)

    @property
    def store(self) -> TableStore:
        store = self.table.data
        assert isinstance(store, TableStore)
        return store

    async def assign(self) -> None:
        """Take the partitions, as a rebalance does."""
        await self.store.assign_partitions(self.table, {self.tp(number) for number in PARTITIONS})

    def offsets(self) -> list[int | None]:
        return [self.store.persisted_offset(self.tp(number)) for number in PARTITIONS]

    def put(self, partition: int, camera: str, value: Any) -> None:
        with table_context.source_partition("fragment-arrived", partition):
            assert current_event() is not None
            self.store[camera] = value

    def get(self, partition: int, camera: str) -> Any:
        with table_context.source_partition("fragment-arrived", partition):
            return self.store[camera]

    def close(self) -> None:
        self.store._dbs.clear()
        gc.collect()


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenTable]:
    table = OpenTable(tmp_path, monkeypatch)
    yield table
    table.close()
    get_settings.cache_clear()


def old_files(table: OpenTable) -> None:
    """Put the older binding's files where the table's are."""
    for number in PARTITIONS:
        name = f"open-windows-{number}.db"
        shutil.copytree(OLD / name, table.folder / name)


async def test_the_files_of_the_older_binding_are_read_whole(table: OpenTable) -> None:
    old_files(table)
    await table.assign()
    assert table.offsets() == EXPECTED["offsets"]
    assert dict(table.store.items()) == EXPECTED["entries"]
    assert not list(table.folder.glob("*.damaged"))


async def test_values_that_were_replaced_do_not_stay_in_memory(table: OpenTable) -> None:
    await table.assign()
    value = {"x": "v" * 10_000}
    for number in range(1_000):  # 10 MB of one entry: a memory table of 1 MiB is full 9 times
        table.put(1, "acme/berlin/gate", value | {"number": number})
    assert list(table.folder.glob("open-windows-1.db/*.sst"))
    assert table.get(1, "acme/berlin/gate")["number"] == 999


async def test_the_files_of_the_older_binding_are_written_further(table: OpenTable) -> None:
    old_files(table)
    await table.assign()
    kept = dict(table.store.items())
    first = next(iter(kept))
    del table.store[first]
    del kept[first]
    table.put(1, "acme/berlin/new", {"a": 1})
    kept["acme/berlin/new"] = {"a": 1}
    table.store.set_persisted_offset(table.tp(1), 77)
    for _ in range(2):
        table.close()
        await table.assign()
        assert dict(table.store.items()) == kept
        assert table.offsets() == [EXPECTED["offsets"][0], 77]


def _break_manifest(files: Path) -> None:
    manifest = next(files.glob("MANIFEST-*"))
    content = manifest.read_bytes()
    manifest.write_bytes(content[:40] + bytes(20) + content[60:])


def _cut_tables(files: Path) -> None:
    for each in files.glob("*.sst"):
        each.write_bytes(each.read_bytes()[:-60])


def _remove_manifest(files: Path) -> None:
    next(files.glob("MANIFEST-*")).unlink()


def _remove_tables(files: Path) -> None:
    for each in files.glob("*.sst"):
        each.unlink()


def _break_current(files: Path) -> None:
    (files / "CURRENT").write_text("garbage\n")


def _be_a_file(files: Path) -> None:
    shutil.rmtree(files)
    files.write_text("no folder")


@pytest.mark.parametrize(
    "damage",
    [_break_manifest, _cut_tables, _remove_manifest, _remove_tables, _break_current, _be_a_file],
)
async def test_damaged_files_are_quarantined_and_recovered_from_the_changelog(
    table: OpenTable, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    old_files(table)
    damage(table.folder / "open-windows-0.db")
    with caplog.at_level(logging.ERROR):
        await table.assign()
    assert table.offsets() == [None, EXPECTED["offsets"][1]], "None: recovered from the beginning"
    (line,) = [each.getMessage() for each in caplog.records if each.name == "streams.table_store"]
    assert "open-windows-0.db are damaged" in line and "nothing is lost" in line
    assert (table.folder / "open-windows-0.db.damaged").exists()
    table.put(0, "acme/berlin/new", {})
    assert table.get(0, "acme/berlin/new") == {}


async def test_only_the_newest_damaged_files_are_kept(table: OpenTable) -> None:
    for _ in range(2):
        old_files(table)
        for number in PARTITIONS:
            _break_manifest(table.folder / f"open-windows-{number}.db")
        await table.assign()
        table.close()
        for number in PARTITIONS:
            shutil.rmtree(table.folder / f"open-windows-{number}.db")
    names = sorted(each.name for each in table.folder.iterdir() if "backups" not in each.name)
    assert names == ["open-windows-0.db.damaged", "open-windows-1.db.damaged"]


async def test_damage_that_a_read_meets_ends_the_worker_and_is_recovered_at_its_next_start(
    table: OpenTable,
) -> None:
    await table.assign()
    value = {"x": os.urandom(20_000).hex()}
    table.put(0, "acme/berlin/gate", value)
    table.store.set_persisted_offset(table.tp(0), 5)
    for _ in range(2):  # the second opening finds it in a sorted table file
        table.close()
        await table.assign()
    table.close()
    (file,) = (table.folder / "open-windows-0.db").glob("*.sst")
    content = bytearray(file.read_bytes())
    content[1_000:1_200] = os.urandom(200)
    file.write_bytes(content)
    await table.assign()
    text = ""
    try:
        table.get(0, "acme/berlin/gate")
    except TableDiskError as error:
        assert is_disk_error(error)
        text = disk_error_text(error, table.folder)
    assert "damaged" in text and "recovered from Kafka. Nothing is lost." in text
    table.close()
    await table.assign()
    assert table.offsets()[0] is None
    assert "acme/berlin/gate" not in table.store


async def test_files_that_another_process_has_open_are_left_alone(
    table: OpenTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    await table.assign()
    table.put(0, "acme/berlin/gate", {})
    second = OpenTable(Path(os.environ["VIGIL_DATA_DIR"]), monkeypatch)
    with pytest.raises(TableDiskError) as caught:
        second.store._db_for_partition(0)
    assert "lock" in repr(caught.value), "so that Faust waits for it"
    assert not caught.value.damaged
    assert "Another process uses the tables" in disk_error_text(caught.value, table.folder)
    assert table.get(0, "acme/berlin/gate") == {}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk is not allowed here")
    try:
        yield folder
    finally:
        gc.collect()
        subprocess.run(["umount", "-l", str(folder)], check=False)


async def test_a_full_disk_is_not_damage(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = OpenTable(small_disk, monkeypatch)
    await table.assign()

    def fill() -> None:
        for number in range(10_000):
            table.put(0, f"acme/berlin/cam-{number}", {"x": os.urandom(10_000).hex()})

    for refused in (
        fill,
        lambda: table.store.set_persisted_offset(table.tp(0), 5),
        lambda: table.put(0, "acme/berlin/gate", {"x": "y" * 100_000}),
    ):
        with pytest.raises(TableDiskError) as caught:
            refused()
        assert not caught.value.damaged
        assert "The disk of the tables is full" in disk_error_text(caught.value, small_disk)
    del caught  # its traceback keeps the files open
    table.close()
    # Closing may free some blocks: take them, too.
    with (small_disk / "rest").open("wb", buffering=0) as rest, contextlib.suppress(OSError):
        while rest.write(bytes(4_096)):
            pass
    with pytest.raises(TableDiskError, match="No space left") as caught:
        await table.assign()
    assert not caught.value.damaged
    assert (table.folder / "open-windows-0.db").exists()
    assert not list(table.folder.glob("*.damaged"))
    table.close()
    get_settings.cache_clear()


def test_a_disk_that_does_not_work_is_not_damage() -> None:
    error = TableDiskError("IO error: Input/output error: While appending to file: 000004.log")
    assert not error.damaged
    assert "does not work" in disk_error_text(error, Path("tables"))
    assert disk_error_text(ValueError("x"), Path("tables")) == ""


def test_the_store_is_the_one_that_workers_use() -> None:
    get_settings.cache_clear()
    assert make_app("assemble").conf.store.scheme + "://" == table_store.URL
    get_settings.cache_clear()

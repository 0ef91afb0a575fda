"""The order before an offset is committed: decisions, then the table, then the offset."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from faust.streams import current_event
from faust.types import TP

from domain.errors import StoreError
from domain.events import Event
from domain.windows import WindowRules
from streams import codec
from streams.codec import Record
from streams.delivery.ledger import Ledger
from streams.interruption import Interrupted
from streams.topics import partition_of
from tables.window_cache import WindowCache
from tests.integration.delivery import fragment

CAMERA = "test/site/cam1"
RULES = WindowRules(window_ms=10_000)


class Table(dict[str, Any]):
    """A table that notes in which partition an entry is written."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[tuple[str, int]] = []

    def __setitem__(self, key: str, value: Any) -> None:
        event = current_event()
        assert event is not None, "written outside of a stream"
        self.writes.append((key, event.message.partition))
        super().__setitem__(key, value)


class App:
    """The app and its consumer: one partition's ledger, and a broker that can be away."""

    def __init__(self) -> None:
        self.before_commit: list[Callable[[], Awaitable[None]]] = []
        self.on_positioned: list[Callable[[], None]] = []
        self.consumer = self.interrupted = self
        self.ledger = Ledger.at(0)
        self.sent: list[Event] = []
        self.waiting: list[asyncio.Future[None]] = []
        self.away = False
        self.at_once = True

    def hold_commit(self, tp: TP, offset: int) -> Callable[[], None]:
        ledger = self.ledger
        ledger.hold(offset)
        return lambda: ledger.release(offset)

    @asynccontextmanager
    async def bounded(self, what: str) -> Any:
        yield

    async def retry(self, action: Callable[[], Awaitable[None]], *, what: str) -> None:
        for _ in range(3):
            try:
                return await action()
            except StoreError:
                continue
        raise Interrupted(what)

    @property
    def settings(self) -> Any:
        """As many partitions as bring the camera to the one of `record`."""
        partitions = next(n for n in range(4, 100) if partition_of(CAMERA, n) == 3)
        return SimpleNamespace(partitions=partitions)


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> App:
    app = App()

    async def enqueue(_app: Any, event: Event) -> Awaitable[None]:
        if app.away:
            raise StoreError("away")
        app.sent.append(event)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        app.waiting.append(future)
        if app.at_once:
            future.set_result(None)
        return future

    async def send(app: Any, event: Event) -> None:
        await (await enqueue(app, event))

    monkeypatch.setattr(codec, "enqueue", enqueue)
    monkeypatch.setattr(codec, "send", send)
    return app


def record(offset: int) -> Record:
    return Record("fragment-arrived", 3, offset, CAMERA.encode(), b"", 1_000 + offset)


async def arrive(window_cache: WindowCache, app: App, seq: int, offset: int | None = None) -> None:
    """Handle a fragment as the assembler does, up to the acknowledgement by the stream."""
    at = record(seq if offset is None else offset)
    windows = window_cache.for_update(CAMERA, at)
    was, decided = windows.on_fragment(fragment(CAMERA, seq), at.timestamp_ms)
    if was == "duplicate":
        window_cache.hold_commit(at)
    else:
        await window_cache.update(windows, at, decided)
    app.ledger.ack(at.offset)


async def test_many_events_are_one_write_and_no_commit_passes_them_before(app: App) -> None:
    table = Table()
    window_cache = WindowCache(app, table, RULES)  # type: ignore[arg-type]
    for seq in range(2):
        await arrive(window_cache, app, seq)
    assert (table, app.ledger.due()) == ({}, None)
    await window_cache.flush()
    assert table.writes == [(CAMERA, 3)]
    assert app.ledger.due() == 2


async def test_a_table_entry_waits_for_its_decisions(app: App) -> None:
    app.at_once = False
    table = Table()
    window_cache = WindowCache(app, table, RULES)  # type: ignore[arg-type]
    for seq in range(4):  # four seconds each: 3 begins in the next window, the first is due
        await arrive(window_cache, app, seq)
    assert [event.type for event in app.sent] == ["chunk-due"]
    writing = asyncio.create_task(window_cache.flush())
    await asyncio.sleep(0)
    await arrive(window_cache, app, 4)  # goes on during the flush
    assert (table, app.ledger.due()) == ({}, None)
    app.waiting[0].set_result(None)
    await writing
    held = json.loads(table[CAMERA])[fragment(CAMERA, 0).run]["o"]
    assert [row[0] for window in held for row in window[-1]] == [3]  # what was when it began
    assert app.ledger.due() == 4
    await window_cache.flush()
    assert app.ledger.due() == 5


async def test_what_cannot_be_sent_holds_everything_back_and_is_sent_later(app: App) -> None:
    table = Table()
    window_cache = WindowCache(app, table, RULES)  # type: ignore[arg-type]
    app.away = True
    for seq in range(4):
        await arrive(window_cache, app, seq)
    await window_cache.flush()  # given up: the partitions are being revoked
    assert (table, app.ledger.due(), app.sent) == ({}, None, [])
    app.away = False
    await window_cache.flush()
    assert [event.type for event in app.sent] == ["chunk-due"]
    assert (list(table), app.ledger.due()) == ([CAMERA], 4)


async def test_positions_that_move_void_what_was_not_written(app: App) -> None:
    app.at_once = False
    table = Table()
    window_cache = WindowCache(app, table, RULES)  # type: ignore[arg-type]
    for seq in range(4):
        await arrive(window_cache, app, seq)
    writing = asyncio.create_task(window_cache.flush())
    await asyncio.sleep(0)
    stale, old = window_cache.for_update(CAMERA, record(4)), app.ledger
    app.ledger = Ledger.at(0)
    window_cache.invalidate()
    app.waiting[0].set_result(None)
    await writing
    await window_cache.update(stale, record(4))  # work that outlived its partition
    await window_cache.flush()
    assert (table, old.due()) == ({}, None)
    app.at_once = True
    for seq in range(4):  # all of it comes again, and is decided again
        await arrive(window_cache, app, seq)
    await window_cache.flush()
    assert [event.type for event in app.sent] == ["chunk-due"] * 2
    assert app.ledger.due() == 4


async def test_a_duplicate_does_not_pass_what_it_repeats(app: App) -> None:
    window_cache = WindowCache(app, Table(), RULES)  # type: ignore[arg-type]
    await arrive(window_cache, app, 0, offset=0)
    await arrive(window_cache, app, 0, offset=1)
    assert app.ledger.due() is None
    await window_cache.flush()
    assert app.ledger.due() == 2


async def test_an_entry_on_disk_alone_is_written_again_when_its_event_comes_again(
    app: App,
) -> None:
    """The worker was killed after RocksDB had the entry and before the changelog had it."""
    table = Table()
    first = WindowCache(app, table, RULES)  # type: ignore[arg-type]
    await arrive(first, app, 0)
    await first.flush()
    table.writes.clear()
    again = WindowCache(app, table, RULES)  # type: ignore[arg-type]
    app.ledger = Ledger.at(0)
    await arrive(again, app, 0)  # a duplicate now
    await again.flush()
    assert table.writes == [(CAMERA, 3)]


async def test_cameras_are_known_by_their_partition(app: App) -> None:
    table = Table()
    window_cache = WindowCache(app, table, RULES)  # type: ignore[arg-type]
    assert window_cache.cameras(3) == []
    await arrive(window_cache, app, 0)
    assert (window_cache.cameras(3), window_cache.cameras(1)) == ([CAMERA], [])
    await window_cache.flush()
    window_cache.invalidate()
    assert window_cache.cameras(3) == [CAMERA]

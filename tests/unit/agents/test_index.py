"""Many events of a partition, written in their order: neighbours of one kind together."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from agents import index
from agents.indexing.row_writers import ROW_WRITERS
from domain.events import AnyEvent
from domain.events.examples import EXAMPLES, START_MS
from streams.batch_handlers import Arrival
from streams.codec import Record


class Writer:
    """Notes what is put."""

    def __init__(self, name: str, puts: list[tuple[str, list[AnyEvent]]]) -> None:
        self.name, self.puts = name, puts

    async def put(self, events: Sequence[AnyEvent]) -> None:
        self.puts.append((self.name, list(events)))


@pytest.fixture
def puts(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[AnyEvent]]]:
    noted: list[tuple[str, list[AnyEvent]]] = []

    async def retry(action: Callable[[], Awaitable[Any]], *, what: str) -> Any:
        return await action()

    monkeypatch.setattr(
        index, "_writers", {kind.name: Writer(kind.name, noted) for kind in ROW_WRITERS}
    )
    monkeypatch.setattr(index.app, "retry", retry)
    return noted


def arrivals(*types: str) -> list[Arrival]:
    at_ms = START_MS + 100_000
    return [
        Arrival(EXAMPLES[kind], Record("topic", 0, at, b"", b"", at_ms))  # type: ignore[arg-type]
        for at, kind in enumerate(types)
    ]


async def test_the_order_of_kinds_is_kept(puts: list[tuple[str, list[AnyEvent]]]) -> None:
    await index.index_fragments(
        arrivals("run-started", "fragment-arrived", "tick", "fragment-arrived", "run-ended")
    )
    assert [(name, [event.type for event in events]) for name, events in puts] == [
        ("runs", ["run-started"]),
        ("fragments", ["fragment-arrived", "fragment-arrived"]),
        ("runs", ["run-ended"]),
    ]


async def test_neighbours_are_one_write(puts: list[tuple[str, list[AnyEvent]]]) -> None:
    await index.index_detections(arrivals(*["detection"] * 5))
    assert [(name, len(events)) for name, events in puts] == [("detections", 5)]

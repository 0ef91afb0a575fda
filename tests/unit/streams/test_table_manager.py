"""Tables start once all agents listen: not before, and without sleeping."""

import asyncio
from typing import Any

from streams.delivery import fence_hooks, table_manager
from streams.delivery.app import DeliveryApp
from streams.delivery.table_manager import TableManager
from tests.waiting import wait_for


def _app() -> Any:
    app: Any = DeliveryApp("starting", broker="kafka://127.0.0.1:9", store="memory://")

    @app.agent(app.topic("one", value_type=bytes))  # type: ignore[untyped-decorator]
    async def one(stream: Any) -> None:
        async for _ in stream:
            pass

    @app.agent(app.topic("two", value_type=bytes), isolated_partitions=True)  # type: ignore[untyped-decorator]
    async def two(stream: Any) -> None:
        async for _ in stream:
            pass

    return app


async def test_the_app_has_our_tables() -> None:
    assert isinstance(_app().tables, TableManager)


async def test_tables_wait_for_the_last_agent(monkeypatch: Any) -> None:
    monkeypatch.setattr(table_manager, "AGENTS_TIMEOUT_S", 3_600.0)  # that is not what starts them
    app = _app()
    manager = app.tables
    started: list[str] = []
    manager._update_channels = _noting(started, "tables")
    manager._recovery = _Recovery(started)
    starting_up = asyncio.create_task(manager.on_start())
    aiter(app.topic("one", value_type=bytes))
    for _ in range(5):
        await asyncio.sleep(table_manager.CHECK_EVERY_S)
    assert (started, manager.agents_listen()) == ([], False)
    aiter(app.topic("two", value_type=bytes))
    await wait_for(starting_up.done, within_s=5, what="the tables to start")
    assert started == ["tables", "recovery"]


async def test_an_agent_that_never_listens_is_not_waited_for_without_end(
    monkeypatch: Any,
) -> None:
    monkeypatch.setattr(table_manager, "AGENTS_TIMEOUT_S", 0.0)
    manager = _app().tables
    started: list[str] = []
    manager._update_channels = _noting(started, "tables")
    manager._recovery = _Recovery(started)
    await manager.on_start()
    assert started == ["tables", "recovery"]


def test_questions_to_the_broker_do_not_wait_behind_a_long_fetch() -> None:
    class Client:
        _fetch_max_wait_ms = 1_500

    fence_hooks.ConsumerThread.client_made(None, Client)  # type: ignore[arg-type]
    assert Client._fetch_max_wait_ms == fence_hooks.FETCH_WAIT_MS < 500


class _Recovery:
    def __init__(self, started: list[str]) -> None:
        self._started = started

    async def start(self) -> None:
        self._started.append("recovery")


def _noting(started: list[str], what: str) -> Any:
    async def note() -> None:
        started.append(what)

    return note

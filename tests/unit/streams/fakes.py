"""A log and a client on it, in place of the consumer's thread: every step is the test's to take."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any

import faust
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, Message

from streams.delivery.app import DeliveryApp
from streams.delivery.consumer import Consumer

SOURCE = TP("source", 0)
OTHER = TP("source", 1)
CHANGELOG = TP("app-table-changelog", 0)


class Client:
    """What aiokafka's consumer does, as its source says it: see `getmany`."""

    def __init__(self, logs: Mapping[TP, Iterable[int]]) -> None:
        self.logs = {tp: list(offsets) for tp, offsets in logs.items()}
        self.assigned: set[TP] = set(self.logs)
        self.positions: dict[TP, int] = dict.fromkeys(self.logs, 0)
        self.commits: dict[TP, int] = {}
        self.starts: dict[TP, int] = {}
        self.refuse_commits = False
        self.on_fetch: Callable[[], Any] = lambda: None
        self.on_seek: Callable[[], Any] = lambda: None
        self.fetches = 0

    # -- the thread

    async def call_thread(self, fun: Callable[..., Any], *args: Any) -> Any:
        return await fun(*args)

    def _ensure_consumer(self) -> "Client":
        return self

    async def getmany(self, active: set[TP] | None, _timeout: float) -> dict[TP, list[Any]]:
        self.fetches += 1
        self.on_fetch()  # things happen while it waits for records …
        records = {}
        for tp in self.logs:
            if active and tp not in active:  # … and an empty set means "all", as in aiokafka
                continue
            got = [offset for offset in self.logs[tp] if offset >= self.positions[tp]]
            if got:
                self.positions[tp] = got[-1] + 1
                records[tp] = [record(tp, offset) for offset in got]
        return records

    async def commit(self, offsets: Mapping[TP, int]) -> bool:
        if self.refuse_commits:
            return False
        self.commits.update(offsets)
        return True

    async def seek_to_committed(self) -> dict[TP, int]:
        for tp in self.assigned:
            self.positions[tp] = self.commits.get(tp, 0)
        return dict(self.commits)

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        self.positions.update(partitions)

    async def earliest_offsets(self, *tps: TP) -> dict[TP, int]:
        return {tp: self.starts.get(tp, 0) for tp in tps}

    def assignment(self) -> set[TP]:
        return set(self.assigned)

    def highwater(self, tp: TP) -> int:
        return self.logs[tp][-1] + 1 if self.logs[tp] else 0

    # -- the client inside it

    async def committed(self, tp: Any) -> int | None:
        self.on_seek()
        return self.commits.get(TP(*tp))

    def seek(self, tp: Any, offset: int) -> None:
        self.positions[TP(*tp)] = offset

    async def beginning_offsets(self, tps: Iterable[Any]) -> dict[Any, int]:
        return {tp: self.starts.get(TP(*tp), 0) for tp in tps}


def record(tp: TP, offset: int) -> Any:
    return SimpleNamespace(
        topic=tp.topic,
        partition=tp.partition,
        offset=offset,
        timestamp=0,
        timestamp_type=0,
        headers=(),
        key=b"k",
        value=b"v",
        checksum=None,
        serialized_key_size=1,
        serialized_value_size=1,
    )


def make(client: Client, *, stock: bool = False, **hooks: Any) -> Any:
    """Return Faust's consumer, or ours, on a client; nothing of it is started."""
    app: Any = (faust.App if stock else DeliveryApp)("app", broker="kafka://", store="memory://")
    app.finalize()
    app.topics._acking_topics.update({SOURCE.topic})
    app.consumer_generation_id = 1
    app.tables._changelogs[CHANGELOG.topic] = None

    async def nothing(*_: Any) -> None:
        """Take what a callback of the app takes."""

    kind = driver.Consumer if stock else Consumer
    consumer: Any = kind(
        app.transport,
        callback=hooks.get("callback", nothing),
        on_partitions_revoked=hooks.get("on_partitions_revoked", nothing),
        on_partitions_assigned=hooks.get("on_partitions_assigned", nothing),
    )
    consumer._thread.thread_loop.close()  # the thread is never started, so no one else closes it
    consumer._thread = client
    app._consumer = consumer
    consumer._active_partitions.update(tp for tp in client.assigned if tp != CHANGELOG)
    app.flow_control.resume()
    return consumer


def resume(consumer: Any) -> None:
    """Do what Faust's recovery does after the seek."""
    consumer.app.flow_control.resume()
    consumer.resume_flow()


def in_progress(consumer: Any, message: Message) -> Message:
    """Do with a delivered message what a stream does before its loop's body runs."""
    message.incref(1)
    message.tracked = True
    consumer._unacked_messages.add(message)
    return message


async def deliver(consumer: Any, fetches: int = 1) -> list[Message]:
    """Fetch, and return what is handed over."""
    messages = []
    for _ in range(fetches):
        async for _tp, message in consumer.getmany(timeout=0.01):
            messages.append(in_progress(consumer, message))
    return messages


async def drain(consumer: Any, fetches: int) -> None:
    """Run Faust's own loop around getmany for some fetches."""
    client = consumer._thread
    fetcher = SimpleNamespace(_stopped=SimpleNamespace(is_set=lambda: client.fetches >= fetches))
    await asyncio.wait_for(consumer._drain_messages(fetcher), 30)

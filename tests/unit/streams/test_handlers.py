"""A batch of messages: done, dead-lettered, given back, or the end of the process."""

import asyncio
import base64
from types import SimpleNamespace
from typing import Any

import pytest

from domain.errors import InvalidEventError
from streams import handlers, topics
from streams.handlers import Handler
from streams.retry import Interrupted
from streams.topics import partition_of
from tests.integration.delivery import fragment
from tests.unit.streams.handler_fakes import CAMERA, App, batch, events


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    reasons: list[str] = []
    monkeypatch.setattr(handlers, "exit_process", reasons.append)
    return reasons


async def handle(app: App, handler: Handler, work: Any = None) -> None:
    work = events(7) if work is None else work
    await handlers._one_by_one(app, topics.FRAGMENT_ARRIVED, handler, work)  # type: ignore[arg-type]
    assert app.ended == [work]


async def test_a_handler_gets_the_event_and_where_it_is(ended: list[str]) -> None:
    seen = []

    async def handler(event: Any, record: Any) -> None:
        seen.append((event, str(record)))

    app = App()
    await handle(app, handler)
    assert seen == [(fragment(CAMERA, 7), "fragment-arrived/1@5")]
    assert app.done == [5] and not app.sent and not ended


async def test_the_unreadable_becomes_a_dead_letter_for_as_long_as_it_takes(
    ended: list[str],
) -> None:
    async def handler(_event: Any, _record: Any) -> None:
        raise AssertionError("must not be called")

    app = App()
    app.refusals = 3
    await handle(app, handler, batch(b"poison"))
    ((topic, letter),) = app.sent
    assert topic == "dead-letter"
    assert base64.b64decode(letter.original_base64) == b"poison"
    assert (letter.source, letter.partition, letter.offset) == ("fragment-arrived", 1, 5)
    assert app.done == [5] and not ended


async def test_a_handler_may_refuse_an_event(ended: list[str]) -> None:
    async def handler(_event: Any, _record: Any) -> None:
        raise InvalidEventError("start_ms: 10 minutes ahead")

    app = App()
    await handle(app, handler)
    assert app.sent[0][1].reason == "start_ms: 10 minutes ahead"
    assert not ended


async def test_an_interrupted_handler_gives_its_message_back_and_the_stream_goes_on(
    ended: list[str],
) -> None:
    async def handler(_event: Any, _record: Any) -> None:
        raise Interrupted("S3 is down")

    app = App()
    await handle(app, handler)
    assert app.done == [] and not ended


async def test_a_cancelled_handler_gives_its_message_back(ended: list[str]) -> None:
    async def handler(_event: Any, _record: Any) -> None:
        raise asyncio.CancelledError

    app = App()
    with pytest.raises(asyncio.CancelledError):
        await handle(app, handler)
    assert app.done == [] and app.ended and not ended


async def test_any_other_failure_ends_the_process_and_names_the_camera(ended: list[str]) -> None:
    async def handler(_event: Any, _record: Any) -> None:
        raise KeyError("a mistake")

    app = App()
    with pytest.raises(KeyError):
        await handle(app, handler)
    assert app.commits == [[]] and app.ended  # the last commit must not pass it
    assert "fragment-arrived/1@5" in ended[0] and CAMERA in ended[0] and "seq 7" in ended[0]


# -- several in a batch


async def test_each_record_of_a_batch_counts_for_itself(ended: list[str]) -> None:
    async def handler(event: Any, _record: Any) -> None:
        if event.seq == 1:
            raise Interrupted("S3 is down")
        if event.seq == 2:
            raise InvalidEventError("no")

    app = App()
    await handle(app, handler, events(0, 1, 2, 3))
    assert app.done == [5, 7, 8]
    assert [letter.offset for _, letter in app.sent] == [7]


async def test_the_rest_of_a_batch_is_given_back_when_its_partition_goes(ended: list[str]) -> None:
    seen = []

    async def handler(event: Any, _record: Any) -> None:
        seen.append(event.seq)
        if event.seq == 1:
            app.interrupted.set()

    app = App()
    await handle(app, handler, events(0, 1, 2, 3))
    assert seen == [0, 1]
    assert app.done == [5, 6]


async def test_the_rest_of_a_void_batch_is_not_begun(ended: list[str]) -> None:
    seen = []
    work = events(0, 1, 2)

    async def handler(event: Any, _record: Any) -> None:
        seen.append(event.seq)
        work.acked = True  # what positioning does with work in progress

    await handle(App(), handler, work)
    assert seen == [0]


async def test_what_came_before_a_failure_is_committed_last(ended: list[str]) -> None:
    async def handler(event: Any, _record: Any) -> None:
        if event.seq == 2:
            raise KeyError("a mistake")

    app = App()
    with pytest.raises(KeyError):
        await handle(app, handler, events(0, 1, 2, 3))
    assert app.commits == [[5, 6]] and app.done == [5, 6]
    assert len(ended) == 1


async def test_events_of_other_partitions_are_sent_there_in_order_and_only_then_acknowledged(
    ended: list[str],
) -> None:
    seen: list[int] = []
    sent: list[tuple[int, bytes]] = []

    async def handler(event: Any, _record: Any) -> None:
        seen.append(event.seq)

    class Broker(App):
        settings = SimpleNamespace(partitions=64)

        async def send_and_wait(self, topic: str, key: bytes, value: bytes, *more: Any) -> None:
            assert (topic, key, self.done) == ("fragment-arrived", CAMERA.encode(), [])
            sent.append((more[0], value))

    app = Broker()
    work = events(7, 8, 9)
    own = partition_of(CAMERA, 64)
    work.records[1].partition = own
    await handlers._one_by_one(app, topics.FRAGMENT_ARRIVED, handler, work, reroute=True)  # type: ignore[arg-type]
    assert sent == [(own, work.records[0].value), (own, work.records[2].value)]
    assert (seen, sorted(app.done)) == ([8], [5, 6, 7])
    assert not ended


async def test_an_event_that_was_sent_on_is_not_given_back_with_those_that_were_not(
    ended: list[str],
) -> None:
    class Broker(App):
        settings = SimpleNamespace(partitions=64)

        async def retry(self, action: Any, *, what: str) -> Any:
            if self.commits:  # of the first only: then the partitions are revoked
                raise Interrupted(what)
            self.commits.append([])
            return await action()

        async def send_and_wait(self, *_: Any) -> None:
            return

    async def handler(_event: Any, _record: Any) -> None:
        raise AssertionError("must not be called")

    app = Broker()
    await handlers._one_by_one(  # type: ignore[arg-type]
        app, topics.FRAGMENT_ARRIVED, handler, events(7, 8, 9), reroute=True
    )
    assert app.done == [5] and not ended

"""Many events for one call: all of them, or none, but for the one at fault."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import InvalidEventError
from domain.events import FragmentArrived, encode
from streams import handlers, topics
from streams.batch_handlers import Arrival, BatchHandler, BatchProcessor
from streams.retry import Interrupted
from tests.integration.delivery import fragment
from tests.unit.streams.handler_fakes import CAMERA, App, batch, events


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    reasons: list[str] = []
    monkeypatch.setattr(handlers, "exit_process", reasons.append)
    return reasons


async def handle_many(
    app: App,
    handler: BatchHandler,
    work: Any,
    *,
    most: int = 100,
    check: Any = None,
    dead_lettered_by: str | None = None,
) -> None:
    many = BatchProcessor(app, topics.FRAGMENT_ARRIVED, handler, most, check, dead_lettered_by)  # type: ignore[arg-type]
    await many.process(work)
    assert app.ended == [work]


def seqs(arrivals: Sequence[Arrival]) -> list[int]:
    return [event.seq for event, _ in arrivals if isinstance(event, FragmentArrived)]


async def test_many_are_handed_over_in_order_and_no_more_than_the_most(ended: list[str]) -> None:
    seen = []

    async def handler(arrivals: Sequence[Arrival]) -> None:
        seen.append(seqs(arrivals))

    app = App()
    await handle_many(app, handler, events(*range(7)), most=3)
    assert seen == [[0, 1, 2], [3, 4, 5], [6]]
    assert app.done == [5, 6, 7, 8, 9, 10, 11]


async def test_nothing_of_many_is_acknowledged_before_all_are_done(ended: list[str]) -> None:
    begun, written = asyncio.Event(), asyncio.Event()

    async def handler(_arrivals: Sequence[Arrival]) -> None:
        begun.set()
        await written.wait()

    app = App()
    working = asyncio.create_task(handle_many(app, handler, events(0, 1, 2)))
    await asyncio.wait_for(begun.wait(), 30)
    assert app.done == []
    written.set()
    await asyncio.wait_for(working, 30)
    assert app.done == [5, 6, 7]


@pytest.mark.parametrize("how", ["cancelled", "interrupted", "failed"])
async def test_many_that_were_not_done_are_all_given_back(how: str, ended: list[str]) -> None:
    """A process that is killed between the write and the commit is the same to the group."""
    errors: dict[str, BaseException] = {
        "cancelled": asyncio.CancelledError(),
        "interrupted": Interrupted("PostgreSQL is down"),
        "failed": KeyError("a mistake"),
    }

    async def handler(_arrivals: Sequence[Arrival]) -> None:
        raise errors[how]

    app = App()
    try:
        await handle_many(app, handler, events(0, 1, 2))
    except BaseException as error:
        assert error is errors[how]
    assert app.done == [] and app.ended
    assert bool(ended) == (how == "failed")


@settings(deadline=None)
@given(
    poison=st.sets(st.integers(0, 19)),
    unread=st.sets(st.integers(0, 19)),
    early=st.sets(st.integers(0, 19)),
    most=st.integers(1, 25),
)
async def test_only_what_is_refused_becomes_a_dead_letter(
    poison: set[int], unread: set[int], early: set[int], most: int
) -> None:
    """Whatever is rejected: only that becomes a dead letter, all else is done, in order, once."""
    stored: dict[int, None] = {}

    async def handler(arrivals: Sequence[Arrival]) -> None:
        assert 0 < len(arrivals) <= most
        assert not early & set(seqs(arrivals))
        if poison & set(seqs(arrivals)):
            raise InvalidEventError("catalog: a row is refused")
        stored.update(dict.fromkeys(seqs(arrivals)))

    def check(event: Any, _record: Any) -> None:
        if event.seq in early:
            raise InvalidEventError("start_ms: ahead")

    values = [b"{" if at in unread else encode(fragment(CAMERA, at)) for at in range(20)]
    app = App()
    await handle_many(app, handler, batch(*values), most=most, check=check)
    refused = poison | unread | early
    assert list(stored) == [at for at in range(20) if at not in refused]
    assert sorted((letter.offset or 0) - 5 for _, letter in app.sent) == sorted(refused)
    assert sorted(app.done) == list(range(5, 25))


async def test_what_another_worker_keeps_is_passed_over_but_not_what_the_handler_refuses() -> None:
    async def handler(arrivals: Sequence[Arrival]) -> None:
        if 2 in seqs(arrivals):
            raise InvalidEventError("catalog: a row is refused")

    app = App()
    values = [b"{", encode(fragment(CAMERA, 1)), encode(fragment(CAMERA, 2))]
    await handle_many(app, handler, batch(*values), dead_lettered_by="assemble")
    assert [letter.reason for _, letter in app.sent] == ["catalog: a row is refused"]
    assert sorted(app.done) == [5, 6, 7]

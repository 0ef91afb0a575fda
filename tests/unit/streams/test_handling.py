"""One message at a time: done, put aside, given back, or the end of the process."""

import asyncio
import base64
from types import SimpleNamespace
from typing import Any

import pytest

from domain.errors import InvalidEventError, StoreError
from domain.events import DeadLetter, encode, parse
from streams import handling, topics
from streams.handling import Handler
from streams.interruption import Interruption
from streams.retry import Backoff, Interrupted, insist
from tests.integration.delivery import fragment

CAMERA = "test/site/cam1"


class App:
    """What handling needs of an app."""

    def __init__(self) -> None:
        self.given_back: list[int] = []
        self.sent: list[tuple[str, DeadLetter]] = []
        self.refusals = 0
        self.commits = 0
        self.consumer = self

    def give_back(self, message: Any) -> None:
        self.given_back.append(message.offset)

    async def commit(self) -> None:
        self.commits += 1

    async def maybe_start_producer(self) -> "App":
        return self

    async def send_and_wait(self, topic: str, _key: bytes, value: bytes, *_: Any) -> None:
        if self.refusals:
            self.refusals -= 1
            raise StoreError("down")
        letter = parse(value)
        assert isinstance(letter, DeadLetter)
        self.sent.append((topic, letter))

    async def insist(self, action: Any, *, what: str) -> Any:
        return await insist(
            action, what=what, interrupted=Interruption(), backoff=Backoff(0.0, 0.0)
        )


def message(value: bytes, offset: int = 5) -> Any:
    return SimpleNamespace(
        topic="fragment-arrived",
        partition=1,
        offset=offset,
        key=CAMERA.encode(),
        value=value,
        timestamp=1.5,
    )


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    reasons: list[str] = []
    monkeypatch.setattr(handling, "end_process", reasons.append)
    return reasons


async def handle(app: App, handler: Handler, value: bytes | None = None) -> None:
    sent = message(encode(fragment(CAMERA, 7)) if value is None else value)
    await handling._handle(app, topics.FRAGMENT_ARRIVED, handler, sent)  # type: ignore[arg-type]


async def test_a_handler_gets_the_event_and_where_it_stands(ended: list[str]) -> None:
    seen = []

    async def handler(event: Any, record: Any) -> None:
        seen.append((event, str(record)))

    app = App()
    await handle(app, handler)
    assert seen == [(fragment(CAMERA, 7), "fragment-arrived/1@5")]
    assert not app.given_back and not app.sent and not ended


async def test_the_unreadable_is_put_aside_for_as_long_as_it_takes(ended: list[str]) -> None:
    async def handler(_event: Any, _record: Any) -> None:
        raise AssertionError("must not be called")

    app = App()
    app.refusals = 3
    await handle(app, handler, b"poison")
    ((topic, letter),) = app.sent
    assert topic == "dead-letter"
    assert base64.b64decode(letter.original_base64) == b"poison"
    assert (letter.source, letter.partition, letter.offset) == ("fragment-arrived", 1, 5)
    assert not app.given_back and not ended


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
    assert app.given_back == [5] and not ended


async def test_a_cancelled_handler_gives_its_message_back(ended: list[str]) -> None:
    async def handler(_event: Any, _record: Any) -> None:
        raise asyncio.CancelledError

    app = App()
    with pytest.raises(asyncio.CancelledError):
        await handle(app, handler)
    assert app.given_back == [5] and not ended


async def test_any_other_failure_ends_the_process_and_names_the_camera(ended: list[str]) -> None:
    async def handler(_event: Any, _record: Any) -> None:
        raise KeyError("a mistake")

    app = App()
    with pytest.raises(KeyError):
        await handle(app, handler)
    assert app.given_back == [5]  # before the last commit, which must not pass it
    assert app.commits == 1
    assert "fragment-arrived/1@5" in ended[0] and CAMERA in ended[0] and "seq 7" in ended[0]

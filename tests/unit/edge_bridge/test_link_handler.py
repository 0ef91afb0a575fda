"""Commands at the device: each id once, bounded, within their time, of the own site."""

import asyncio
import base64

import pytest

from domain.commands import CommandKind
from domain.link_messages import AnswerMessage, CommandMessage
from edge_bridge.link.handler import (
    MAX_AT_ONCE,
    CommandFailedError,
    CommandHandler,
    CommandOutcome,
)


class Device:
    def __init__(self) -> None:
        self.answers: list[AnswerMessage] = []
        self.done: list[str] = []
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.handler = CommandHandler(
            lambda: "acme/hq/box",
            {CommandKind.CLOCK_CHECK: self._carry, CommandKind.SNAPSHOT: self._fail},
        )
        self.handler.answer = self.answers.append

    async def _carry(self, command: CommandMessage) -> CommandOutcome:
        await self.go_on.wait()
        self.done.append(command.id)
        return CommandOutcome("Well.", {"n": 1}, b"body")

    async def _fail(self, command: CommandMessage) -> CommandOutcome:
        if command.feed == "sub":
            raise ZeroDivisionError
        raise CommandFailedError("The camera is away.")

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)


def command(number: int = 1, kind: str = "clock-check", **more) -> CommandMessage:
    return CommandMessage(**{"id": f"{number:032x}", "kind": kind, "within_ms": 5_000} | more)


@pytest.fixture
async def device():
    made = Device()
    yield made
    await made.handler.stop()


async def test_an_answer_has_a_sentence_values_and_a_body(device: Device) -> None:
    device.handler.take(command())
    await device.settle()
    assert device.answers == [
        AnswerMessage(
            id=f"{1:032x}", state="answered", detail="Well.", result={"n": 1},
            body=base64.b64encode(b"body").decode(),
        )
    ]  # fmt: skip


async def test_the_same_id_is_carried_out_once_and_answered_each_time(device: Device) -> None:
    device.go_on.clear()
    device.handler.take(command())
    device.handler.take(command())
    device.go_on.set()
    await device.settle()
    device.handler.take(command())
    await device.settle()
    assert len(device.done) == 1
    assert len(device.answers) == 2
    assert device.answers[0] == device.answers[1]


@pytest.mark.parametrize(
    ("given", "detail"),
    [
        (command(kind="snapshot", camera="acme/hq/gate"), "The camera is away."),
        (command(kind="snapshot", camera="acme/hq/gate", feed="sub"), "ZeroDivisionError"),
        (command(kind="snapshot", camera="globex/plant/door"), "not of this device's site"),
        (command(kind="format-disk"), "does not know"),
        (command(within_ms=0), "not finished in time"),
    ],
)
async def test_what_is_not_possible_is_answered_in_words(
    device: Device, given: CommandMessage, detail: str
) -> None:
    if given.within_ms == 0:
        device.go_on.clear()
    device.handler.take(given)
    await asyncio.sleep(0.01)
    await device.settle()
    assert [(each.state, detail in each.detail) for each in device.answers] == [("failed", True)]


async def test_a_flood_is_refused(device: Device) -> None:
    device.go_on.clear()
    for number in range(MAX_AT_ONCE + 3):
        device.handler.take(command(number))
    assert len(device.answers) == 3
    device.go_on.set()
    await device.settle()
    assert len(device.done) == MAX_AT_ONCE

"""Carries out commands of the link: each id once, a few at the same time, within their time.

command ──► known id? its answer again ──► a free place? ──► handler ──► answer
                                           no: failed
"""

import asyncio
import base64
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from domain.commands import MAX_BODY_BYTES, MAX_DETAIL, CommandKind, concerns_site
from domain.errors import VigilError
from domain.link_messages import AnswerMessage, CommandMessage

MAX_AT_ONCE = 4
MAX_KEPT = 32
MAX_KEPT_BYTES = 4 << 20
"""Of the answers that are kept, for commands that come again."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CommandOutcome:
    """What a command led to."""

    detail: str
    """A sentence for people."""
    result: dict[str, Any] | None = None
    body: bytes | None = None


class CommandFailedError(VigilError):
    """A command could not be carried out; the text says why, and what to do."""


Carry = Callable[[CommandMessage], Awaitable[CommandOutcome]]
"""Carries out one kind of command. Raises VigilError with a sentence for people."""


class CommandHandler:
    """Owns the commands of one device. Call its methods in the event loop."""

    def __init__(
        self, device: Callable[[], str | None], kinds: Mapping[CommandKind, Carry]
    ) -> None:
        """`device` returns tenant/site/device, None while it is not enrolled."""
        self._device = device
        self._kinds = dict(kinds)
        self._running: dict[str, asyncio.Task[None]] = {}
        self._kept: OrderedDict[str, AnswerMessage] = OrderedDict()
        self._kept_bytes = 0
        self.answer: Callable[[AnswerMessage], None] = lambda _: None
        """Sends an answer; set by the link. While there is none, the answer is only kept."""

    @property
    def kinds(self) -> list[str]:
        """The commands that this device knows."""
        return sorted(kind.value for kind in self._kinds)

    @property
    def busy(self) -> bool:
        """Whether commands are carried out now."""
        return bool(self._running)

    def take(self, command: CommandMessage) -> None:
        """Begin to carry out a command; answer at once where it is known, or not possible."""
        if command.id in self._running:
            return
        if (known := self._kept.get(command.id)) is not None:
            self.answer(known)
            return
        if (reason := self._refusal(command)) is not None:
            log.warning("a command was refused: %s", reason)
            self._finish(AnswerMessage(id=command.id, state="failed", detail=reason[:MAX_DETAIL]))
            return
        task = asyncio.create_task(self._carry_out(command), name=f"command {command.kind}")
        self._running[command.id] = task

    async def stop(self) -> None:
        """Cancel what is carried out."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=2)

    def _refusal(self, command: CommandMessage) -> str | None:
        device = self._device()
        if device is None or not concerns_site(device, command.camera):
            return f"The camera {command.camera} is not of this device's site."
        if command.kind not in self._kinds:
            return f"This device does not know the command {command.kind[:50]}: update it."
        if len(self._running) >= MAX_AT_ONCE:
            return f"This device carries out {MAX_AT_ONCE} commands already. Try again."
        return None

    async def _carry_out(self, command: CommandMessage) -> None:
        try:
            answer = await self._answer_of(command)
        finally:
            del self._running[command.id]
        self._finish(answer)

    async def _answer_of(self, command: CommandMessage) -> AnswerMessage:
        log.info("the cloud asks for %s", command.kind, extra={"camera": command.camera})
        try:
            async with asyncio.timeout(command.within_ms / 1_000):
                outcome = await self._kinds[CommandKind(command.kind)](command)
            if outcome.body is not None and len(outcome.body) > MAX_BODY_BYTES:
                raise CommandFailedError("The answer is too large.")
        except TimeoutError:
            detail = "It was not finished in time."
        except VigilError as error:
            detail = str(error)
        except Exception as error:
            log.exception("the command %s failed", command.kind)
            detail = f"An unexpected error: {type(error).__name__}. The device's log has it."
        else:
            body = None if outcome.body is None else base64.b64encode(outcome.body).decode()
            return AnswerMessage(
                id=command.id,
                state="answered",
                detail=outcome.detail[:MAX_DETAIL],
                result=outcome.result,
                body=body,
            )
        return AnswerMessage(id=command.id, state="failed", detail=detail[:MAX_DETAIL])

    def _finish(self, answer: AnswerMessage) -> None:
        self._kept[answer.id] = answer
        self._kept_bytes += len(answer.body or "")
        while len(self._kept) > MAX_KEPT or self._kept_bytes > MAX_KEPT_BYTES:
            _, dropped = self._kept.popitem(last=False)
            self._kept_bytes -= len(dropped.body or "")
        self.answer(answer)

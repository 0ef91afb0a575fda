"""The socket of one device, as its link worker holds it: bounded in each direction.

command ──► queue (64) ──► writer ──► device      10 s to take a message, else it is closed
device ──► reader ──► answers                     a keep-alive in time, else it is closed
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from uuid import uuid4

from aiohttp import WSCloseCode, WSMsgType, web

from domain.errors import VigilError
from domain.events import EdgeCommand
from domain.link_messages import CommandMessage, LinkMessage
from domain.token_bucket import full_bucket

MAX_QUEUED = 64
MAX_GIVEN = 256
"""Commands that a socket remembers, so that none is given twice."""
SEND_S = 10.0
MESSAGES_PER_S = 10
MESSAGE_BURST = 100

Refusal = Callable[[], Awaitable[VigilError | None]]
"""Returns why a device's certificate is not accepted (any more); None: it is."""

log = logging.getLogger(__name__)


class DeviceSocket:
    """One open socket. `clock_ms`: UTC ms, `clock_s`: a steady clock."""

    def __init__(
        self,
        device: str,
        ws: web.WebSocketResponse,
        transport: asyncio.Transport | None,
        clock_ms: Callable[[], int],
        clock_s: Callable[[], float],
    ) -> None:
        self.device = device
        self.id = uuid4().hex
        self.software = ""
        self.kinds: frozenset[str] = frozenset()
        """The commands that the device can carry out."""
        self.refusal: Refusal | None = None
        self._ws = ws
        self._transport = transport
        self._clock_ms = clock_ms
        self._clock_s = clock_s
        self._queue: asyncio.Queue[LinkMessage] = asyncio.Queue(MAX_QUEUED)
        self._open: dict[str, EdgeCommand] = {}
        self._given: dict[str, None] = {}
        self._bucket = full_bucket(MESSAGES_PER_S, MESSAGE_BURST, clock_s())

    # -- to the device

    @property
    def busy(self) -> bool:
        """Whether commands wait for their answers."""
        self._forget_expired()
        return bool(self._open)

    def give(self, command: EdgeCommand) -> bool:
        """Queue a command, unless it was given before. False: the queue is full."""
        self._forget_expired()
        if command.id in self._given:
            return True
        within_ms = command.deadline_ms - self._clock_ms()
        if within_ms <= 0:
            return True  # it is expired, and its row says so
        message = CommandMessage(
            id=command.id,
            kind=command.kind,
            within_ms=within_ms,
            camera=command.camera,
            feed=command.feed,
            relay=command.relay,
            switch=command.switch,
        )
        if not self.send(message):
            return False
        self._open[command.id] = command
        self._given[command.id] = None
        if len(self._given) > MAX_GIVEN:
            del self._given[next(iter(self._given))]
        return True

    def send(self, message: LinkMessage) -> bool:
        """Queue a message; False: the queue is full."""
        try:
            self._queue.put_nowait(message)
        except asyncio.QueueFull:
            return False
        return True

    async def write(self) -> None:
        """Send what is queued, until cancelled. A device that does not read is cut off."""
        while True:
            message = await self._queue.get()
            try:
                async with asyncio.timeout(SEND_S):
                    await self._ws.send_str(message.text())
            except TimeoutError:
                log.warning("the device takes no messages: its socket is closed", extra=self._extra)
                self.abort()
                return
            except (ConnectionError, RuntimeError):
                return  # it closes: the reader sees that too

    # -- from the device

    async def read(self, within_s: float | None = None) -> str | None:
        """Return the next message; None: the socket is closed, or the device sends too much.

        Raises TimeoutError where the device gives no keep-alive.
        """
        message = await self._ws.receive(within_s)
        if message.type is not WSMsgType.TEXT:
            if message.type is WSMsgType.BINARY:
                await self.close(WSCloseCode.UNSUPPORTED_DATA, "text messages only")
            return None
        if self._bucket.wait_s(1, self._clock_s()):
            await self.close(WSCloseCode.POLICY_VIOLATION, "too many messages")
            return None
        text: str = message.data
        return text

    def answered(self, command: str) -> EdgeCommand | None:
        """Return the open command that an answer is for, and close it; None: there is none."""
        self._forget_expired()
        return self._open.pop(command, None)

    # -- its end

    async def close(self, code: int, reason: str) -> None:
        """Close it; a device that does not confirm in time is cut off."""
        await self._ws.close(code=code, message=reason.encode())

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    def _forget_expired(self) -> None:
        now_ms = self._clock_ms()
        for name in [each.id for each in self._open.values() if each.deadline_ms <= now_ms]:
            del self._open[name]

    @property
    def _extra(self) -> dict[str, str]:
        return {"device": self.device}

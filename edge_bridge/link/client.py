"""Keeps the link to the cloud open, for ever: one outbound WebSocket with client certificate.

    connect ──► hello, welcome ──► commands and answers, a ping when idle ──► closed ──► wait ──┐
       ▲                                                                                        │
       └──────────────────────────── back-off with jitter ◄──────────────────────────────────────┘

Nothing waits for the link, and nothing fails without it.
"""

import asyncio
import contextlib
import logging
import random
import ssl
import time
from collections.abc import Callable
from typing import Any, Protocol

import aiohttp
from aiohttp import WSMsgType

from domain.backoff import CENTRED_JITTER, Backoff
from domain.errors import ConfigError, InvalidEventError, StoreError
from domain.link_messages import (
    LINK_PATH,
    MAX_COMMAND_BYTES,
    MISSED_PINGS,
    SUBPROTOCOL,
    AnswerMessage,
    CommandMessage,
    Hello,
    Reconnect,
    Welcome,
    parse_from_worker,
)
from domain.times import utc_ms
from edge_bridge.link.handler import CommandHandler
from edge_bridge.upload.link import Link
from stores import tls

CONNECT_S = 15.0
WELCOME_S = 10.0
SEND_S = 20.0
CLOSE_S = 3.0
STEADY_S = 30.0
"""A connection that lasted so long was a good one: the next try comes soon."""
NOT_ENROLLED_S = 5.0
FINISH_S = 10.0
"""How long commands in flight delay a reconnection that the cloud asks for."""
MAX_ANSWERS = 64
"""That wait to be sent."""
RECONNECT = Backoff(first_s=0.5, longest_s=60.0, jitter=CENTRED_JITTER)

log = logging.getLogger(__name__)


class LinkIdentity(Protocol):
    """What the link needs of edge_bridge/identity."""

    @property
    def url(self) -> str | None:
        """Address at which devices are answered; None: not enrolled."""

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return the TLS context with the device's certificate; None: none is valid now."""


class DeviceLink:
    """The link of one device. `run` continues until cancelled."""

    def __init__(
        self,
        identity: LinkIdentity,
        handler: CommandHandler,
        link: Link,
        *,
        software: str = "",
        chance: Callable[[], float] = random.random,
        backoff: Backoff = RECONNECT,
    ) -> None:
        self._identity = identity
        self._handler = handler
        self._link = link
        self._software = software
        self._chance = chance
        self._backoff = backoff
        self._answers: asyncio.Queue[AnswerMessage] = asyncio.Queue(MAX_ANSWERS)
        self._cloud: tuple[int, float] | None = None
        self.connected = False
        """Whether a link worker answers now."""
        handler.answer = self._send_later

    def report(self) -> dict[str, Any]:
        """Return the state of the link, for health."""
        return {
            "connected": self.connected,
            "down_since_s": self._link.down_since_s,
            "detail": self._link.detail,
        }

    def cloud_ms(self) -> int | None:
        """Return the cloud's clock, UTC ms, by the last welcome; None: there was none."""
        if self._cloud is None:
            return None
        then_ms, at_s = self._cloud
        return then_ms + round((time.monotonic() - at_s) * 1_000)

    async def run(self) -> None:
        """Keep the link open until cancelled."""
        failures = 0
        while True:
            url, context = self._identity.url, None
            with contextlib.suppress(ConfigError):  # the identity reports it
                context = self._identity.ssl_context()
            if url is None or context is None:
                await asyncio.sleep(NOT_ENROLLED_S)
                continue
            began_s = time.monotonic()
            try:
                again_at_once = await self._connection(f"{url}{LINK_PATH}", context)
            except (aiohttp.ClientError, OSError, TimeoutError, StoreError, ValueError) as error:
                self._link.failed(StoreError(_error_text(error)))
                again_at_once = False
            finally:
                self.connected = False
            if again_at_once:
                failures = 0
                continue
            failures = 0 if time.monotonic() - began_s >= STEADY_S else failures + 1
            await asyncio.sleep(self._backoff.delay_s(max(0, failures - 1), self._chance()))

    async def _connection(self, url: str, context: ssl.SSLContext) -> bool:
        """Hold one connection until it ends; return whether the cloud asked to connect again."""
        timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_S)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.ws_connect(
                url,
                ssl=context,
                protocols=(SUBPROTOCOL,),
                autoping=False,
                max_msg_size=MAX_COMMAND_BYTES,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_S),
            ) as ws,
        ):
            hello = Hello(software=self._software[:50], kinds=self._handler.kinds)
            async with asyncio.timeout(WELCOME_S):
                await ws.send_str(hello.text())
                welcome = await _welcome(ws)
            self._cloud = (welcome.now_ms, time.monotonic())
            self.connected = True
            self._link.succeeded()
            offset_ms = utc_ms() - welcome.now_ms
            log.info("the link is open; this clock is %+d ms from the cloud's", offset_ms)
            sender = asyncio.create_task(self._send(ws))
            pinger = asyncio.create_task(self._ping(ws, welcome.ping_s))
            try:
                return await self._receive(ws, welcome.ping_s * MISSED_PINGS)
            finally:
                self.connected = False
                for task in (sender, pinger):
                    task.cancel()
                await asyncio.gather(sender, pinger, return_exceptions=True)

    async def _receive(self, ws: aiohttp.ClientWebSocketResponse, silent_s: float) -> bool:
        closer: asyncio.Task[None] | None = None
        try:
            while True:
                try:
                    message = await ws.receive(silent_s)
                except TimeoutError:
                    raise StoreError("the cloud sent nothing for too long.") from None
                if message.type is WSMsgType.PING:
                    await ws.pong(message.data)
                elif message.type is WSMsgType.TEXT:
                    try:
                        parsed = parse_from_worker(message.data)
                    except InvalidEventError as error:  # of a newer version, perhaps
                        log.warning("a message of the cloud is not understood: %s", error)
                        continue
                    if isinstance(parsed, CommandMessage):
                        self._handler.take(parsed)
                    elif isinstance(parsed, Reconnect) and closer is None:
                        closer = asyncio.create_task(self._leave(ws, parsed.within_ms / 1_000))
                elif message.type is not WSMsgType.PONG:
                    if closer is None and ws.close_code not in (1000, None):
                        reason = f" ({message.extra})" if message.extra else ""
                        raise StoreError(f"the cloud closed the link: {ws.close_code}{reason}.")
                    return closer is not None
        finally:
            if closer is not None:
                closer.cancel()

    async def _leave(self, ws: aiohttp.ClientWebSocketResponse, within_s: float) -> None:
        """Close the connection at a random moment, after the commands in flight."""
        log.info("the link worker stops: connecting to another one")
        await asyncio.sleep(within_s * self._chance())
        deadline_s = time.monotonic() + FINISH_S
        while self._handler.busy or not self._answers.empty():
            if time.monotonic() > deadline_s:
                break
            await asyncio.sleep(0.05)
        await ws.close()

    async def _send(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            answer = await self._answers.get()
            try:
                async with asyncio.timeout(SEND_S):
                    await ws.send_str(answer.text())
            except (TimeoutError, OSError, aiohttp.ClientError):
                # The cloud asks again after the next connection: the answer is kept for that.
                await ws.close()
                return

    async def _ping(self, ws: aiohttp.ClientWebSocketResponse, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s * (0.8 + 0.2 * self._chance()))
            with contextlib.suppress(OSError, aiohttp.ClientError):
                async with asyncio.timeout(SEND_S):
                    await ws.ping()

    def _send_later(self, answer: AnswerMessage) -> None:
        """Queue an answer. Without a connection it is only kept: the cloud asks again."""
        if self.connected:
            with contextlib.suppress(asyncio.QueueFull):
                self._answers.put_nowait(answer)


async def _welcome(ws: aiohttp.ClientWebSocketResponse) -> Welcome:
    message = await ws.receive()
    if message.type is not WSMsgType.TEXT:
        raise StoreError(f"the cloud closed the link at once: {ws.close_code}.")
    try:
        parsed = parse_from_worker(message.data)
    except InvalidEventError as error:
        raise StoreError(f"the cloud does not speak this link's protocol: {error}.") from None
    if not isinstance(parsed, Welcome):
        raise StoreError("the cloud does not speak this link's protocol: no welcome.")
    return parsed


def _error_text(error: Exception) -> str:
    """Return the reason, in words; no address, no secret."""
    if isinstance(error, StoreError):
        return str(error)
    if (text := tls.certificate_error_text(error)) is not None:
        return f"the address for devices is not trusted: {text}."
    if isinstance(error, aiohttp.WSServerHandshakeError):
        return f"the address for devices answers {error.status}."
    if isinstance(error, TimeoutError):
        return "the address for devices does not answer in time."
    return f"the address for devices cannot be reached: {str(error)[:200]}."

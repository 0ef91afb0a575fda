"""The link to devices: this worker's sockets, what is given to them, and what they answer.

    Kafka ──► CommandReader ──► LinkHub ──► DeviceSocket ──► device
                                   └──────◄─ answer ─◄───────────┘──► row in edge_commands

When a device connects, it is given what its rows say is open. So no command is lost where a worker
is killed: the device comes back elsewhere, and does each id once. docs/design/edge-link.md.
"""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable, Coroutine, Iterable
from http import HTTPStatus
from typing import Any

from aiohttp import WSCloseCode, web
from prometheus_client import Counter, Gauge, Histogram

from domain.commands import (
    COMMAND_RULES,
    MAX_ANSWER_BYTES,
    MAX_BODY_BYTES,
    MAX_RESULT_BYTES,
    CommandKind,
)
from domain.errors import InvalidEventError, VigilError
from domain.events import EdgeCommand
from domain.link_messages import (
    MISSED_PINGS,
    SUBPROTOCOL,
    AnswerMessage,
    Hello,
    Reconnect,
    Welcome,
    parse_from_device,
)
from domain.printable import printable
from domain.times import utc_ms
from stores.catalog import Catalog, edge_commands
from stores.catalog.edge_commands import CommandAnswer
from stores.catalog.web_catalog import all_tenants
from streams.metrics import REGISTRY
from streams.settings import Settings
from streams.storage import LazyStore
from web.device.link_socket import DeviceSocket, Refusal
from web.device.workers import OwnWorker
from web.problems import ProblemError

HELLO_S = 10.0
STORE_TRIES = 5
CHECK_S = 1.0
OVERTAKEN_EVERY = 5
OLD_EVERY = 60
CLOSE_S = 5.0
"""How long a device has to confirm that its socket is closed."""
DRAIN_S = 10.0
RECONNECT_MS = 3_000
SERVICE_RESTART = 1012
OVERTAKEN = 4001
"""Close code: the device has a newer socket."""
REFUSED = 4003
"""Close code: the device was revoked or locked."""
JPEG = b"\xff\xd8\xff"

DEVICES = Gauge("vigil_link_devices", "Devices connected to this link worker", registry=REGISTRY)
COMMANDS = Counter(
    "vigil_link_commands",
    "Commands to devices. outcome: answered, failed, expired, late, refused",
    ("kind", "outcome"),
    registry=REGISTRY,
)
SECONDS = Histogram(
    "vigil_link_command_seconds",
    "From the time that a command was given until its answer was stored",
    ("kind",),
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
    registry=REGISTRY,
)
CLOSED = Counter(
    "vigil_link_closed",
    "Sockets of devices that ended. reason: device, silent, overtaken, refused, drained, invalid",
    ("reason",),
    registry=REGISTRY,
)
for _kind in CommandKind:
    for _outcome in ("answered", "failed", "expired"):
        COMMANDS.labels(_kind.value, _outcome)

log = logging.getLogger(__name__)


class LinkHub:
    """The sockets of one link worker."""

    def __init__(
        self,
        settings: Settings,
        catalog: LazyStore[Catalog],
        worker: OwnWorker,
        clock_ms: Callable[[], int] = utc_ms,
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._worker = worker
        self._clock_ms = clock_ms
        self._sockets: dict[str, DeviceSocket] = {}
        self._asked: dict[str, asyncio.Future[AnswerMessage]] = {}
        """By the id of a command: who waits for its answer."""
        self._gone = asyncio.Event()
        """Set when a socket ends."""
        self._tasks: set[asyncio.Task[None]] = set()
        worker.sockets = lambda: len(self._sockets)
        DEVICES.set_function(lambda: len(self._sockets))

    def holds(self, device: str) -> bool:
        """Return whether the device is connected to this worker."""
        return device in self._sockets

    # -- commands

    def knows(self, device: str, kind: str) -> bool:
        """Return whether a connected device can carry out a command."""
        socket = self._sockets.get(device)
        return socket is not None and kind in socket.kinds

    async def ask(self, command: EdgeCommand, within_s: float) -> AnswerMessage | None:
        """Give a command of which there is no row, and return its answer; None: there is none."""
        socket = self._sockets.get(command.device)
        if socket is None:
            return None
        answer = self._asked[command.id] = asyncio.get_running_loop().create_future()
        try:
            if not socket.give(command):
                return None
            async with asyncio.timeout(within_s):
                return await answer
        except TimeoutError:
            return None
        finally:
            del self._asked[command.id]

    def give(self, command: EdgeCommand) -> None:
        """Pass a command on, where this worker holds the device's socket."""
        socket = self._sockets.get(command.device)
        if socket is None or socket.give(command):
            return
        COMMANDS.labels(command.kind, "refused").inc()
        answer = CommandAnswer("failed", "The device does not take commands fast enough.")
        self._spawn(self._store(command, answer))

    async def give_open(self) -> None:
        """Give all connected devices what their rows say is open: commands may have been missed."""
        for device in list(self._sockets):
            await self._give_open_of(device)

    async def _give_open_of(self, device: str) -> None:
        with all_tenants():
            catalog = await self._catalog.get()
            for command in await edge_commands.open_commands(catalog, device, self._clock_ms()):
                self.give(command)

    # -- one socket

    async def serve(
        self, request: web.Request, device: str, refusal: Refusal | None = None
    ) -> web.StreamResponse:
        """Hold the socket of a device until it ends.

        `refusal` returns why its certificate is not accepted any more: then the socket is closed.
        """
        if self._worker.draining or len(self._sockets) >= self._settings.link_sockets:
            raise ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "This link worker takes no more devices. Try again: another one answers.",
                {"Retry-After": "2"},
            )
        ws = web.WebSocketResponse(
            timeout=CLOSE_S,
            receive_timeout=self._settings.link_ping_s * MISSED_PINGS,
            max_msg_size=MAX_ANSWER_BYTES,
            protocols=(SUBPROTOCOL,),
            compress=False,
        )
        await ws.prepare(request)
        socket = DeviceSocket(device, ws, request.transport, self._clock_ms, time.monotonic)
        socket.refusal = refusal
        reason = "device"
        try:
            async with asyncio.timeout(HELLO_S):
                hello = await self._hello(socket)
            if hello is not None:
                reason = await self._hold(socket, hello)
        except TimeoutError:
            reason = "silent"
            await socket.close(WSCloseCode.POLICY_VIOLATION, "no keep-alive in time")
        except InvalidEventError as error:
            reason = "invalid"
            log.warning("a message of the device is not valid: %s", error, extra={"device": device})
            await socket.close(WSCloseCode.UNSUPPORTED_DATA, printable(str(error), 100))
        finally:
            CLOSED.labels(reason).inc()
        return ws

    async def _hello(self, socket: DeviceSocket) -> Hello | None:
        text = await socket.read()
        if text is None:
            return None
        message = parse_from_device(text)
        if not isinstance(message, Hello):
            raise InvalidEventError("the first message of a device is a hello")
        return message

    async def _hold(self, socket: DeviceSocket, hello: Hello) -> str:
        """Serve a socket until it ends; return why it ended."""
        device = socket.device
        socket.software = printable(hello.software, 50)
        socket.kinds = frozenset(hello.kinds)
        older = self._sockets.get(device)
        self._sockets[device] = socket
        if older is not None:
            self._spawn(older.close(OVERTAKEN, "the device has a newer connection"))
        socket.send(
            Welcome(
                worker=self._worker.id,
                ping_s=self._settings.link_ping_s,
                now_ms=self._clock_ms(),
            )
        )
        writer = asyncio.create_task(socket.write())
        try:
            try:
                await self._store_link(socket)
            except VigilError as error:
                # Without the catalog, no command can be given either. `check` catches up.
                log.warning("the link of %s is not stored: %s", device, error)
            while (text := await socket.read()) is not None:
                message = parse_from_device(text)
                if isinstance(message, AnswerMessage):
                    await self._answered(socket, message)
        finally:
            writer.cancel()
            if self._sockets.get(device) is socket:
                del self._sockets[device]
            self._gone.set()
            self._spawn(self._forget(socket))
        if self._worker.draining:
            return "drained"
        return "overtaken" if device in self._sockets else "device"

    async def _store_link(self, socket: DeviceSocket) -> None:
        with all_tenants():
            catalog = await self._catalog.get()
            await edge_commands.open_link(
                catalog, socket.device, self._worker.id, socket.id, socket.software
            )
        await self._give_open_of(socket.device)

    async def _forget(self, socket: DeviceSocket) -> None:
        with all_tenants(), contextlib.suppress(VigilError):
            await edge_commands.close_link(await self._catalog.get(), socket.device, socket.id)

    async def _answered(self, socket: DeviceSocket, message: AnswerMessage) -> None:
        command = socket.answered(message.id)
        if command is None:
            COMMANDS.labels("unknown", "late").inc()
            return
        asked = self._asked.get(message.id)
        if asked is not None:
            COMMANDS.labels(command.kind, message.state).inc()
            if not asked.done():
                asked.set_result(message)
            return
        await self._store(command, _checked(CommandKind(command.kind), message))

    async def _store(self, command: EdgeCommand, answer: CommandAnswer) -> None:
        """Store an answer. While the catalog does not answer, try again until the deadline."""
        for attempt in range(STORE_TRIES):
            try:
                with all_tenants():
                    stored = await edge_commands.finish_command(
                        await self._catalog.get(),
                        command.id,
                        command.device,
                        answer,
                        self._clock_ms(),
                    )
            except VigilError as error:
                log.warning("the answer to %s is not stored: %s", command.id, error)
                await asyncio.sleep(0.2 * 2**attempt)
                continue
            COMMANDS.labels(command.kind, answer.state if stored else "late").inc()
            if stored:
                taken_s = max(0, self._clock_ms() - command.sent_ms) / 1_000
                SECONDS.labels(command.kind).observe(taken_s)
            return

    # -- what happens by time

    async def run(self) -> None:
        """Expire commands, and close the sockets that do not count any more; until cancelled."""
        turn = 0
        while True:
            await asyncio.sleep(CHECK_S)
            turn += 1
            try:
                await self.check(turn)
            except VigilError as error:
                log.warning("commands are not checked: %s", error)

    async def check(self, turn: int) -> None:
        """Do what is due. Raises StoreError where the catalog does not answer."""
        with all_tenants():
            catalog = await self._catalog.get()
            for kind in await edge_commands.expire_commands(catalog, self._clock_ms()):
                COMMANDS.labels(kind.value, "expired").inc()
            await self._check_certificates()
            if turn % OVERTAKEN_EVERY == 0 and self._sockets:
                await self._check_links(catalog)
            if turn % OLD_EVERY == 0:
                await edge_commands.delete_old_commands(catalog, self._clock_ms())

    async def _check_certificates(self) -> None:
        """Close the sockets of devices that were revoked, locked or overtaken since."""
        for device, socket in list(self._sockets.items()):
            if socket.refusal is not None and (error := await socket.refusal()) is not None:
                self.close([device], REFUSED, printable(str(error), 100))

    async def _check_links(self, catalog: Catalog) -> None:
        held = dict(self._sockets)
        sockets = [each.id for each in held.values()]
        for device, overtaken in (
            await edge_commands.changed_links(catalog, list(held), sockets)
        ).items():
            if self._sockets.get(device) is not held[device]:
                continue  # it has gone since
            if overtaken:
                self.close([device], OVERTAKEN, "the device has a newer connection")
            else:  # the catalog did not answer when it connected, or has lost the row
                await self._store_link(held[device])

    def close(self, devices: Iterable[str], code: int, reason: str) -> None:
        """Close the sockets of devices, in the background."""
        for device in devices:
            if (socket := self._sockets.get(device)) is not None:
                self._spawn(socket.close(code, reason))

    # -- its end

    async def drain(self, within_s: float = DRAIN_S) -> None:
        """Let the devices go elsewhere: commands in flight finish first."""
        self._worker.draining = True
        with contextlib.suppress(VigilError, TimeoutError):
            await self._worker.beat()
        reconnect = Reconnect(within_ms=RECONNECT_MS)
        for socket in self._sockets.values():
            socket.send(reconnect)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self._sockets:
                    self._gone.clear()
                    await self._gone.wait()
        left = list(self._sockets.values())
        await asyncio.gather(*(each.close(SERVICE_RESTART, "the worker stops") for each in left))
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=2.0)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _checked(kind: CommandKind, message: AnswerMessage) -> CommandAnswer:
    """Return a device's answer within its bounds: what is too large or of no use is a failure."""
    rule = COMMAND_RULES[kind]
    detail = printable(message.detail, 480)
    try:
        body = message.body_bytes()
    except InvalidEventError as error:
        return CommandAnswer("failed", f"The device's answer is not valid: {error}.")
    if message.state == "failed":
        return CommandAnswer("failed", detail or "The device gave no reason.", message.result)
    if len(json.dumps(message.result)) > MAX_RESULT_BYTES or len(body or b"") > MAX_BODY_BYTES:
        return CommandAnswer("failed", "The device's answer is too large.")
    if rule.body_type is None or body is None:
        body = None
    elif rule.body_type == "image/jpeg" and not body.startswith(JPEG):
        return CommandAnswer("failed", "The device's picture is not a JPEG.")
    return CommandAnswer(
        "answered", detail, message.result, body, None if body is None else rule.body_type
    )

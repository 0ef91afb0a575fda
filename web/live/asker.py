"""Asks a camera's device for its live picture, by the link worker that holds the device's socket.

    camera ──► the device of its newest heartbeat ──► edge_links: which worker? ──► POST …/live/ask

The device answers at once. That it is not connected, too old, or does not record the camera is
known before any picture could come.
"""

import json
import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp
from aiohttp import web

from domain.commands import COMMAND_RULES, CommandKind
from domain.errors import InvalidEventError
from domain.events import EdgeCommand, encode, parse
from domain.identity import site_of
from domain.live_stream import (
    CAMERA_OFFLINE,
    DEVICE_OFFLINE,
    DEVICE_TOO_OLD,
    NO_LINK,
    Feed,
    LiveEnd,
)
from domain.printable import printable
from stores.catalog import Catalog, edge_commands
from stores.catalog.devices import get_device
from stores.catalog.web_catalog import all_tenants
from streams.storage import LazyStore
from web.device.internal import INTERNAL_PREFIX
from web.device.link_service import LinkService

ASK_PATH = f"{INTERNAL_PREFIX}live/ask"
ANSWER_S = 5.0
MAX_HINT = 200

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AskOutcome:
    """What became of the question for a picture."""

    end: LiveEnd | None = None
    """Why no picture can come; None: it may come."""
    hint: str = ""
    """What the device says of the camera."""


class LiveAsker:
    """Asks devices, for this link worker."""

    def __init__(
        self, link: LinkService, catalog: LazyStore[Catalog], clock_ms: Callable[[], int]
    ) -> None:
        self._link = link
        self._catalog = catalog
        self._clock_ms = clock_ms
        link.internal.router.add_post(ASK_PATH, self._answer)

    async def ask(self, camera: str, feed: Feed) -> AskOutcome:
        """Ask for a feed, to be sent to this worker. Raises StoreError, aiohttp.ClientError."""
        with all_tenants():
            catalog = await self._catalog.get()
            device = await edge_commands.device_of_camera(catalog, camera)
            if device is None:
                return AskOutcome(NO_LINK)
            links = await edge_commands.list_links(catalog, site_of(camera))
            worker = next((each.worker for each in links if each.device == device), None)
            if worker is None:
                known = await get_device(catalog, device)
                return AskOutcome(NO_LINK if known is None else DEVICE_OFFLINE)
        now_ms = self._clock_ms()
        command = EdgeCommand(
            device=device,
            id=uuid.uuid4().hex,
            kind="live",
            camera=camera,
            feed=feed,
            relay=self._link.worker.id,
            sent_ms=now_ms,
            deadline_ms=now_ms + COMMAND_RULES[CommandKind.LIVE].timeout_ms,
        )
        if worker == self._link.worker.id:
            return await self._ask_device(command)
        return await self._ask_worker(worker, command)

    async def _ask_worker(self, worker: str, command: EdgeCommand) -> AskOutcome:
        addresses = {each.id: each.address for each in await self._link.workers.workers()}
        address = addresses.get(worker)
        if address is None:
            return AskOutcome(DEVICE_OFFLINE)
        try:
            answer = await self._link.client.post(address, ASK_PATH, encode(command), ANSWER_S)
            fields = json.loads(answer)
            return _outcome(fields["state"], str(fields["detail"]))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError) as error:
            log.info("the link worker of %s does not answer: %r", command.device, error)
            return AskOutcome(DEVICE_OFFLINE)

    async def _ask_device(self, command: EdgeCommand) -> AskOutcome:
        return _outcome(*await self._give(command))

    async def _give(self, command: EdgeCommand) -> tuple[str, str]:
        """Ask a device that is connected to this worker; return its state and its sentence."""
        hub = self._link.hub
        if not hub.holds(command.device):
            return "offline", ""
        if not hub.knows(command.device, command.kind):
            return "too-old", ""
        answer = await hub.ask(command, ANSWER_S)
        if answer is None:
            return "offline", ""
        return answer.state, printable(answer.detail, MAX_HINT)

    async def _answer(self, request: web.Request) -> web.Response:
        """POST …/live/ask: another link worker asks for a device that is connected here."""
        try:
            command = parse(await request.read())
        except InvalidEventError:
            command = None
        if not isinstance(command, EdgeCommand) or command.kind != "live":
            return web.Response(status=HTTPStatus.BAD_REQUEST)
        state, detail = await self._give(command)
        return web.json_response({"state": state, "detail": detail})


def _outcome(state: str, detail: str) -> AskOutcome:
    match state:
        case "answered":
            return AskOutcome(hint=detail)
        case "failed":
            return AskOutcome(CAMERA_OFFLINE.with_reason(detail))
        case "too-old":
            return AskOutcome(DEVICE_TOO_OLD)
    return AskOutcome(DEVICE_OFFLINE)

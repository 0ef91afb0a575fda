"""/api/v1/edges/{tenant}/{site}/{edge}/commands: what devices are asked for, and their answers.

    POST ──► row "sent", audit entry, kept answer: one transaction ──► Kafka ──► link worker
    GET  ──► the row, which the link worker has updated

A command is expired at its deadline, whatever was lost on the way.
"""

import logging
from http import HTTPStatus
from uuid import uuid4

from aiohttp import web
from faust.web import View

from domain.access import Permission, decide
from domain.commands import COMMAND_RULES, CommandKind, refusal, state_at
from domain.device_identity import check_device
from domain.errors import InvalidIdError, StoreError
from domain.events import EdgeCommand
from domain.identity import site_of
from stores.catalog import edge_commands
from stores.catalog.cameras import get_camera
from stores.catalog.edge_commands import CommandAnswer, StoredCommand
from web.access import in_list, require_permission
from web.audit import note_read
from web.bodies import NO_STORE, json_answer, parse_query, read_json
from web.bounds import too_many
from web.edits import LOCATION, entry_of, finish, who
from web.middleware import PRINCIPAL
from web.operations import MediaBody, Operation, describe
from web.pagination import page_of, parse_cursor
from web.problems import bad_request, not_found
from web.schemas.commands import CommandItem, CommandQuery, Commands, CommandsQuery, NewCommand
from web.services import SERVICES

_PATH = "/api/v1/edges/{tenant}/{site}/{edge}/commands"
_ACCESS = in_list(Permission.CAMERA_VIEW)
_RIGHTS = (
    "A snapshot takes `footage:read` on the camera, everything else `site:configure` on the site."
)
WAIT_S = 10
"""`Retry-After` of 429."""

log = logging.getLogger(__name__)


def _device(request: web.Request) -> str:
    """Return the device of the path; raise ProblemError (404)."""
    try:
        return check_device("{tenant}/{site}/{edge}".format(**request.match_info))
    except InvalidIdError as error:
        raise not_found(str(error)) from None


def _may_see(request: web.Request, command: StoredCommand) -> bool:
    rule = COMMAND_RULES[command.kind]
    resource = command.camera or site_of(command.device)
    return bool(decide(request[PRINCIPAL].principal, rule.permission, resource))


async def _require_device(request: web.Request, device: str) -> None:
    """Raise ProblemError (404) where the caller may see nothing of the device's site."""
    principal = request[PRINCIPAL].principal
    if decide(principal, Permission.CAMERA_VIEW, site_of(device)).outcome == "unknown":
        raise not_found(f"There is no device {device}.")
    catalog = await request.app[SERVICES].catalog.get()
    if not await edge_commands.device_exists(catalog, device):
        raise not_found(f"There is no device {device}.")


async def _get(request: web.Request, command: str) -> StoredCommand:
    """Return the command of the path; raise ProblemError (404)."""
    device = _device(request)
    await _require_device(request, device)
    catalog = await request.app[SERVICES].catalog.get()
    found = await edge_commands.get_command(catalog, device, command)
    if found is None or not _may_see(request, found):
        raise not_found(f"The device {device} has no command {command[:32]}.")
    return found


def _answer(command: StoredCommand, now_ms: int) -> CommandItem:
    state = state_at(command.state, command.deadline_ms, now_ms)
    is_late = state != command.state  # no link worker has marked it yet
    return CommandItem(
        id=command.id,
        device=command.device,
        kind=command.kind.value,
        camera=command.camera,
        sent_by=command.sent_by,
        sent_ms=command.sent_ms,
        deadline_ms=command.deadline_ms,
        state=state,
        done_ms=command.deadline_ms if is_late else command.done_ms,
        detail="There was no answer in time." if is_late else command.detail,
        result=command.result,
        body_type=command.body_type,
        body_bytes=command.body_bytes,
    )


class CommandsView(View):
    """The commands of one device."""

    view_path = _PATH
    access = _ACCESS
    operations = describe(
        get=Operation(
            "List the commands of a device",
            description=f"Those that the caller may give. {_RIGHTS}",
            answer=Commands,
            query=CommandsQuery,
        ),
        post=Operation(
            "Give a device a command",
            description=f"{_RIGHTS} The answer comes later: ask for the command with `wait`. With "
            "an `Idempotency-Key`, it is given once.",
            body=NewCommand,
            answer=CommandItem,
            status=201,
            answer_headers=LOCATION,
            problems={429: "Too many commands of this device, or of this user."},
        ),
    )

    async def get(self, request: web.Request, **_path: str) -> web.Response:
        """Return a page of the commands, the newest first."""
        query = parse_query(request, CommandsQuery)
        place = parse_cursor(request, query, int, str)
        device = _device(request)
        await _require_device(request, device)
        services = request.app[SERVICES]
        after = None if place is None else (int(place[0]), str(place[1]))
        found = await edge_commands.list_commands(
            await services.catalog.get(), device, after, query.limit + 1
        )
        page, following = page_of(request, query, found, lambda each: (each.sent_ms, each.id))
        now_ms = services.clock_ms()
        answer = Commands(
            commands=[_answer(each, now_ms) for each in page if _may_see(request, each)],
            next=following,
        )
        return json_answer(answer)

    async def post(self, request: web.Request, **_path: str) -> web.Response:
        """Store a command, and send it."""
        given = await read_json(request, NewCommand)
        device = _device(request)
        site = site_of(device)
        kind = CommandKind(given.kind)
        rule = COMMAND_RULES[kind]
        await _require_device(request, device)
        if rule.names_camera != (given.camera is not None):
            word = "needs" if rule.names_camera else "takes no"
            raise bad_request(f"camera: the command {kind} {word} camera.", "invalid-body")
        services = request.app[SERVICES]
        principal = request[PRINCIPAL].principal
        if given.camera is not None and site_of(given.camera) != site:
            raise not_found(f"The site {site} has no camera {given.camera}.")
        require_permission(principal, rule.permission, given.camera or site)
        catalog = await services.catalog.get()
        now_ms = services.clock_ms()
        if given.camera is not None and await get_camera(catalog, given.camera, now_ms) is None:
            raise not_found(f"The site {site} has no camera {given.camera}.")
        command = EdgeCommand(
            device=device,
            id=uuid4().hex,
            kind=kind.value,
            camera=given.camera,
            sent_ms=now_ms,
            deadline_ms=now_ms + rule.timeout_ms,
        )
        async with catalog.transaction() as connection:
            load = await edge_commands.command_load(connection, device, principal.id, now_ms)
            if (reason := refusal(load)) is not None:
                raise too_many("commands", reason, WAIT_S)
            sender = who(request)
            await edge_commands.add_command(connection, command, principal.id, sender)
            response = json_answer(
                _answer(_new(command, principal.id, sender), now_ms),
                status=HTTPStatus.CREATED,
                headers={**NO_STORE, "Location": f"{request.path}/{command.id}"},
            )
            entry = entry_of(
                request,
                f"device:{kind}",
                given.camera or site,
                after={"device": device, "command": command.id},
            )
            await finish(connection, request, response, entry)
        try:
            await services.commands.send(command)
        except StoreError as error:
            log.error("the command %s is not sent: %s", command.id, error)
            failed = CommandAnswer("failed", "The cloud could not send the command. Try again.")
            await edge_commands.finish_command(catalog, command.id, device, failed, now_ms)
        return response


class CommandView(View):
    """One command."""

    view_path = f"{_PATH}/{{command}}"
    access = _ACCESS
    operations = describe(
        get=Operation(
            "Get a command and its answer",
            description="With `wait`, the answer comes as soon as the device's does.",
            answer=CommandItem,
            query=CommandQuery,
        )
    )

    async def get(self, request: web.Request, command: str, **_path: str) -> web.Response:
        """Return the command; wait for its answer first."""
        query = parse_query(request, CommandQuery)
        found = await _get(request, command)
        services = request.app[SERVICES]
        now_ms = services.clock_ms()
        left_s = min(query.wait, (found.deadline_ms - now_ms) / 1_000)
        if found.state == "sent" and left_s > 0:
            await services.command_waiter.wait(command, left_s)
            found = await _get(request, command)
        return json_answer(_answer(found, services.clock_ms()))


class CommandBodyView(View):
    """The picture or the bundle that a device answered with."""

    view_path = f"{_PATH}/{{command}}/body"
    access = _ACCESS
    operations = describe(
        get=Operation(
            "Get the picture or the bundle of an answer",
            description="A snapshot is a JPEG, a diagnostics bundle JSON. It is kept for an hour.",
            answer=MediaBody("image/jpeg", "The snapshot, with the privacy masks in it."),
            others={},
        )
    )

    async def get(self, request: web.Request, command: str, **_path: str) -> web.Response:
        """Return the body; 404: there is none, or no more."""
        found = await _get(request, command)
        catalog = await request.app[SERVICES].catalog.get()
        body = await edge_commands.get_command_body(catalog, found.device, found.id)
        if body is None:
            raise not_found("This command has no picture or bundle, or it is older than an hour.")
        data, media_type = body
        if found.camera is not None:
            note_read(request, Permission.FOOTAGE_READ, found.camera)
        suffix = "jpg" if media_type == "image/jpeg" else "json"
        name = f"{found.device.replace('/', '-')}-{found.kind}.{suffix}"
        disposition = "inline" if suffix == "jpg" else "attachment"
        headers = {**NO_STORE, "Content-Disposition": f'{disposition}; filename="{name}"'}
        return web.Response(body=data, content_type=media_type, headers=headers)


def _new(command: EdgeCommand, principal: str, sent_by: str) -> StoredCommand:
    return StoredCommand(
        id=command.id,
        device=command.device,
        kind=CommandKind(command.kind),
        camera=command.camera,
        principal=principal,
        sent_by=sent_by,
        sent_ms=command.sent_ms,
        deadline_ms=command.deadline_ms,
        state="sent",
        done_ms=None,
        detail="",
        result=None,
        body_type=None,
        body_bytes=None,
    )

"""Devices: their states, codes that enrol them, revocation and unlock."""

from http import HTTPStatus
from types import MappingProxyType

from aiohttp import web
from faust.web import View

from domain.access import Permission, is_visible, scopes_with
from domain.device_identity import DeviceState, check_device
from domain.errors import InvalidIdError
from stores.catalog.devices import (
    EnrolledDevice,
    change_device_state,
    get_device,
    list_devices,
    lock_device,
)
from stores.catalog.enrolment import create_code
from web.access import in_list, on_known_site
from web.bodies import NO_STORE, json_answer, parse_query, read_json
from web.edits import entry_of, finish, who
from web.middleware import PRINCIPAL
from web.operations import Operation, describe
from web.pagination import page_of, parse_cursor
from web.problems import not_found
from web.query import check_site_filter
from web.schemas.devices import (
    CreatedEnrolmentCode,
    DeviceChange,
    DeviceItem,
    Devices,
    DevicesQuery,
    NewEnrolmentCode,
)
from web.services import SERVICES

_TAG = "Devices"
_ADMIN = on_known_site(Permission.SITE_CONFIGURE)


def _answer(device: EnrolledDevice) -> DeviceItem:
    return DeviceItem(
        device=device.id,
        site=device.site,
        state=device.state,
        detail=device.locked_why,
        generation=device.generation,
        enrolled_ms=device.enrolled_ms,
        renewed_ms=device.renewed_ms,
        expires_ms=device.expires_ms,
        locked_ms=device.locked_ms,
        revoked_ms=device.revoked_ms,
    )


def _device_of(request: web.Request) -> str:
    try:
        return check_device("{tenant}/{site}/{device}".format(**request.match_info))
    except InvalidIdError as error:
        raise not_found(str(error)) from None


class DevicesView(View):
    """All devices."""

    view_path = "/api/v1/devices"
    access = in_list(Permission.CAMERA_VIEW)
    operations = describe(
        get=Operation(
            "List the enrolled devices",
            description="Devices of today's sites that were never enrolled are in `/api/v1/edges` "
            "only.",
            answer=Devices,
            query=DevicesQuery,
            tag=_TAG,
        )
    )

    async def get(self, request: web.Request) -> web.Response:
        """Return a page of the devices of the sites that the caller may see."""
        query = parse_query(request, DevicesQuery)
        place = parse_cursor(request, query, str)
        check_site_filter(query.site)
        found = await list_devices(
            await request.app[SERVICES].catalog.get(),
            scopes_with(request[PRINCIPAL].principal, Permission.CAMERA_VIEW),
            after="" if place is None else str(place[0]),
            site=query.site,
            limit=query.limit + 1,
        )
        page, following = page_of(request, query, found, lambda device: (device.id,))
        return json_answer(Devices(devices=[_answer(one) for one in page], next=following))


class DeviceView(View):
    """One device."""

    view_path = "/api/v1/devices/{tenant}/{site}/{device}"
    access = in_list(Permission.CAMERA_VIEW)
    operations = describe(get=Operation("Get a device", answer=DeviceItem, tag=_TAG))

    async def get(self, request: web.Request, tenant: str, site: str, device: str) -> web.Response:
        """Return the device."""
        name = _device_of(request)
        scopes = scopes_with(request[PRINCIPAL].principal, Permission.CAMERA_VIEW)
        found = await get_device(await request.app[SERVICES].catalog.get(), name)
        if found is None or not is_visible(scopes, found.site):
            raise not_found(f"There is no device {name}.")
        return json_answer(_answer(found))


class EnrolmentCodesView(View):
    """Codes that enrol devices of a site."""

    view_path = "/api/v1/sites/{tenant}/{site}/enrolment-codes"
    access = MappingProxyType({"POST": _ADMIN})
    operations = describe(
        post=Operation(
            "Make an enrolment code",
            description="The code enrols one device, once, within 24 h at most: "
            "`vigil edge enrol --code CODE`. With `device` it enrols that device again, with a new "
            "key; a locked or revoked one is accepted from then on.",
            body=NewEnrolmentCode,
            answer=CreatedEnrolmentCode,
            status=201,
            problems={409: "The site has too many codes that are not used."},
            tag=_TAG,
        )
    )

    async def post(self, request: web.Request, tenant: str, site: str) -> web.Response:
        """Make a code and return it, once."""
        given = await read_json(request, NewEnrolmentCode)
        place = f"{tenant}/{site}"
        device = None if given.device is None else f"{place}/{given.device}"
        services = request.app[SERVICES]
        now_ms = services.clock_ms()
        async with (await services.catalog.get()).transaction() as connection:
            number, code = await create_code(
                connection,
                place,
                device,
                lifetime_ms=given.lifetime_ms,
                created_by=who(request),
                now_ms=now_ms,
            )
            expires_ms = now_ms + given.lifetime_ms
            response = json_answer(
                CreatedEnrolmentCode(
                    id=number, code=code, site=place, device=device, expires_ms=expires_ms
                ),
                status=HTTPStatus.CREATED,
                headers=NO_STORE,
            )
            entry = entry_of(
                request,
                "device:code",
                device or place,
                after={"code": number, "expires_ms": expires_ms},
            )
            return await finish(connection, request, response, entry)


class DeviceRevocationView(View):
    """The end of a device."""

    view_path = "/api/v1/devices/{tenant}/{site}/{device}/revoke"
    access = MappingProxyType({"POST": _ADMIN})
    operations = describe(
        post=Operation(
            "Revoke a device",
            description="Within 5 s nothing that it sends, or that its keys signed, is accepted. "
            "It goes on recording, and uploads nothing. A new code enrols it again.",
            body=DeviceChange,
            answer=DeviceItem,
            problems={409: "It is revoked already."},
            tag=_TAG,
        )
    )

    async def post(self, request: web.Request, tenant: str, site: str, device: str) -> web.Response:
        """Revoke it."""
        return await _change(request, "revoked", "device:revoke")


class DeviceUnlockView(View):
    """The end of a lock."""

    view_path = "/api/v1/devices/{tenant}/{site}/{device}/unlock"
    access = MappingProxyType({"POST": _ADMIN})
    operations = describe(
        post=Operation(
            "Unlock a device",
            description="The next renewal with its key is accepted, whatever its generation. Where "
            "two devices still hold the identity, it is locked again. Where a copy may be in other "
            "hands, enrol the device again instead, with a new code.",
            body=DeviceChange,
            answer=DeviceItem,
            problems={409: "It is not locked."},
            tag=_TAG,
        )
    )

    async def post(self, request: web.Request, tenant: str, site: str, device: str) -> web.Response:
        """Unlock it."""
        return await _change(request, "enrolled", "device:unlock")


async def _change(request: web.Request, state: DeviceState, action: str) -> web.Response:
    given = await read_json(request, DeviceChange)
    name = _device_of(request)
    services = request.app[SERVICES]
    now_ms = services.clock_ms()
    async with (await services.catalog.get()).transaction() as connection:
        if await lock_device(connection, name) is None:
            raise not_found(f"There is no device {name}.")
        before, after = await change_device_state(connection, name, state, now_ms)
        response = json_answer(_answer(after))
        entry = entry_of(
            request,
            action,
            name,
            before=before.audited(),
            after=after.audited(),
            reason=given.why,
        )
        return await finish(connection, request, response, entry)

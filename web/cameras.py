"""/api/v1/cameras: the registered cameras and their states."""

from dataclasses import asdict, replace
from http import HTTPStatus
from types import MappingProxyType

from aiohttp import web
from faust.web import View

from domain.access import Permission, is_visible, scopes_with
from domain.camera_state import STATE_LIMITS, camera_state
from domain.errors import ConflictError
from domain.identity import site_of
from domain.live_sections import OVERLAP_SHOWN_MS
from domain.preconditions import RowVersion, content_tag
from stores.catalog import RegisteredCamera, list_cameras
from stores.catalog.cameras import (
    CameraSettings,
    create_camera,
    lock_camera,
    read_cameras,
    recent_labels,
    update_camera,
)
from web.access import in_list, on_camera, require_permission
from web.bodies import json_answer, parse_query, read_json
from web.conditional import etag_of, expected_version
from web.edits import ETAG, LOCATION, entry_of, finish, with_etag
from web.middleware import PRINCIPAL
from web.operations import Operation, describe
from web.pagination import page_of, parse_cursor
from web.problems import not_found
from web.query import parse_camera_id
from web.schemas.cameras import (
    CameraChange,
    CameraItem,
    Cameras,
    CamerasQuery,
    LabelCount,
    LimitsItem,
    NewCamera,
)
from web.services import SERVICES, require_camera


def camera_answer(camera: RegisteredCamera, now_ms: int) -> CameraItem:
    """Return a camera as the API shows it."""
    tenant, site, name = camera.id.split("/")
    state, since_ms = camera_state(
        now_ms=now_ms,
        created_ms=camera.created_ms,
        last_ms=camera.last_ms,
        run_started_ms=camera.run_started_ms,
    )
    return CameraItem(
        id=camera.id,
        tenant=tenant,
        site=site,
        camera=name,
        name=camera.name,
        state=state,
        since_ms=since_ms,
        two_recorders=(
            camera.overlap_ms is not None and now_ms - camera.overlap_ms < OVERLAP_SHOWN_MS
        ),
        first_ms=camera.first_ms,
        last_ms=camera.last_ms,
        retired_ms=camera.retired_ms,
        disabled_ms=camera.disabled_ms,
        etag=etag_of(camera_version(camera.settings).tag),
        width=camera.width,
        height=camera.height,
        labels_recent=[LabelCount(label=label, count=count) for label, count in camera.recent],
    )


def camera_version(camera: CameraSettings) -> RowVersion:
    """Return the version of what people change. The state of a camera is not a part of it."""
    known = {
        "id": camera.id,
        "name": camera.name,
        "disabled_ms": camera.disabled_ms,
        "retired_ms": camera.retired_ms,
    }
    return RowVersion(content_tag(known), current=known)


def limits_answer() -> LimitsItem:
    """Return the limits of the states."""
    return LimitsItem(**asdict(STATE_LIMITS))


class CamerasView(View):
    """All cameras in use."""

    view_path = "/api/v1/cameras"
    access = MappingProxyType(
        {"GET": in_list(Permission.CAMERA_VIEW), "POST": in_list(Permission.SITE_CONFIGURE)}
    )
    operations = describe(
        get=Operation("List the cameras in use", answer=Cameras, query=CamerasQuery),
        post=Operation(
            "Register a camera",
            description="Its events are accepted from then on. It takes `site:configure` on the "
            "site.",
            body=NewCamera,
            answer=CameraItem,
            status=201,
            problems={409: "It is registered."},
            answer_headers={**ETAG, **LOCATION},
        ),
    )

    async def get(self, request: web.Request) -> web.Response:
        """Return the cameras in use that the caller may see, by id; with `retired`, all of them."""
        services = request.app[SERVICES]
        now_ms = services.clock_ms()
        query = parse_query(request, CamerasQuery)
        after = parse_cursor(request, query, str)
        scopes = scopes_with(request[PRINCIPAL].principal, Permission.CAMERA_VIEW)
        found = [
            camera
            for camera in await list_cameras(await services.catalog.get(), now_ms)
            if (query.retired or camera.retired_ms is None)
            and is_visible(scopes, camera.id)
            and (after is None or (camera.id,) > after)
        ]
        found.sort(key=lambda camera: camera.id)  # as cursors compare, whatever the collation
        page, following = page_of(request, query, found, lambda camera: (camera.id,))
        answer = Cameras(
            now_ms=now_ms,
            limits=limits_answer(),
            cameras=[camera_answer(camera, now_ms) for camera in page],
            next=following,
        )
        return json_answer(answer)

    async def post(self, request: web.Request) -> web.Response:
        """Register a camera; 409: it is registered."""
        given = await read_json(request, NewCamera)
        require_permission(
            request[PRINCIPAL].principal, Permission.SITE_CONFIGURE, site_of(given.id)
        )
        now_ms = request.app[SERVICES].clock_ms()
        async with (await request.app[SERVICES].catalog.get()).transaction() as connection:
            if not await create_camera(connection, given.id, given.name, now_ms):
                raise ConflictError(f"The camera {given.id} is registered.")
            [made] = await read_cameras(connection, now_ms, only=given.id)
            tag = camera_version(made.settings).tag
            response = json_answer(
                camera_answer(made, now_ms),
                status=HTTPStatus.CREATED,
                headers=with_etag(tag, location=f"/api/v1/cameras/{given.id}"),
            )
            entry = entry_of(request, "camera:create", given.id, after={"name": given.name})
            return await finish(connection, request, response, entry)


class CameraView(View):
    """One camera."""

    view_path = "/api/v1/cameras/{tenant}/{site}/{camera}"
    access = MappingProxyType(
        {"GET": on_camera(Permission.CAMERA_VIEW), "PATCH": on_camera(Permission.SITE_CONFIGURE)}
    )
    operations = describe(
        get=Operation("Get a camera", answer=CameraItem),
        patch=Operation(
            "Rename, disable or retire a camera",
            description="A retired camera that still records comes back with its next footage: "
            "disable it too.",
            body=CameraChange,
            answer=CameraItem,
            headers={"If-Match": "The `etag` of the camera: where it was changed since, 412."},
            answer_headers=ETAG,
            problems={409: "No camera of its site's configuration would be left."},
        ),
    )

    async def get(self, request: web.Request, **_path: str) -> web.Response:
        """Return the camera."""
        services = request.app[SERVICES]
        now_ms = services.clock_ms()
        catalog = await services.catalog.get()
        async with catalog.together():
            found = await require_camera(request)
            labels = await recent_labels(catalog, found.id, now_ms)
        return json_answer(camera_answer(replace(found, recent=labels), now_ms))

    async def patch(self, request: web.Request, **_path: str) -> web.Response:
        """Change what the body names."""
        expected = expected_version(request)
        given = await read_json(request, CameraChange)
        name = parse_camera_id(request.match_info)
        now_ms = request.app[SERVICES].clock_ms()
        async with (await request.app[SERVICES].catalog.get()).transaction() as connection:
            before = await lock_camera(connection, name)
            if before is None:
                raise not_found(f"There is no camera {name}.")
            expected.check(camera_version(before))
            after = replace(before, name=given.name or before.name)
            if given.disabled is not None:
                after = after.with_enabled(not given.disabled, now_ms)
            if given.retired is not None:
                after = after.with_retired(given.retired, now_ms)
            await update_camera(connection, after)
            [found] = await read_cameras(connection, now_ms, only=name)
            response = json_answer(
                camera_answer(found, now_ms), headers=with_etag(camera_version(after).tag)
            )
            entry = entry_of(
                request,
                "camera:update",
                name,
                before=camera_version(before).current,
                after=camera_version(after).current,
            )
            return await finish(connection, request, response, entry)

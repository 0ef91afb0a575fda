"""/api/v1/cameras: the registered cameras and their states."""

from dataclasses import asdict

from aiohttp import web
from faust.web import View

from domain.access import Permission, is_visible, scopes_with
from domain.camera_state import STATE_LIMITS, camera_state
from domain.live_sections import OVERLAP_SHOWN_MS
from stores.catalog import RegisteredCamera, list_cameras
from web.access import in_list, on_camera
from web.bodies import json_answer, parse_query
from web.middleware import PRINCIPAL
from web.operations import Operation, describe
from web.pagination import page_of, parse_cursor
from web.schemas.cameras import CameraItem, Cameras, CamerasQuery, LabelCount, LimitsItem
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
        width=camera.width,
        height=camera.height,
        labels_recent=[LabelCount(label=label, count=count) for label, count in camera.recent],
    )


def limits_answer() -> LimitsItem:
    """Return the limits of the states."""
    return LimitsItem(**asdict(STATE_LIMITS))


class CamerasView(View):
    """All cameras in use."""

    view_path = "/api/v1/cameras"
    access = in_list(Permission.CAMERA_VIEW)
    operations = describe(
        get=Operation("List the cameras in use", answer=Cameras, query=CamerasQuery)
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


class CameraView(View):
    """One camera."""

    view_path = "/api/v1/cameras/{tenant}/{site}/{camera}"
    access = on_camera(Permission.CAMERA_VIEW)
    operations = describe(get=Operation("Get a camera", answer=CameraItem))

    async def get(self, request: web.Request, **_path: str) -> web.Response:
        """Return the camera."""
        found = await require_camera(request)
        return json_answer(camera_answer(found, request.app[SERVICES].clock_ms()))

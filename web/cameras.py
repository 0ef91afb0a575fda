"""/api/v1/cameras: the registered cameras and their states."""

from dataclasses import asdict
from typing import Any

from aiohttp import web
from faust.web import View

from domain.access import Permission, is_visible, scopes_with
from domain.camera_state import STATE_LIMITS, camera_state
from domain.live_sections import OVERLAP_SHOWN_MS
from stores.catalog import RegisteredCamera, list_cameras
from web.access import in_list, on_camera
from web.middleware import PRINCIPAL
from web.query import parse_flag
from web.services import SERVICES, require_camera


def camera_json(camera: RegisteredCamera, now_ms: int) -> dict[str, Any]:
    """Return a camera as the API shows it."""
    tenant, site, name = camera.id.split("/")
    state, since_ms = camera_state(
        now_ms=now_ms,
        created_ms=camera.created_ms,
        last_ms=camera.last_ms,
        run_started_ms=camera.run_started_ms,
    )
    return {
        "id": camera.id,
        "tenant": tenant,
        "site": site,
        "camera": name,
        "name": camera.name,
        "state": state,
        "since_ms": since_ms,
        "two_recorders": (
            camera.overlap_ms is not None and now_ms - camera.overlap_ms < OVERLAP_SHOWN_MS
        ),
        "first_ms": camera.first_ms,
        "last_ms": camera.last_ms,
        "retired_ms": camera.retired_ms,
        "width": camera.width,
        "height": camera.height,
        "labels_recent": [{"label": label, "count": count} for label, count in camera.recent],
    }


class CamerasView(View):
    """All cameras in use."""

    view_path = "/api/v1/cameras"
    access = in_list(Permission.CAMERA_VIEW)

    async def get(self, request: web.Request) -> web.Response:
        """Return the cameras in use that the caller may see, by id; with `retired`, all of them."""
        services = request.app[SERVICES]
        now_ms = services.clock_ms()
        scopes = scopes_with(request[PRINCIPAL].principal, Permission.CAMERA_VIEW)
        with_retired = parse_flag(request, "retired")
        cameras = await list_cameras(await services.catalog.get(), now_ms)
        body = {
            "now_ms": now_ms,
            "limits": asdict(STATE_LIMITS),
            "cameras": [
                camera_json(camera, now_ms)
                for camera in cameras
                if (with_retired or camera.retired_ms is None) and is_visible(scopes, camera.id)
            ],
        }
        return web.json_response(body, headers={"Cache-Control": "no-store"})


class CameraView(View):
    """One camera."""

    view_path = "/api/v1/cameras/{tenant}/{site}/{camera}"
    access = on_camera(Permission.CAMERA_VIEW)

    async def get(self, request: web.Request, **_path: str) -> web.Response:
        """Return the camera."""
        found = await require_camera(request)
        body = camera_json(found, request.app[SERVICES].clock_ms())
        return web.json_response(body, headers={"Cache-Control": "no-store"})

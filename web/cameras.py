"""/api/v1/cameras: which cameras there are and how they fare."""

from typing import Any

from aiohttp import web
from faust.web import View

from stores.catalog import RegisteredCamera, list_cameras
from web.services import SERVICES, require_camera

RECORDING_MS = 15_000
LATE_MS = 120_000


def state_of(camera: RegisteredCamera, now_ms: int) -> tuple[str, int]:
    """Return a camera's state by the age of its newest footage, and since when (UTC ms)."""
    if camera.last_ms is None:
        return "new", camera.created_ms
    age_ms = now_ms - camera.last_ms
    if age_ms <= RECORDING_MS:
        return "recording", min(camera.run_started_ms or camera.last_ms, camera.last_ms)
    return ("late" if age_ms <= LATE_MS else "offline"), camera.last_ms


def camera_json(camera: RegisteredCamera, now_ms: int) -> dict[str, Any]:
    """Return a camera as the API shows it."""
    tenant, services, name = camera.id.split("/")
    state, since_ms = state_of(camera, now_ms)
    return {
        "id": camera.id,
        "tenant": tenant,
        "site": services,
        "camera": name,
        "name": camera.name,
        "state": state,
        "since_ms": since_ms,
        "first_ms": camera.first_ms,
        "last_ms": camera.last_ms,
        "width": camera.width,
        "height": camera.height,
        "labels_recent": [{"label": label, "count": count} for label, count in camera.recent],
    }


class CamerasView(View):
    """All cameras."""

    view_path = "/api/v1/cameras"

    async def get(self, request: web.Request) -> web.Response:
        """Return all cameras by id."""
        services = request.app[SERVICES]
        now_ms = services.clock_ms()
        cameras = await list_cameras(await services.catalog.get(), now_ms)
        body = {"now_ms": now_ms, "cameras": [camera_json(camera, now_ms) for camera in cameras]}
        return web.json_response(body, headers={"Cache-Control": "no-store"})


class CameraView(View):
    """One camera."""

    view_path = "/api/v1/cameras/{tenant}/{site}/{camera}"

    async def get(self, request: web.Request, **_path: str) -> web.Response:
        """Return the camera."""
        found = await require_camera(request)
        body = camera_json(found, request.app[SERVICES].clock_ms())
        return web.json_response(body, headers={"Cache-Control": "no-store"})

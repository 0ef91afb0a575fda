"""All operations of the API, and what each role must be answered, by tables written out by hand."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from domain.access import Grant, Permission, Role
from stores.catalog.keys import create_key
from tests.integration.catalog_support import T0, run_id
from tests.integration.web_support import Web
from web.access import PUBLIC, RouteAccess, access_of, access_table, canonical
from web.views import VIEWS

MINE, FOREIGN, NOWHERE = "acme/hq/gate", "globex/plant/door", "globex/plant/no-such"
RUN = run_id()
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
P = Permission
_READS = {P.CAMERA_VIEW, P.FOOTAGE_READ, P.DETECTIONS_READ}
_OPERATES = _READS | {P.FOOTAGE_EXPORT, P.HOLD_MANAGE}
EXPECTED: dict[Role, set[Permission]] = {
    Role.VIEWER: _READS,
    Role.OPERATOR: _OPERATES,
    Role.ADMIN: _OPERATES
    | {P.SITE_CONFIGURE, P.RETENTION_MANAGE, P.KEYS_MANAGE, P.USERS_MANAGE, P.METRICS_READ},
    Role.AUDITOR: {P.AUDIT_READ},
    Role.MONITOR: {P.METRICS_READ},
    Role.EDGE: {P.SITE_CONFIG_READ},
}
"""What each role may do: docs/reference/access.md."""

_CAMERA = "/api/v1/cameras/{tenant}/{site}/{camera}"
DECLARED: dict[str, tuple[Permission, str]] = {
    "/metrics": (P.METRICS_READ, "installation"),
    "/api/v1/cameras": (P.CAMERA_VIEW, "list"),
    "/api/v1/edges": (P.CAMERA_VIEW, "list"),
    "/api/v1/events": (P.CAMERA_VIEW, "list"),
    _CAMERA: (P.CAMERA_VIEW, "camera"),
    f"{_CAMERA}/chunks": (P.FOOTAGE_READ, "camera"),
    f"{_CAMERA}/timeline": (P.FOOTAGE_READ, "camera"),
    f"{_CAMERA}/detections": (P.DETECTIONS_READ, "camera"),
    f"{_CAMERA}/playlist.m3u8": (P.FOOTAGE_READ, "camera"),
    f"{_CAMERA}/fragments/{{run}}/{{seq}}.ts": (P.FOOTAGE_READ, "camera"),
    f"{_CAMERA}/chunks/{{run}}/{{window_start_ms}}/{{digest}}.ts": (P.FOOTAGE_READ, "camera"),
    f"{_CAMERA}/thumbnail.jpg": (P.FOOTAGE_READ, "camera"),
    "/api/v1/sites/{tenant}/{site}/config": (P.SITE_CONFIG_READ, "site"),
}
"""What GET needs. Another table than the views', so that a wrong permission there is found."""
OPEN = {
    "/healthz", "/readyz", "/api/v1/openapi.json", "/api/v1/docs", "/api/v1/docs/style.css",
    "/api/v1/problems/{name}", "/{path}",
}  # fmt: skip
"""What GET answers to strangers."""


@dataclass(frozen=True, slots=True)
class ApiOperation:
    """A method of a route, and who may call it."""

    method: str
    pattern: str
    access: RouteAccess

    def path(self, camera: str) -> str:
        """Return an address of it, for this camera, its site or its tenant."""
        tenant, site, name = camera.split("/")
        values = {
            "tenant": tenant, "site": site, "camera": name, "run": RUN, "seq": "0",
            "window_start_ms": str(T0), "digest": "0" * 32,
        }  # fmt: skip
        path = self.pattern.format_map(defaultdict(lambda: "1", values))
        return f"{path}?from={T0}&to={T0 + 60_000}" if path.startswith("/api/v1/cameras/") else path


def operations() -> list[ApiOperation]:
    """Return all operations of all views that are not public."""
    table = access_table(VIEWS)
    every = [
        ApiOperation(method, pattern, access_of(table, pattern, method))
        for view in VIEWS
        for method, pattern in product(METHODS, (canonical(view.view_path),))
        if method.lower() in vars(view)
    ]
    return [each for each in every if each.access != PUBLIC]


async def as_key(web: Web, *grants: Grant) -> dict[str, str]:
    """Return the headers of a key with these grants."""
    return {"Authorization": f"Bearer {await create_key(web.catalog, 'key', T0, None, grants)}"}


async def status_of(web: Web, each: ApiOperation, camera: str, headers: dict[str, str]) -> int:
    """Return what an operation answers. What changes something is sent an empty object."""
    body = None if each.method in {"GET", "DELETE"} else {}
    async with web.stranger.request(
        each.method, each.path(camera), headers=headers, json=body
    ) as answer:
        return answer.status


def _expected(access: RouteAccess, may: bool, camera: str) -> set[int] | None:
    """Return the statuses of a refusal; None: it is not refused."""
    if access.permission is None:
        return None
    if access.on == "list":
        return None if may else {403}
    if access.on == "camera" and camera != MINE:
        return {404}
    if access.on == "installation" or not may:
        return {403}
    return None if camera == MINE else {403, 404}


async def mismatches(
    web: Web, roles: Sequence[Role] = tuple(Role), methods: Sequence[str] = METHODS
) -> list[str]:
    """Return what is answered otherwise than it must be."""
    found = []
    for role in roles:
        sent = await as_key(web, Grant(role, "acme"))
        everywhere = await as_key(web, Grant(role, "*"))
        for each in operations():
            if each.method not in methods:
                continue
            permission, on = each.access.permission, each.access.on
            if each.method == "GET":
                permission, on = DECLARED.get(each.pattern, (permission, on))
            may = permission in EXPECTED[role]
            for camera in (MINE, FOREIGN, NOWHERE):
                status = await status_of(web, each, camera, sent)
                expected = _expected(RouteAccess(permission, on), may, camera)
                wrong = status in {401, 403} if expected is None else status not in expected
                if wrong or status >= 500:
                    found.append(f"{role}:acme {each.method} {each.path(camera)}: {status}")
            status = await status_of(web, each, MINE, everywhere)
            refused = permission is not None and not may
            if status == 401 or (status == 403) != refused or status >= 500:
                found.append(f"{role}:* {each.method} {each.path(MINE)}: {status}")
    return found


async def list_mismatches(web: Web) -> list[str]:
    """Return the lists that show more or less than the grants; needs `add_cameras`."""
    found = []
    for scopes, expected in LISTS:
        headers = await as_key(web, *(Grant(Role.VIEWER, scope) for scope in scopes))
        answer = await web.stranger.get("/api/v1/cameras", headers=headers)
        shown = [camera["id"] for camera in (await answer.json())["cameras"]]
        if shown != list(expected):
            found.append(f"{scopes}: {shown}")
    return found


CAMERAS = ("acme-2/hq/gate", "acme/hq-2/gate", MINE, "acme/lab/desk", FOREIGN)
LISTS = (
    (("acme",), ("acme/hq-2/gate", MINE, "acme/lab/desk")),
    (("acme/hq", "globex"), (MINE, FOREIGN)),
    (("acme/lab/desk",), ("acme/lab/desk",)),
    (("*",), CAMERAS),
)
"""Scopes of a viewer, and the cameras that it sees."""

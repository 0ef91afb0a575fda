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

_TABLE = """
GET    /healthz                                                     -                  nothing
GET    /readyz                                                      -                  nothing
GET    /metrics                                                     metrics:read       installation
GET    /status                                                      metrics:read       installation
GET    /session                                                     -                  enrolling
POST   /session                                                     -                  nothing
DELETE /session                                                     -                  nothing
POST   /session/password                                            -                  signed-in
POST   /session/totp                                                -                  enrolling
PUT    /session/totp                                                -                  enrolling
POST   /session/totp/remove                                         -                  signed-in
GET    /sessions                                                    -                  signed-in
DELETE /sessions                                                    -                  signed-in
DELETE /sessions/{session}                                          -                  signed-in
GET    /session/oidc                                                -                  nothing
GET    /session/oidc/{provider}                                     -                  nothing
GET    /session/oidc/{provider}/callback                            -                  nothing
POST   /session/oidc/{provider}/logout                              -                  nothing
GET    /cameras                                                     camera:view        list
POST   /cameras                                                     site:configure     list
GET    CAMERA                                                       camera:view        camera
PATCH  CAMERA                                                       site:configure     camera
GET    CAMERA/runs                                                  footage:read       camera
GET    /tenants                                                     camera:view        list
POST   /tenants                                                     site:configure     installation
GET    /tenants/{tenant}                                            camera:view        list
PATCH  /tenants/{tenant}                                            site:configure     tenant
GET    /sites                                                       camera:view        list
POST   /sites                                                       site:configure     list
GET    /sites/{tenant}/{site}                                       camera:view        list
PATCH  /sites/{tenant}/{site}                                       site:configure     known-site
GET    /second-factor/rules                                         users:manage       list
PUT    /second-factor/rule                                          users:manage       list
DELETE /second-factor/rule                                          users:manage       list
GET    /holds                                                       hold:manage        list
POST   /holds                                                       hold:manage        list
GET    /holds/{number}                                              hold:manage        list
POST   /holds/{number}/lift                                         hold:manage        list
GET    /retention/rules                                             retention:manage   list
GET    /retention/rule                                              retention:manage   list
PUT    /retention/rule                                              retention:manage   list
DELETE /retention/rule                                              retention:manage   list
POST   /retention/preview                                           retention:manage   list
GET    /keys                                                        keys:manage        list
POST   /keys                                                        keys:manage        list
GET    /keys/{number}                                               keys:manage        list
DELETE /keys/{number}                                               keys:manage        list
POST   /keys/{number}/rotate                                        keys:manage        list
GET    /edges                                                       camera:view        list
GET    /devices                                                     camera:view        list
GET    /devices/{tenant}/{site}/{device}                            camera:view        list
POST   /devices/{tenant}/{site}/{device}/revoke                     site:configure     known-site
POST   /devices/{tenant}/{site}/{device}/unlock                     site:configure     known-site
POST   /sites/{tenant}/{site}/enrolment-codes                       site:configure     known-site
GET    /events                                                      camera:view        list
GET    CAMERA/chunks                                                footage:read       camera
GET    CAMERA/timeline                                              footage:read       camera
GET    CAMERA/detections                                            detections:read    camera
GET    CAMERA/playlist.m3u8                                         footage:read       camera
GET    CAMERA/fragments/{run}/{seq}.ts                              footage:read       camera
GET    CAMERA/chunks/{run}/{window_start_ms}/{digest}.ts            footage:read       camera
GET    CAMERA/thumbnail.jpg                                         footage:read       camera
GET    CAMERA/filmstrip.jpg                                         footage:read       camera
GET    /sites/{tenant}/{site}/config                                site:config:read   site
GET    /sites/{tenant}/{site}/config-versions                       site:configure     known-site
GET    /sites/{tenant}/{site}/config-versions/{version}             site:configure     known-site
GET    /sites/{tenant}/{site}/signed-config                         site:config:read   site
GET    /openapi.json                                                -                  nothing
GET    /docs                                                        -                  nothing
GET    /docs/style.css                                              -                  nothing
GET    /problems/{name}                                             -                  nothing
GET    /{path}                                                      -                  nothing
"""
DECLARED: dict[tuple[str, str], tuple[Permission | None, str]] = {}
"""By method and pattern: what it needs. Another table than the views', so that a mistake there is
found. A new route needs a line here only where it is public."""
for _line in _TABLE.strip().splitlines():
    _method, _path, _permission, _on = _line.split()
    _path = _path.replace("CAMERA", "/cameras/{tenant}/{site}/{camera}")
    if _path not in {"/healthz", "/readyz", "/metrics", "/{path}"}:
        _path = f"/api/v1{_path}"
    _needs = None if _permission == "-" else Permission(_permission)
    DECLARED[_method, _path] = (_needs, _on)


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


def _expected(permission: Permission | None, on: str, may: bool, camera: str) -> set[int] | None:
    """Return the statuses of a refusal; None: it is not refused."""
    if permission is None:
        return None
    if on == "list":
        return None if may else {403}
    if on in {"camera", "known-site", "tenant"} and camera != MINE:
        return {404}
    if on == "installation" or not may:
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
                permission, on = DECLARED.get((each.method, each.pattern), (permission, on))
            may = permission in EXPECTED[role]
            for camera in (MINE, FOREIGN, NOWHERE):
                status = await status_of(web, each, camera, sent)
                expected = _expected(permission, on, may, camera)
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

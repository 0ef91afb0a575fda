"""All routes x roles x own and foreign tenants: what answers, by a table written out by hand.

The routes come from the views, so that a new route is tested without a line here.
"""

from collections.abc import AsyncIterator
from itertools import product

import pytest
from aiohttp import ClientResponse

from domain.access import Grant, Permission, Role
from domain.errors import ConfigError
from stores.catalog import add_camera
from stores.catalog.keys import create_key
from tests.integration.catalog_support import T0, run_id
from tests.integration.web_support import Web, running_web
from web.access import RouteAccess, access_table
from web.views import VIEWS

MINE, FOREIGN, NOWHERE = "acme/hq/gate", "globex/plant/door", "globex/plant/no-such"
ELSEWHERE = "initech/lab/desk"
"""Of a tenant and a site that do not exist."""
RUN = run_id()
READS = {Permission.CAMERA_VIEW, Permission.FOOTAGE_READ, Permission.DETECTIONS_READ}
EXPECTED: dict[Role, set[Permission]] = {
    Role.VIEWER: READS,
    Role.OPERATOR: READS | {Permission.FOOTAGE_EXPORT, Permission.HOLD_MANAGE},
    Role.ADMIN: READS
    | {
        Permission.FOOTAGE_EXPORT,
        Permission.HOLD_MANAGE,
        Permission.SITE_CONFIGURE,
        Permission.RETENTION_MANAGE,
        Permission.KEYS_MANAGE,
        Permission.USERS_MANAGE,
        Permission.METRICS_READ,
    },
    Role.AUDITOR: {Permission.AUDIT_READ},
    Role.MONITOR: {Permission.METRICS_READ},
    Role.EDGE: {Permission.SITE_CONFIG_READ},
}
"""What each role may do, written out by hand."""
ON_PATH = {"camera", "known-site", "tenant"}
"""Where a foreign one answers 404."""


@pytest.fixture
async def web(services) -> AsyncIterator[Web]:
    async with running_web(services) as running:
        await add_camera(running.catalog, FOREIGN, "Door", T0)
        yield running


def address(view_path: str, camera: str) -> str:
    tenant, site, name = camera.split("/")
    path = view_path.format(
        tenant=tenant, site=site, camera=name, run=RUN, seq=0, window_start_ms=T0, digest="0" * 32,
        number=0, version=1, name="not-found", session="0" * 16, user="0" * 16, group="0" * 16,
        edge="box", command="0" * 32, device=name,
    )  # fmt: skip
    return f"{path}?from={T0}&to={T0 + 60_000}"


def routes() -> list[tuple[str, str, RouteAccess]]:
    """Return path, method and access of all routes that need a permission."""
    found = []
    for path, declared in access_table(VIEWS).items():
        by_method = {"GET": declared} if isinstance(declared, RouteAccess) else declared
        found += [(path, method, access) for method, access in by_method.items()]
    return [each for each in found if each[2].permission is not None]


async def ask(web: Web, method: str, path: str, headers: dict[str, str]) -> ClientResponse:
    """Send a request. One that changes something has an empty body: it changes nothing."""
    body = None if method == "GET" else {}
    return await web.stranger.request(
        method, path, json=body, headers={**headers, "If-Match": "*"} if body == {} else headers
    )


async def as_key(web: Web, *grants: Grant) -> dict[str, str]:
    """Return the headers of a key with these grants."""
    return {"Authorization": f"Bearer {await create_key(web.catalog, 'key', T0, None, grants)}"}


@pytest.mark.parametrize("role", Role)
async def test_each_route_answers_each_role(web: Web, role: Role) -> None:
    sent = await as_key(web, Grant(role, "acme"))
    everywhere = await as_key(web, Grant(role, "*"))
    checked = 0
    for (path, method, access), camera in product(routes(), (MINE, FOREIGN, NOWHERE)):
        checked += 1
        where = (method, path, camera)
        may = access.permission in EXPECTED[role]
        status = (await ask(web, method, address(path, camera), sent)).status
        if access.on in ON_PATH and camera != MINE:
            assert status == 404, where
        elif access.on == "list":
            assert (status == 403) == (not may), where
        elif access.on == "installation" or camera != MINE or not may:
            assert status == 403, where
        if status not in {403, 404}:
            # 404: it has no footage yet; else it is neither a change nor a WebSocket.
            fine = {200, 400, 426} if method == "GET" else {200, 201, 400, 409, 412}
            assert status in fine, where
        wide = await ask(web, method, address(path, camera), everywhere)
        assert (wide.status == 403) == (not may), where
        assert wide.status < 500, where
    assert checked >= 60


async def test_a_foreign_camera_answers_as_one_that_does_not_exist(web: Web) -> None:
    sent = await as_key(web, Grant(Role.ADMIN, "acme"))
    for path, method, access in routes():
        if access.on not in ON_PATH:
            continue
        answers = []
        for camera in (FOREIGN, ELSEWHERE if access.on != "camera" else NOWHERE):
            answer = await ask(web, method, address(path, camera), sent)
            site = camera.rpartition("/")[0]
            text = (await answer.text()).replace(camera, "CAMERA").replace(site, "SITE")
            text = text.replace(site.split("/")[0], "TENANT")
            text = text.replace(answer.headers["X-Request-Id"], "REQUEST")
            headers = {
                name: value
                for name, value in answer.headers.items()
                if name not in {"Date", "Content-Length", "X-Request-ID"}
            }
            answers.append((answer.status, text, headers))
        assert answers[0] == answers[1], path


async def test_lists_show_what_the_grants_allow(web: Web) -> None:
    await add_camera(web.catalog, "acme/lab/desk", "Desk", T0)
    await add_camera(web.catalog, "acme-2/hq/gate", "Another gate", T0)

    async def listed(*grants: Grant) -> list[str]:
        answer = await web.stranger.get("/api/v1/cameras", headers=await as_key(web, *grants))
        return [camera["id"] for camera in (await answer.json())["cameras"]]

    assert await listed(Grant(Role.VIEWER, "acme")) == ["acme/hq/gate", "acme/lab/desk"]
    assert await listed(Grant(Role.VIEWER, "acme/hq"), Grant(Role.VIEWER, "globex")) == [
        "acme/hq/gate",
        "globex/plant/door",
    ]
    assert await listed(Grant(Role.VIEWER, "acme/lab/desk")) == ["acme/lab/desk"]
    assert await listed(Grant(Role.VIEWER, "*"), Grant(Role.MONITOR, "*")) == [
        "acme-2/hq/gate",
        "acme/hq/gate",
        "acme/lab/desk",
        "globex/plant/door",
    ]


def test_a_view_that_declares_no_access_does_not_start() -> None:
    class ForgottenView:
        view_path = "/api/v1/secrets"

    class InheritingView(VIEWS[0]):
        view_path = "/api/v1/more-secrets"

    for view in (ForgottenView, InheritingView):
        with pytest.raises(ConfigError, match="declares no access"):
            access_table([*VIEWS, view])

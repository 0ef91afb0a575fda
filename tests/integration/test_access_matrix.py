"""All routes x roles x own and foreign tenants: what answers, by a table written out by hand.

The routes come from the views, so that a new route is tested without a line here.
"""

from collections.abc import AsyncIterator
from itertools import product

import pytest

from domain.access import Grant, Permission, Role
from domain.errors import ConfigError
from stores.catalog import add_camera
from stores.catalog.keys import create_key
from tests.integration.catalog_support import T0, run_id
from tests.integration.web_support import Web, running_web
from web.access import PUBLIC, RouteAccess, access_table
from web.views import VIEWS

MINE, FOREIGN, NOWHERE = "acme/hq/gate", "globex/plant/door", "globex/plant/no-such"
RUN = run_id()
READS = {Permission.CAMERA_VIEW, Permission.FOOTAGE_READ, Permission.DETECTIONS_READ}
EXPECTED: dict[Role, set[Permission]] = {
    Role.VIEWER: READS,
    Role.OPERATOR: READS,
    Role.ADMIN: READS | {Permission.METRICS_READ},
    Role.AUDITOR: set(),
    Role.MONITOR: {Permission.METRICS_READ},
    Role.EDGE: {Permission.SITE_CONFIG_READ},
}
"""Of the permissions that routes need today."""


@pytest.fixture
async def web(services) -> AsyncIterator[Web]:
    async with running_web(services) as running:
        await add_camera(running.catalog, FOREIGN, "Door", T0)
        yield running


def address(view_path: str, camera: str) -> str:
    tenant, site, name = camera.split("/")
    path = view_path.format(
        tenant=tenant, site=site, camera=name, run=RUN, seq=0, window_start_ms=T0, digest="0" * 32
    )
    return f"{path}?from={T0}&to={T0 + 60_000}"


def routes() -> list[tuple[str, RouteAccess]]:
    table = access_table(VIEWS)
    return [(path, each) for path, each in table.items() if isinstance(each, RouteAccess)]


async def as_key(web: Web, *grants: Grant) -> dict[str, str]:
    """Return the headers of a key with these grants."""
    return {"Authorization": f"Bearer {await create_key(web.catalog, 'key', T0, None, grants)}"}


@pytest.mark.parametrize("role", Role)
async def test_each_route_answers_each_role(web: Web, role: Role) -> None:
    sent = await as_key(web, Grant(role, "acme"))
    everywhere = await as_key(web, Grant(role, "*"))
    checked = 0
    for (path, access), camera in product(routes(), (MINE, FOREIGN, NOWHERE)):
        if access == PUBLIC:
            continue
        checked += 1
        may = access.permission in EXPECTED[role]
        status = (await web.stranger.get(address(path, camera), headers=sent)).status
        if access.on == "camera" and camera != MINE:
            assert status == 404, (path, camera)
        elif access.on == "list":
            assert status == (200 if may else 403), path
        elif access.on == "installation" or camera != MINE or not may:
            assert status == 403, (path, camera)
        else:
            assert status in {200, 404}, (path, camera)  # 404: it has no footage yet
        wide = await web.stranger.get(address(path, camera), headers=everywhere)
        assert (wide.status == 403) == (not may), (path, camera)
    assert checked >= 30


async def test_a_foreign_camera_answers_as_one_that_does_not_exist(web: Web) -> None:
    sent = await as_key(web, Grant(Role.ADMIN, "acme"))
    for path, access in routes():
        if access.on != "camera":
            continue
        answers = []
        for camera in (FOREIGN, NOWHERE):
            answer = await web.stranger.get(address(path, camera), headers=sent)
            text = (await answer.text()).replace(camera, "CAMERA")
            headers = {
                name: value
                for name, value in answer.headers.items()
                if name not in {"Date", "Content-Length"}
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

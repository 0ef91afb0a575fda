"""Holes that are planted on purpose: each must be found by the tests of access.

The code is changed in this process only. First the unchanged code passes, so that what is found
afterwards is the hole.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from domain.access import Grant, Permission, Role
from stores.catalog import add_camera
from stores.catalog.tenant_pool import TenantConnection
from tests.integration.access_support import (
    CAMERAS,
    DECLARED,
    FOREIGN,
    METHODS,
    MINE,
    as_key,
    list_mismatches,
    mismatches,
)
from tests.integration.catalog_support import T0
from tests.integration.test_row_security import patch_sql
from tests.integration.web_support import Web, running_web
from web import access as web_access
from web.access import PUBLIC, access_of, access_table, canonical, on_camera, on_installation
from web.middleware import ACCESS
from web.problems import ProblemError
from web.views import VIEWS

ROLES = (Role.VIEWER, Role.AUDITOR)
TIMELINE = "/api/v1/cameras/{tenant}/{site}/{camera}/timeline"
Plant = Callable[[pytest.MonkeyPatch, Web], None]


@pytest.fixture
async def web(services) -> AsyncIterator[Web]:
    async with running_web(services) as running:
        for camera in CAMERAS:
            await add_camera(running.catalog, camera, camera, T0)
        yield running


async def found(web: Web) -> list[str]:
    """Return all that the tests of access find."""
    return [
        *await mismatches(web, ROLES, ["GET"]),
        *await list_mismatches(web),
        *await mixed_up(web),
        *await shown_without_conditions(web),
    ]


async def mixed_up(web: Web) -> list[str]:
    """Return what is wrong where several principals ask for the same at the same time."""
    keys = {
        scope: await as_key(web, Grant(Role.VIEWER, scope)) for scope in ("acme", "globex", "*")
    }
    asked = [(scope, camera) for scope in keys for camera in (MINE, FOREIGN)] * 3

    async def status(scope: str, camera: str) -> int:
        async with web.stranger.get(f"/api/v1/cameras/{camera}", headers=keys[scope]) as answer:
            return answer.status

    statuses = await asyncio.gather(*(status(*each) for each in asked))
    return [
        f"{scope} {camera}: {answered}"
        for (scope, camera), answered in zip(asked, statuses, strict=True)
        if (answered == 200) != (scope == "*" or camera.startswith(f"{scope}/"))
    ]


async def shown_without_conditions(web: Web) -> list[str]:
    """Return what the API shows of others where the conditions are left out of the SQL."""
    headers = await as_key(web, Grant(Role.VIEWER, "acme"))
    with pytest.MonkeyPatch.context() as patch:
        patch_sql(patch)
        async with web.stranger.get(f"/api/v1/cameras/{MINE}", headers=headers) as answer:
            text = await answer.text()
    return [f"shown: {text}"] if "globex" in text or "acme-2" in text else []


def no_check(patch: pytest.MonkeyPatch, _web: Web) -> None:
    """The middleware does not ask the rule."""
    patch.setattr("web.middleware.authorize", lambda *_: None)


def wrong_scope(patch: pytest.MonkeyPatch, _web: Web) -> None:
    """A site is compared as a text that begins the same: acme/hq gets acme/hq-2."""
    patch.setattr(
        "domain.access.covers", lambda scope, resource: scope == "*" or resource.startswith(scope)
    )


def wrong_permission(patch: pytest.MonkeyPatch, web: Web) -> None:
    """One route needs a permission that another role has."""
    changed = {**app(web)[ACCESS], canonical(TIMELINE): on_camera(Permission.AUDIT_READ)}
    patch.setitem(app(web)._state, ACCESS, changed)


def wrong_level(patch: pytest.MonkeyPatch, web: Web) -> None:
    """Metrics need a permission that each viewer of everything has."""
    changed = {**app(web)[ACCESS], "/metrics": on_installation(Permission.CAMERA_VIEW)}
    patch.setitem(app(web)._state, ACCESS, changed)


def unfiltered_list(patch: pytest.MonkeyPatch, _web: Web) -> None:
    """The list shows all that PostgreSQL returns."""
    patch.setattr("web.cameras.is_visible", lambda *_: True)


def forbidden_instead_of_unknown(patch: pytest.MonkeyPatch, _web: Web) -> None:
    """A foreign camera answers 403: it exists, then."""

    def authorize(*given: Any) -> None:
        try:
            checked(*given)
        except ProblemError as problem:
            raise ProblemError(403, problem.detail) from None

    checked = web_access.authorize
    patch.setattr("web.middleware.authorize", authorize)


class _OneEntry(dict[bytes, Any]):
    """A cache whose key does not name the principal."""

    def get(self, _key: bytes, default: Any = None) -> Any:
        return super().get(b"", default)

    def __setitem__(self, _key: bytes, value: Any) -> None:
        super().__setitem__(b"", value)


def cache_without_principal(patch: pytest.MonkeyPatch, web: Web) -> None:
    """Who was authenticated is remembered for everybody."""
    patch.setattr(web.services.sessions, "_known", _OneEntry())


def all_rows(patch: pytest.MonkeyPatch, _web: Web) -> None:
    """Each transaction of the web sees all tenants: row-level security is as good as off."""
    patch.setattr("web.middleware.tenants_for", lambda *_: ("*",))


def tenants_of_the_request_before(patch: pytest.MonkeyPatch, _web: Web) -> None:
    """A kept connection goes on to show what it showed."""

    async def show(self: TenantConnection, role: str, tenants: str) -> None:
        if self.tenants is None:
            await shown(self, role, tenants)

    shown = TenantConnection.show
    patch.setattr(TenantConnection, "show", show)


HOLES: tuple[Plant, ...] = (
    no_check,
    wrong_scope,
    wrong_permission,
    wrong_level,
    unfiltered_list,
    forbidden_instead_of_unknown,
    cache_without_principal,
    all_rows,
    tenants_of_the_request_before,
)


def app(web: Web) -> Any:
    return web.client.app


def test_each_route_needs_what_the_table_says() -> None:
    table = access_table(VIEWS)
    for view in VIEWS:
        pattern = canonical(view.view_path)
        for method in METHODS:
            if method.lower() not in vars(view):
                continue
            access = access_of(table, pattern, method)
            unlisted = (access.permission, access.on)
            assert unlisted == DECLARED.get((method, pattern), unlisted), (method, pattern)
            if access == PUBLIC:
                assert (method, pattern) in DECLARED, "anyone may send this: add it to the table"


async def test_each_planted_hole_is_found(web: Web) -> None:
    assert await found(web) == [], "without a hole"
    for plant in HOLES:
        with pytest.MonkeyPatch.context() as patch:
            plant(patch, web)
            holes = await found(web)
        web.services.sessions.forget()
        print(f"{plant.__name__}: {holes[:3]}")
        assert holes, plant.__name__
    assert await found(web) == [], "each hole was closed again"

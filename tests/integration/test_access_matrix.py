"""All operations x roles x own and foreign tenants: what answers, by a table written out by hand.

The operations come from the views, so that a new one is tested without a line here.
"""

from collections.abc import AsyncIterator

import pytest

from domain.access import Grant, Role
from domain.errors import ConfigError
from stores.catalog import add_camera
from tests.integration.access_support import (
    CAMERAS,
    DECLARED,
    EXPECTED,
    FOREIGN,
    NOWHERE,
    OPEN,
    as_key,
    list_mismatches,
    mismatches,
    operations,
)
from tests.integration.catalog_support import T0
from tests.integration.web_support import Web, running_web
from web.access import PUBLIC, access_of, access_table
from web.views import VIEWS


@pytest.fixture
async def web(services) -> AsyncIterator[Web]:
    async with running_web(services) as running:
        await add_camera(running.catalog, FOREIGN, "Door", T0)
        yield running


@pytest.mark.parametrize("role", Role)
async def test_each_operation_answers_each_role(web: Web, role: Role) -> None:
    assert set(EXPECTED) == set(Role)
    assert len(operations()) >= 14
    assert await mismatches(web, [role]) == []


def test_each_route_needs_what_the_table_says() -> None:
    table = access_table(VIEWS)
    for pattern, declared in DECLARED.items():
        access = access_of(table, pattern, "GET")
        assert (access.permission, access.on) == declared, pattern
    public = {pattern for pattern in table if access_of(table, pattern, "GET") == PUBLIC}
    assert public <= OPEN, "anyone may read these"


async def test_a_foreign_camera_answers_as_one_that_does_not_exist(web: Web) -> None:
    sent = await as_key(web, Grant(Role.ADMIN, "acme"))
    for each in operations():
        if each.access.on != "camera":
            continue
        answers = []
        for camera in (FOREIGN, NOWHERE):
            body = None if each.method in {"GET", "DELETE"} else {}
            answer = await web.stranger.request(
                each.method, each.path(camera), headers=sent, json=body
            )
            text = (await answer.text()).replace(camera, "CAMERA")
            headers = {
                name: value
                for name, value in answer.headers.items()
                if name not in {"Date", "Content-Length"}
            }
            answers.append((answer.status, text, headers))
        assert answers[0] == answers[1], each


async def test_lists_show_what_the_grants_allow(web: Web) -> None:
    for camera in CAMERAS:
        await add_camera(web.catalog, camera, camera, T0)
    assert await list_mismatches(web) == []


def test_a_view_that_declares_no_access_does_not_start() -> None:
    class ForgottenView:
        view_path = "/api/v1/secrets"

    class InheritingView(VIEWS[0]):
        view_path = "/api/v1/more-secrets"

    for view in (ForgottenView, InheritingView):
        with pytest.raises(ConfigError, match="declares no access"):
            access_table([*VIEWS, view])

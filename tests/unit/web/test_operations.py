"""Every method of every view describes what it takes and answers."""

import pytest
from faust.web import View

from domain.errors import ConfigError
from web.operations import UNDESCRIBED, Operation, describe, operation_table, operations_of
from web.pages import PagesView
from web.views import VIEWS


def test_all_views_describe_their_operations() -> None:
    table = operation_table(VIEWS)
    assert len(table) >= 15
    assert [view for view in VIEWS if operations_of(view) is UNDESCRIBED] == [PagesView]


class Forgotten(View):
    view_path = "/api/v1/secrets"

    async def get(self, request) -> None: ...


class Half(View):
    view_path = "/api/v1/secrets"
    operations = describe(get=Operation("Get it"))

    async def get(self, request) -> None: ...

    async def post(self, request) -> None: ...


class TooMuch(View):
    view_path = "/api/v1/secrets"
    operations = describe(get=Operation("Get it"))


class Heir(Half):
    view_path = "/api/v1/more-secrets"


@pytest.mark.parametrize(
    ("view", "message"),
    [
        (Forgotten, "Forgotten .* describes no operations"),
        (Heir, "Heir .* describes no operations"),
        (Half, "Half does not describe: post"),
        (TooMuch, "TooMuch does not handle: get"),
    ],
)
def test_a_view_that_does_not_is_found(view: type[View], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        operation_table([*VIEWS, view])


def test_a_mistyped_method_is_found() -> None:
    with pytest.raises(ConfigError, match="not methods: gte"):
        describe(gte=Operation("Get it"))

"""`vigil key` on a real catalog."""

import asyncio
from argparse import ArgumentParser, Namespace
from contextlib import AsyncExitStack

import pytest

from cli import key
from domain.access import Grant, Role
from domain.errors import ConfigError, InvalidIdError
from stores.catalog.keys import find_key
from tests.conftest import Services
from tests.integration.catalog_support import fresh_catalog
from tests.integration.web_support import changed_settings


def parsed(*words: str) -> Namespace:
    parser = ArgumentParser()
    key.add(parser.add_subparsers())
    return parser.parse_args(["key", *words])


@pytest.mark.parametrize(
    ("words", "grants"),
    [
        ([], {Grant(Role.VIEWER, "*"), Grant(Role.MONITOR, "*")}),
        (["--grant", "viewer:acme/hq"], {Grant(Role.VIEWER, "acme/hq")}),
        (
            ["--grant", "operator:acme", "--grant", "viewer:globex/plant/door"],
            {Grant(Role.OPERATOR, "acme"), Grant(Role.VIEWER, "globex/plant/door")},
        ),
        (["--edge-of", "acme/hq"], {Grant(Role.EDGE, "acme/hq")}),
    ],
)
async def test_a_key_has_the_grants_that_were_asked_for(
    services: Services, capsys: pytest.CaptureFixture[str], words: list[str], grants: set[Grant]
) -> None:
    dsn = services.settings.database_url.get_secret_value()
    async with AsyncExitStack() as stack:
        catalog = await stack.enter_async_context(fresh_catalog(dsn))
        await stack.enter_async_context(changed_settings({"VIGIL_DATABASE_URL": catalog._dsn}))
        arguments = parsed("create", "--name", "Ann", *words)
        await asyncio.to_thread(arguments.run, arguments)
        printed = capsys.readouterr().out.strip()
        found = await find_key(catalog, printed)
        assert found is not None
        assert set(found.grants) == grants
        listing = parsed("list")
        await asyncio.to_thread(listing.run, listing)
        line = capsys.readouterr().out
        assert printed not in line
        assert all(str(grant) in line for grant in grants)


@pytest.mark.parametrize(
    "words",
    [
        ["--grant", "viewer"],
        ["--grant", "viewer:"],
        ["--grant", "owner:acme"],
        ["--grant", "viewer:Acme"],
        ["--grant", "edge:acme/hq"],
        ["--grant", "viewer:acme", "--edge-of", "acme/hq"],
    ],
)
def test_a_grant_that_is_none_is_refused_with_a_reason(words: list[str]) -> None:
    arguments = parsed("create", "--name", "Ann", *words)
    with pytest.raises((ConfigError, InvalidIdError), match=r"scope|role|--grant"):
        arguments.run(arguments)

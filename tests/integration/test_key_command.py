"""`vigil key` on a real catalog."""

import asyncio
from argparse import ArgumentParser, Namespace
from contextlib import AsyncExitStack

import pytest

from cli import key
from domain.access import Grant, Role
from domain.errors import ConfigError, InvalidIdError
from domain.times import utc_ms
from stores.catalog.keys import create_key, find_key
from tests.conftest import Services
from tests.integration.catalog_support import T0, fresh_catalog
from tests.integration.web_support import changed_settings, running_web


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


async def test_limits_are_kept_and_the_last_use_is_listed(
    services: Services, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running_web(services) as web:
        now_ms = utc_ms()
        web.set_now(now_ms)
        words = ("--expires", "90d", "--network", "10.1.0.0/16", "--network", "127.0.0.0/8")
        creating = parsed("create", "--name", "Ann", *words)
        await asyncio.to_thread(creating.run, creating)
        sent = {"Authorization": f"Bearer {capsys.readouterr().out.strip()}"}
        listing = parsed("list")
        await asyncio.to_thread(listing.run, listing)
        before = capsys.readouterr().out.splitlines()[-1]
        assert "never used" in before
        assert "from 10.1.0.0/16 127.0.0.0/8" in before
        assert (await web.stranger.get("/api/v1/cameras", headers=sent)).status == 200
        await asyncio.to_thread(listing.run, listing)
        line = capsys.readouterr().out.splitlines()[-1]
        assert "never used" not in line
        assert "valid" in line
        web.set_now(now_ms + 90 * 86_400_000 + 60_000)
        assert (await web.stranger.get("/api/v1/cameras", headers=sent)).status == 401


async def test_a_key_of_another_network_is_refused(services: Services) -> None:
    async with running_web(services) as web:
        key = await create_key(web.catalog, "far", T0, networks=["10.1.0.0/16"])
        sent = {"Authorization": f"Bearer {key}"}
        assert (await web.stranger.get("/api/v1/cameras", headers=sent)).status == 403
        assert (await web.stranger.post("/api/v1/session", json={"key": key})).status == 403


@pytest.mark.parametrize(
    "words",
    [
        ["--expires", "400d"],
        ["--expires", "0s"],
        ["--network", "10.1.0.1/16"],
        ["--network", "home"],
        ["--grant", "viewer"],
        ["--grant", "viewer:"],
        ["--grant", "owner:acme"],
        ["--grant", "viewer:Acme"],
        ["--grant", "edge:acme/hq"],
        ["--grant", "viewer:acme", "--edge-of", "acme/hq"],
    ],
)
def test_what_a_key_cannot_have_is_refused_with_a_reason(words: list[str]) -> None:
    arguments = parsed("create", "--name", "Ann", *words)
    with pytest.raises(
        (ConfigError, InvalidIdError), match=r"scope|role|--grant|--expires|--network"
    ):
        arguments.run(arguments)

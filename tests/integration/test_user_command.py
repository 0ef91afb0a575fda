"""`vigil user` on a real catalog."""

import asyncio
from argparse import ArgumentParser
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from cli import user
from domain.access import Grant, Role
from domain.errors import VigilError
from domain.times import utc_ms
from stores.catalog import Catalog
from stores.catalog.sessions import create_session, list_sessions
from stores.catalog.users import LastAdminError, find_user
from tests.integration.catalog_support import fresh_catalog
from tests.integration.test_sign_in import Browser
from tests.integration.web_support import changed_settings, running_web


async def vigil_user(*words: str) -> None:
    parser = ArgumentParser()
    user.add(parser.add_subparsers())
    arguments = parser.parse_args(["user", *words])
    await asyncio.to_thread(arguments.run, arguments)


@pytest.fixture
async def catalog(services) -> AsyncIterator[Catalog]:
    async with AsyncExitStack() as stack:
        dsn = services.settings.database_url.get_secret_value()
        fresh = await stack.enter_async_context(fresh_catalog(dsn))
        await stack.enter_async_context(changed_settings({"VIGIL_DATABASE_URL": fresh._dsn}))
        yield fresh


async def test_the_first_admin_is_made_by_the_command_and_signs_in(services, capsys) -> None:
    async with running_web(services) as web:
        web.set_now(utc_ms())  # the command has no other clock
        await vigil_user("create", "Root", "--name", "Root", "--grant", "admin:*", "--generate")
        password = capsys.readouterr().out.strip()
        browser = Browser(web)
        assert (await browser.sign_in(password, "root")).status == 204
        await vigil_user("sessions", "root")
        assert "192.0.2.1" in capsys.readouterr().out
        await vigil_user("password", "root", "--generate")
        web.services.sessions.forget()  # as another worker, 5 s later
        assert await browser.status() == 401
        assert (await browser.sign_in(capsys.readouterr().out.strip(), "root")).status == 204


async def test_users_are_listed_and_changed(catalog: Catalog, capsys) -> None:
    await vigil_user("create", "root", "--grant", "admin:*", "--generate")
    await vigil_user("create", "ann@example.com", "--scope", "acme", "--generate")
    password = capsys.readouterr().out.splitlines()[-1]
    for words in (("grant",), ("revoke",), ("grant",), ("disable",)):
        arguments = [words[0], "ann@example.com"]
        if words[0] in {"grant", "revoke"}:
            arguments.append("viewer:acme/hq")
        await vigil_user(*arguments)
    await vigil_user("reset-totp", "ann@example.com")
    await vigil_user("list")
    lines = capsys.readouterr().out
    assert password not in lines
    ann = next(line for line in lines.splitlines() if "ann@" in line)
    assert "disabled" in ann
    assert "viewer:acme/hq" in ann
    await vigil_user("enable", "ann@example.com")
    found = await find_user(catalog, "ann@example.com")
    assert (found.disabled_ms, found.own_grants) == (None, (Grant(Role.VIEWER, "acme/hq"),))
    now_ms = found.updated_ms
    async with catalog.transaction() as connection:
        await create_session(connection, now_ms, user=found.id, address="", agent="")
        actions = await connection.fetch(
            "SELECT entry::jsonb->>'action' AS action FROM vigil_audit.entries WHERE chain = 'acme'"
        )
    assert len(await list_sessions(catalog, now_ms, user=found.id)) == 1
    await vigil_user("sessions", "ann@example.com", "--end")
    assert await list_sessions(catalog, now_ms, user=found.id) == []
    assert [row["action"] for row in actions].count("user:change") == 5


REFUSED = [
    ("create", "a b", "--generate"),
    ("create", "root", "--generate"),
    ("create", "ann"),  # no terminal to ask on
    ("create", "ann", "--generate", "--scope", "Acme"),
    ("create", "ann", "--generate", "--grant", "edge:acme/hq"),
    ("create", "ann", "--generate", "--name", "\x1b[2J"),
    ("grant", "no-such", "viewer:acme"),
    ("grant", "root", "owner:acme"),
    ("revoke", "root", "viewer:acme"),
    ("password", "no-such", "--generate"),
]


async def test_what_is_refused_is_one_sentence(catalog: Catalog) -> None:
    await vigil_user("create", "root", "--grant", "admin:*", "--generate")
    for words in REFUSED:
        with pytest.raises(VigilError):
            await vigil_user(*words)
    assert await find_user(catalog, "ann") is None
    for last in (("disable", "root"), ("revoke", "root", "admin:*")):
        with pytest.raises(LastAdminError):
            await vigil_user(*last)
    assert (await find_user(catalog, "root")).own_grants == (Grant(Role.ADMIN, "*"),)


async def test_on_the_server_even_the_last_admin_can_go_and_the_audit_log_says_so(
    catalog: Catalog,
) -> None:
    await vigil_user("create", "root", "--grant", "admin:*", "--grant", "admin:acme", "--generate")
    await vigil_user("revoke", "root", "admin:acme", "--even-last-admin")
    await vigil_user("disable", "root", "--even-last-admin")
    await vigil_user("enable", "root")
    with pytest.raises(LastAdminError):
        await vigil_user("erase", "root", "--confirm", "root")
    await vigil_user("erase", "root", "--confirm", "root", "--even-last-admin")
    async with catalog.transaction() as connection:
        rows = await connection.fetch(
            "SELECT entry::jsonb->'after'->'last_admin_of' AS lost FROM vigil_audit.entries "
            "WHERE entry::jsonb->>'action' LIKE 'user:%' ORDER BY seq"
        )
    assert [row["lost"] for row in rows] == [None, ["acme"], ["*"], None, ["*"]]

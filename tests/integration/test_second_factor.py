"""A second factor that roles need: who has none may set one up, and do nothing else."""

import asyncio
from argparse import ArgumentParser
from collections.abc import AsyncIterator
from importlib.resources import files

import asyncpg
import pytest

from cli import user as user_command
from domain.access import Grant, Role
from domain.errors import InvalidIdError
from stores.catalog import migrate
from stores.catalog.second_factor import (
    list_second_factor_rules,
    release_second_factor,
    require_second_factor,
)
from tests.event_source import EventSource
from tests.integration.access_support import operations
from tests.integration.catalog_support import CAMERA, T0, fresh_database
from tests.integration.test_sign_in import PASSWORD, SESSION, Browser, add
from tests.integration.test_web_resources import client
from tests.integration.web_support import Web, changed_settings, running_web
from web import events
from web.access import ENROLLING
from web.sessions import RECHECK_MS
from web.totp import totp_code

NOW = T0 + 60_000
TOTP = f"{SESSION}/totp"
RULE, RULES = "/second-factor/rule?scope={}", "/second-factor/rules"
KIND = "/api/v1/problems/second-factor-required"


@pytest.fixture
async def web(services) -> AsyncIterator[Web]:
    async with running_web(services) as running:
        await add(running, "ann", Grant(Role.VIEWER, "acme"))
        await add(running, "boss", Grant(Role.ADMIN, "acme"))
        yield running


async def require(web: Web, scope: str = "acme") -> None:
    async with web.catalog.transaction() as connection:
        await require_second_factor(connection, scope, "Ann", NOW)
    web.services.sessions.forget()


async def signed_in(web: Web, login: str = "boss") -> Browser:
    browser = Browser(web)
    assert (await browser.sign_in(login=login)).status == 204
    return browser


async def test_who_has_none_can_set_one_up_and_do_nothing_else(web: Web) -> None:
    await require(web)
    boss = await signed_in(web)
    who = await (await boss.send("GET", SESSION)).json()
    assert (who["must_enrol"], who["grants"]) == (True, ["admin:acme"])
    refused = 0
    for each in operations():
        if each.access == ENROLLING:
            continue
        body = None if each.method in {"GET", "DELETE"} else {}
        answer = await boss.send(each.method, each.path(CAMERA), body)
        assert answer.status == 403, (each.method, each.pattern, answer.status)
        assert (await answer.json())["type"] == KIND
        refused += 1
    assert refused > 50
    enrolment = await (await boss.send("POST", TOTP, {"password": PASSWORD})).json()
    assert (await boss.send("GET", "/api/v1/cameras")).status == 403, "not confirmed yet"
    code = totp_code(enrolment["secret"], NOW)
    assert (await boss.send("PUT", TOTP, {"totp": code})).status == 200
    assert not (await (await boss.send("GET", SESSION)).json())["must_enrol"]
    assert (await boss.send("GET", "/api/v1/cameras")).status == 200
    # Who removes his own one is where he began.
    codes = {"password": PASSWORD, "totp": totp_code(enrolment["secret"], NOW + 30_000)}
    web.set_now(NOW + 30_000)
    assert (await boss.send("POST", f"{TOTP}/remove", codes)).status == 204
    assert (await boss.send("GET", "/api/v1/cameras")).status == 403
    assert (await boss.send("DELETE", SESSION)).status == 204


async def test_viewers_keys_and_other_tenants_need_none(web: Web) -> None:
    await add(web, "eve", Grant(Role.ADMIN, "globex"))
    await require(web)
    for login in ("ann", "eve"):
        browser = await signed_in(web, login)
        assert not (await (await browser.send("GET", SESSION)).json())["must_enrol"], login
        assert (await browser.send("GET", "/api/v1/cameras")).status == 200, login
    assert (await (await client(web, "admin:acme")).send("GET", "/users")).status == 200


async def test_an_open_session_is_bound_within_5_s_in_all_workers(
    web: Web, services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "CHECK_S", 0.05)
    boss = await signed_in(web)
    assert (await boss.send("GET", "/api/v1/cameras")).status == 200
    headers = {
        "Cookie": "; ".join(f"{name}={value}" for name, value in boss.cookies.items()),
        "X-Forwarded-For": boss.address,
    }
    async with running_web(services, existing=web) as other:
        admin = await client(other, "admin:*")
        async with EventSource(web.stranger, "/api/v1/events", headers=headers) as source:
            await source.next("camera")
            assert (await admin.send("PUT", RULE.format("*"))).status == 204
            web.set_now(NOW + RECHECK_MS)
            assert (await source.next("end")).data == {"reason": "not-allowed"}
        assert (await boss.send("GET", "/api/v1/cameras")).status == 403
        assert (await admin.send("DELETE", RULE.format("*"))).status == 204
        web.set_now(NOW + 2 * RECHECK_MS)
        assert (await boss.send("GET", "/api/v1/cameras")).status == 200
    await web.services.events.close()


async def test_who_manages_users_requires_it_and_the_audit_log_has_it(web: Web) -> None:
    acme, globex = await client(web, "admin:acme"), await client(web, "admin:globex")
    root, guard = await client(web, "admin:*"), await client(web, "operator:acme")
    for method in ("PUT", "DELETE"):
        assert (await guard.send(method, RULE.format("acme"))).status == 403
        assert (await globex.send(method, RULE.format("acme"))).status == 404
        assert (await acme.send(method, RULE.format("*"))).status == 403
        for wrong in ("acme/hq", "", "Acme", "a%00b", "acme%27--"):
            answer = await root.send(method, RULE.format(wrong))
            assert answer.status == 400, (wrong, await answer.text())
    for _ in range(2):
        assert (await acme.send("PUT", RULE.format("acme"))).status == 204
    assert (await root.send("PUT", RULE.format("*"))).status == 204
    shown = (await acme.get(RULES))["rules"]
    assert [(each["scope"], each["set_by"]) for each in shown] == [("*", ""), ("acme", "Ann")]
    assert [each["scope"] for each in (await globex.get(RULES))["rules"]] == ["*"]
    assert (await acme.send("DELETE", RULE.format("acme"))).status == 204
    async with web.catalog.transaction() as connection:
        rows = await connection.fetch(
            "SELECT chain, entry::jsonb AS entry FROM vigil_audit.entries "
            "WHERE entry::jsonb->>'action' LIKE 'second-factor:%' AND "
            "entry::jsonb->>'outcome' = 'done' ORDER BY chain, seq"
        )
    assert [(row["chain"], row["entry"]["action"]) for row in rows] == [
        ("*", "second-factor:require"),
        ("acme", "second-factor:require"),
        ("acme", "second-factor:release"),
    ]


async def test_a_new_installation_requires_it_and_one_of_before_does_not(services) -> None:
    script = files("stores.catalog.migrations.versions").joinpath("v0024_people.sql").read_text()
    start = script.index("INSERT INTO second_factor_rules")
    statement = script[start : script.index(";", start)]
    async with fresh_database(services.settings.database_url.get_secret_value()) as dsn:
        await migrate(dsn)
        connection = await asyncpg.connect(dsn)

        async def required() -> list[str]:
            rows = await connection.fetch("SELECT scope FROM second_factor_rules")
            return [row["scope"] for row in rows]

        assert await required() == ["*"]
        await connection.execute("DELETE FROM second_factor_rules")
        await connection.execute(
            "INSERT INTO api_keys (name, hash, hint, created_ms) VALUES ('old', 'x', 'x', 0)"
        )
        await connection.execute(statement)
        assert await required() == []
        await connection.close()


async def test_the_command(web: Web, capsys) -> None:
    parser = ArgumentParser()
    user_command.add(parser.add_subparsers())

    async def run(*words: str) -> str:
        arguments = parser.parse_args(["user", "second-factor", *words])
        async with changed_settings({"VIGIL_DATABASE_URL": web.catalog._dsn}):
            await asyncio.to_thread(arguments.run, arguments)
        return capsys.readouterr().out

    await run("acme", "--require")
    assert (await run()).startswith("acme  since ")
    await run("acme", "--release")
    assert await run() == ""
    with pytest.raises(InvalidIdError):
        await run("acme/hq", "--require")
    assert await list_second_factor_rules(web.catalog) == []
    async with web.catalog.transaction() as connection:
        assert not await release_second_factor(connection, "acme")

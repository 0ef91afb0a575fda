"""Users, groups, sessions and limits of attempts, on a real catalog."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from domain.access import Grant, Role
from domain.sign_in import IDLE_MS, LIFETIME_MS, LIMITS
from stores.catalog import Catalog
from stores.catalog.groups import change_group, create_group, delete_group, get_group, list_groups
from stores.catalog.keys import create_key, find_key, revoke_key
from stores.catalog.sessions import (
    create_session,
    end_sessions,
    find_session,
    list_sessions,
    note_session_use,
    renew_session,
)
from stores.catalog.sign_in import (
    confirm_totp,
    find_account,
    give_attempts_back,
    is_known_device,
    limit_subject,
    remember_device,
    start_totp,
    take_attempts,
    use_recovery_code,
    use_totp_step,
)
from stores.catalog.users import (
    LastAdminError,
    change_user,
    change_user_grants,
    create_user,
    find_identity,
    find_user,
    get_user,
    list_users,
    set_password,
)
from tests.integration.catalog_support import T0, fresh_catalog

ADMIN = Grant(Role.ADMIN, "*")
VIEWER = Grant(Role.VIEWER, "acme/hq")


@pytest.fixture
async def catalog(services) -> AsyncIterator[Catalog]:
    async with fresh_catalog(services.settings.database_url.get_secret_value()) as fresh:
        yield fresh


async def add(catalog: Catalog, login: str, *grants: Grant, scope: str = "*", **more) -> str:
    async with catalog.transaction() as connection:
        user = await create_user(
            connection,
            login=login,
            display_name=login.title(),
            scope=scope,
            now_ms=T0,
            grants=grants,
            **{"password_hash": "hash", **more},
        )
    assert user is not None
    return user


async def sign_in(catalog: Catalog, now_ms: int = T0, **whose) -> str:
    async with catalog.transaction() as connection:
        _, token = await create_session(
            connection, now_ms, address="192.0.2.1", agent="Firefox", **whose
        )
    return token


async def test_a_user_has_his_own_grants_and_those_of_his_groups(catalog: Catalog) -> None:
    ann = await add(catalog, "ann", VIEWER)
    async with catalog.transaction() as connection:
        number = await create_group(
            connection, "Guards", "acme", [Grant(Role.OPERATOR, "acme")], T0
        )
        group = await get_group(connection, number)
        assert await change_group(connection, group, T0, name="Guards", add_members=[ann])
        assert await create_group(connection, "Guards", "acme", [], T0) is None
    found = await find_user(catalog, "ann")
    assert found.own_grants == (VIEWER,)
    assert found.grants == (Grant(Role.OPERATOR, "acme"), VIEWER)
    assert found.groups == (number,)
    assert [each.members for each in await list_groups(catalog, ["acme"])] == [(ann,)]
    assert await list_groups(catalog, ["acm", "acme/hq", "globex"]) == []
    async with catalog.transaction() as connection:
        await delete_group(connection, await get_group(connection, number), T0)
    assert (await find_user(catalog, "ann")).grants == (VIEWER,)


async def test_a_login_and_an_identity_are_taken_once(catalog: Catalog) -> None:
    await add(catalog, "ann")
    identity = ("https://idp.example", "77")
    await add(catalog, "bob", identity=identity)
    async with catalog.transaction() as connection:
        common = {"display_name": "X", "scope": "*", "now_ms": T0}
        assert await create_user(connection, login="ann", **common) is None
        assert await create_user(connection, login=None, identity=identity, **common) is None
    assert (await find_identity(catalog, *identity)).login == "bob"
    assert await find_identity(catalog, "https://other.example", "77") is None


async def test_lists_show_who_belongs_to_a_scope_or_has_a_grant_in_it(catalog: Catalog) -> None:
    await add(catalog, "staff", ADMIN)
    await add(catalog, "home", scope="acme/hq")
    await add(catalog, "guest", VIEWER, scope="globex")
    await add(catalog, "other", Grant(Role.VIEWER, "acme-2"), scope="acme-2")

    async def listed(*scopes: str) -> set[str | None]:
        return {each.login for each in await list_users(catalog, scopes)}

    assert await listed("*") == {"staff", "home", "guest", "other"}
    assert await listed("acme") == {"home", "guest"}
    assert await listed("acme/hq") == {"home", "guest"}
    assert await listed("acme/lab", "acme-2") == {"other"}
    assert await listed() == set()
    first, *_ = await list_users(catalog, ["*"], limit=1)
    assert len(await list_users(catalog, ["*"], after=first.id)) == 3


async def test_a_session_ends_by_time_disabling_password_or_other_rights(catalog: Catalog) -> None:
    await add(catalog, "root", ADMIN)
    ann = await add(catalog, "ann", VIEWER)

    async def is_open(token: str, now_ms: int = T0 + 1) -> bool:
        return await find_session(catalog, token, now_ms) is not None

    token = await sign_in(catalog, user=ann)
    found = await find_session(catalog, token, T0 + 1)
    assert (found.caller.id, found.caller.name) == (f"user:{ann}", "Ann")
    assert found.caller.grants == (VIEWER,)
    assert not await is_open("other")
    assert not await is_open(token, T0 + IDLE_MS)
    for at_ms in range(T0, T0 + LIFETIME_MS, IDLE_MS // 2):
        seen = await find_session(catalog, token, at_ms)
        await note_session_use(catalog, seen, at_ms)
    assert not await is_open(token, T0 + LIFETIME_MS)

    async def change(what) -> None:
        async with catalog.transaction() as connection:
            await what(connection, await get_user(connection, ann))

    async def disable(connection, user) -> None:
        await change_user(connection, user, display_name="Ann", disabled=True, now_ms=T0)

    async def enable(connection, user) -> None:
        await change_user(connection, user, display_name="Ann", disabled=False, now_ms=T0)

    async def new_password(connection, user) -> None:
        await set_password(connection, user.id, "other", T0)

    async def more(connection, user) -> None:
        await change_user_grants(connection, user.id, T0, add=[Grant(Role.OPERATOR, "acme")])

    async def less(connection, user) -> None:
        await change_user_grants(connection, user.id, T0, remove=[VIEWER])

    async def join(connection, user) -> None:
        number = await create_group(connection, "G", "acme", [VIEWER], T0)
        group = await get_group(connection, number)
        await change_group(connection, group, T0, name="G", add_members=[user.id])

    for act in (disable, new_password, more, less, join):
        await change(enable)
        token = await sign_in(catalog, user=ann)
        assert await is_open(token)
        await change(act)
        assert not await is_open(token), act.__name__


async def test_sessions_are_listed_ended_and_renewed(catalog: Catalog) -> None:
    ann = await add(catalog, "ann", VIEWER)
    first, second = [await sign_in(catalog, T0 + n, user=ann) for n in range(2)]
    newest, oldest = await list_sessions(catalog, T0 + 2, user=ann)
    assert (newest.created_ms, oldest.created_ms) == (T0 + 1, T0)
    async with catalog.transaction() as connection:
        assert await end_sessions(connection, [oldest.id, "nothing"], T0) == [oldest.id]
        renewed = await renew_session(connection, newest.id)
        assert await renew_session(connection, oldest.id) is None
    for token in (first, second):
        assert await find_session(catalog, token, T0 + 2) is None
    assert (await find_session(catalog, renewed, T0 + 2)).caller.session == newest.id


async def test_a_session_of_a_key_has_the_keys_rights_and_ends_with_it(catalog: Catalog) -> None:
    key = await find_key(catalog, await create_key(catalog, "Ann", T0, expires_ms=T0 + 1_000))
    token = await sign_in(catalog, key=key.id)
    found = await find_session(catalog, token, T0)
    assert (found.caller.id, found.caller.grants) == (f"key:{key.id}", key.grants)
    assert await find_session(catalog, token, T0 + 1_000) is None
    await revoke_key(catalog, key.id, T0)
    assert await find_session(catalog, token, T0) is None


async def test_the_last_administrator_stays(catalog: Catalog) -> None:
    root = await add(catalog, "root", ADMIN)
    await add(catalog, "no-password", ADMIN, password_hash=None)

    async def attempt(what) -> None:
        async with catalog.transaction() as connection:
            await what(connection, await get_user(connection, root))

    acts = (
        lambda c, u: change_user(c, u, display_name="R", disabled=True, now_ms=T0),
        lambda c, u: change_user_grants(c, u.id, T0, remove=[ADMIN]),
        lambda c, u: set_password(c, u.id, None, T0),
    )
    for act in acts:
        with pytest.raises(LastAdminError):
            await attempt(act)
    found = await find_user(catalog, "root")
    assert (found.disabled_ms, found.grants, found.has_password) == (None, (ADMIN,), True)

    boss = await add(catalog, "boss")
    async with catalog.transaction() as connection:
        group = await get_group(connection, await create_group(connection, "A", "*", [ADMIN], T0))
        await change_group(connection, group, T0, name="A", add_members=[boss])
    await attempt(acts[0])  # boss is one by his group
    async with catalog.transaction() as connection:
        group = await get_group(connection, group.id)
    for act in (
        lambda c: delete_group(c, group, T0),
        lambda c: change_group(c, group, T0, name="A", remove_members=[boss]),
        lambda c: change_group(c, group, T0, name="A", remove_grants=[ADMIN]),
    ):
        with pytest.raises(LastAdminError):
            async with catalog.transaction() as connection:
                await act(connection)


async def test_two_administrators_cannot_remove_each_other_at_once(catalog: Catalog) -> None:
    users = [await add(catalog, name, ADMIN) for name in ("ann", "bob")]

    async def remove(user: str) -> None:
        async with catalog.transaction() as connection:
            await change_user_grants(connection, user, T0, remove=[ADMIN])

    done = await asyncio.gather(*map(remove, users), return_exceptions=True)
    assert sorted(type(each).__name__ for each in done) == ["LastAdminError", "NoneType"]


async def test_limits_of_attempts_hold_over_workers(catalog: Catalog) -> None:
    network = limit_subject("network", "192.0.2.1")
    account = limit_subject("account", "ann")
    limit = LIMITS["account"]
    # Many workers at once: as many attempts as allowed succeed, and no more.
    waits = await asyncio.gather(
        *(take_attempts(catalog, [network, account], T0) for _ in range(limit.burst + 5))
    )
    assert waits.count(None) == limit.burst
    assert {(each.subject, each.wait_ms) for each in waits if each is not None} == {
        (account, limit.interval_ms)
    }
    # What was refused took nothing of the network either.
    used = await take_attempts(catalog, [network], T0)
    assert used is None
    left = LIMITS["network"].burst - limit.burst - 1
    rest = [await take_attempts(catalog, [network], T0) for _ in range(left + 1)]
    assert [wait is None for wait in rest] == [True] * left + [False]
    early = await take_attempts(catalog, [account], T0 + limit.interval_ms - 1)
    assert early.wait_ms == 1
    assert await take_attempts(catalog, [account], T0 + limit.interval_ms) is None
    other = limit_subject("account", "bob\0\ud800".replace("\ud800", ""))
    assert await take_attempts(catalog, [other], T0) is None
    async with catalog.transaction() as connection:
        await give_attempts_back(connection, [other], T0)
        assert await connection.fetchval("SELECT count(*) FROM sign_in_limits") == 2


async def test_a_known_device_is_the_owners_own(catalog: Catalog) -> None:
    ann, bob = await add(catalog, "ann"), await add(catalog, "bob")
    async with catalog.transaction() as connection:
        cookie = await remember_device(connection, ann, T0)
    assert await is_known_device(catalog, cookie, "ann", T0)
    assert not await is_known_device(catalog, cookie, "bob", T0)
    assert not await is_known_device(catalog, cookie[::-1], "ann", T0)
    async with catalog.transaction() as connection:
        await set_password(connection, ann, "other", T0)
    assert not await is_known_device(catalog, cookie, "ann", T0)
    assert bob


async def test_a_code_of_a_second_factor_works_once(catalog: Catalog) -> None:
    ann = await add(catalog, "ann")
    async with catalog.transaction() as connection:
        assert await start_totp(connection, ann, b"first")
        assert await start_totp(connection, ann, b"second")
        assert (await find_account(catalog, "ann")) is not None
        assert await confirm_totp(connection, ann, ["one", "two"], T0)
        assert not await confirm_totp(connection, ann, [], T0)
        assert not await start_totp(connection, ann, b"third")
    account = await find_account(catalog, "ann")
    assert (account.totp_secret, account.pending_totp) == (b"second", None)

    async def use(step: int) -> bool:
        async with catalog.transaction() as connection:
            return await use_totp_step(connection, ann, step)

    # Two workers at once, with the same code.
    assert sorted(await asyncio.gather(use(7), use(7))) == [False, True]
    assert [await use(6), await use(8)] == [False, True]
    async with catalog.transaction() as connection:
        assert await use_recovery_code(connection, ann, "one")
        assert not await use_recovery_code(connection, ann, "one")

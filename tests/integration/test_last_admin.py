"""The last admin of the installation, and of each tenant, cannot go: random acts, a naive model."""

import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from domain.access import Grant, Role, parse_grant
from domain.oidc import Identity
from stores.catalog import Catalog
from stores.catalog.erasure import erase_user
from stores.catalog.groups import change_group, create_group, delete_group, get_group
from stores.catalog.oidc import keep_grants, sign_in_user
from stores.catalog.pool import Connection
from stores.catalog.users import (
    LastAdminError,
    change_user,
    change_user_grants,
    create_user,
    get_user,
    set_password,
)
from tests.integration.catalog_support import T0, fresh_catalog

SCOPES = ("*", "acme", "globex")
GRANTS = [parse_grant(f"admin:{scope}") for scope in (*SCOPES, "acme/hq")] + [
    parse_grant("viewer:acme"),
    parse_grant("auditor:*"),
]
ACTS = 250


@pytest.fixture
async def catalog(services) -> AsyncIterator[Catalog]:
    async with fresh_catalog(services.settings.database_url.get_secret_value()) as fresh:
        yield fresh


@dataclass
class Person:
    """A user of the model."""

    grants: set[Grant] = field(default_factory=set)
    disabled: bool = False
    has_password: bool = True


@dataclass
class Team:
    """A group of the model."""

    grants: set[Grant] = field(default_factory=set)
    members: set[str] = field(default_factory=set)


@dataclass
class World:
    """What must be in the catalog."""

    people: dict[str, Person] = field(default_factory=dict)
    teams: dict[str, Team] = field(default_factory=dict)

    def administered(self) -> set[str]:
        found = set()
        for number, person in self.people.items():
            if person.disabled or not person.has_password:
                continue
            grants = set(person.grants)
            for team in self.teams.values():
                if number in team.members:
                    grants |= team.grants
            found |= {each.scope for each in grants if each.role is Role.ADMIN}
        return {scope for scope in found if scope in SCOPES}


Act = tuple[Callable[[Connection], Awaitable[Any]] | None, Callable[[World], None]]


def drawn(draw: random.Random, world: World) -> Act:
    """Return an act on the catalog, and the same on the model. None: the user is erased."""
    user = draw.choice(list(world.people))
    team = draw.choice(list(world.teams))
    grant = draw.choice(GRANTS)

    async def disable(c: Connection) -> None:
        found = await get_user(c, user)
        assert found is not None
        await change_user(c, found, display_name="X", disabled=True, now_ms=T0)

    async def enable(c: Connection) -> None:
        found = await get_user(c, user)
        assert found is not None
        await change_user(c, found, display_name="X", disabled=False, now_ms=T0)

    async def team_change(c: Connection, **more: Any) -> None:
        found = await get_group(c, team)
        assert found is not None
        await change_group(c, found, T0, name=team, **more)

    async def drop(c: Connection) -> None:
        found = await get_group(c, team)
        assert found is not None
        await delete_group(c, found, T0)

    def set_disabled(value: bool) -> Callable[[World], None]:
        return lambda w: setattr(w.people[user], "disabled", value)

    def set_has_password(value: bool) -> Callable[[World], None]:
        return lambda w: setattr(w.people[user], "has_password", value)

    acts: list[Act] = [
        (disable, set_disabled(True)),
        (enable, set_disabled(False)),
        (lambda c: set_password(c, user, None, T0), set_has_password(False)),
        (lambda c: set_password(c, user, "hash", T0), set_has_password(True)),
        (
            lambda c: change_user_grants(c, user, T0, add=[grant]),
            lambda w: w.people[user].grants.add(grant),
        ),
        (
            lambda c: change_user_grants(c, user, T0, remove=[grant]),
            lambda w: w.people[user].grants.discard(grant),
        ),
        (
            lambda c: team_change(c, add_members=[user]),
            lambda w: w.teams[team].members.add(user),
        ),
        (
            lambda c: team_change(c, remove_members=[user]),
            lambda w: w.teams[team].members.discard(user),
        ),
        (lambda c: team_change(c, add_grants=[grant]), lambda w: w.teams[team].grants.add(grant)),
        (
            lambda c: team_change(c, remove_grants=[grant]),
            lambda w: w.teams[team].grants.discard(grant),
        ),
        (None, lambda w: _forget(w, user)),
        (drop, lambda w: _drop(w, team)),
    ]
    return draw.choice(acts if len(world.people) > 3 and len(world.teams) > 1 else acts[:-2])


def _forget(world: World, user: str) -> None:
    del world.people[user]
    for team in world.teams.values():
        team.members.discard(user)


def _drop(world: World, team: str) -> None:
    del world.teams[team]


async def test_no_act_takes_the_last_admin_of_anything(catalog: Catalog) -> None:
    seed = int(os.environ.get("VIGIL_TEST_SEED", random.randrange(1 << 32)))
    print(f"VIGIL_TEST_SEED={seed}")
    draw = random.Random(seed)
    world = World()
    async with catalog.transaction() as connection:
        for number in range(6):
            user = await create_user(
                connection, login=f"u{number}", display_name="X", scope="*", now_ms=T0,
                password_hash="hash",
            )  # fmt: skip
            assert user is not None
            world.people[user] = Person()
        for number in range(3):
            team = await create_group(connection, f"g{number}", "*", [], T0)
            assert team is not None
            world.teams[team] = Team()
    refused = 0
    for _ in range(ACTS):
        act, expect = drawn(draw, world)
        before = world.administered()
        after = World(
            {k: Person(set(v.grants), v.disabled, v.has_password) for k, v in world.people.items()},
            {k: Team(set(v.grants), set(v.members)) for k, v in world.teams.items()},
        )
        expect(after)
        lost = before - after.administered()
        try:
            if act is None:
                gone = next(iter(set(world.people) - set(after.people)))
                await erase_user(catalog, gone, T0)
            else:
                async with catalog.transaction() as connection:
                    await act(connection)
        except LastAdminError as error:
            assert set(error.scopes) == lost, (error, lost)
            refused += 1
        else:
            assert not lost, f"{lost} lost the last admin"
            world = after
    assert refused, "no act was refused: draw others"


async def test_an_admin_of_the_installation_is_not_one_of_the_tenants_own(
    catalog: Catalog, caplog
) -> None:
    async def add(login: str, *grants: str) -> str:
        async with catalog.transaction() as connection:
            user = await create_user(
                connection, login=login, display_name=login, scope="*", now_ms=T0,
                grants=tuple(map(parse_grant, grants)), password_hash="hash",
            )  # fmt: skip
        assert user is not None
        return user

    await add("root", "admin:*")
    ann = await add("ann", "admin:acme", "viewer:globex")
    with pytest.raises(LastAdminError, match="last administrator of acme"):
        async with catalog.transaction() as connection:
            await change_user_grants(connection, ann, T0, remove=[parse_grant("admin:acme")])
    with pytest.raises(LastAdminError):
        await erase_user(catalog, "ann", T0)
    # Bob counts, whose provider makes him an admin. When it takes the role away, nothing stops it.
    identity = Identity("https://idp.example", "7", "Bob")
    async with catalog.transaction() as connection:
        bob = await sign_in_user(connection, identity, [parse_grant("admin:acme")], T0)
        await change_user_grants(connection, ann, T0, remove=[parse_grant("admin:acme")])
    async with catalog.transaction() as connection:
        assert await keep_grants(connection, bob.id, [], T0) == ["admin:acme"]
    assert f"user {bob.id} was the last administrator of acme" in caplog.text

"""`vigil user`: create users, give and take roles, end sessions. The first admin is made here.

A password is asked on the terminal, or made and printed once. It is never an argument: other users
of the machine could read it.
"""

import argparse
import asyncio
import getpass
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from cli import user_erase
from cli.audit_origin import cli_origin, current_user
from domain.access import INSTALLATION, Grant, Role, check_scope, parse_grant
from domain.audit import PersonalData, tenant_of
from domain.display_text import check_name
from domain.errors import ConfigError
from domain.sign_in import check_login
from domain.times import utc_ms
from stores.catalog import Catalog
from stores.catalog.audit import write_audit
from stores.catalog.pool import Connection
from stores.catalog.second_factor import (
    check_rule_scope,
    list_second_factor_rules,
    release_second_factor,
    require_second_factor,
)
from stores.catalog.sessions import end_sessions_of_users, list_sessions
from stores.catalog.sign_in import remove_totp
from stores.catalog.users import (
    User,
    admin_remains,
    change_user,
    change_user_grants,
    create_user,
    find_user,
    get_user,
    list_users,
    set_password,
)
from streams.settings import get_settings
from streams.storage import admin_catalog
from web.passwords import generate_password, hash_password, new_password_problem

PAGE = 1_000
Act = Callable[[Connection, User, int], Awaitable[None]]


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `user create`, `list`, `grant`, `revoke`, `disable`, `enable` and so on."""
    parser = commands.add_parser("user", help="create users, and say what they may do")
    verbs = parser.add_subparsers(dest="verb", required=True)
    making = verbs.add_parser("create", help="create a user; asks for a password")
    making.add_argument("login", help="name for the sign-in: a-z, 0-9 and ._@+-")
    making.add_argument("--name", help="name as lists show it; without it, the login")
    making.add_argument(
        "--scope",
        default=INSTALLATION,
        help="who has users:manage on this scope manages the user: * (the default), a tenant, "
        "tenant/site or tenant/site/camera",
    )
    making.add_argument(
        "--grant",
        action="append",
        default=[],
        metavar="ROLE:SCOPE",
        help="what he may do, and where: admin:*, operator:acme, viewer:acme/hq; may be repeated",
    )
    _add_generate(making)
    making.set_defaults(run=run_create)
    listing = verbs.add_parser("list", help="list the users")
    listing.set_defaults(run=run_list)
    for verb, purpose, run in (
        ("grant", "give a user a role; his sessions end", run_grant),
        ("revoke", "take a role from a user; his sessions end", run_revoke),
    ):
        changing = verbs.add_parser(verb, help=purpose)
        changing.add_argument("login")
        changing.add_argument("grant", metavar="ROLE:SCOPE")
        changing.set_defaults(run=run)
        if verb == "revoke":
            add_last_admin(changing)
    setting = verbs.add_parser("password", help="set a user's password; his sessions end")
    setting.add_argument("login")
    _add_generate(setting)
    setting.set_defaults(run=run_password)
    showing = verbs.add_parser("sessions", help="list a user's open sessions, or end them")
    showing.add_argument("login")
    showing.add_argument("--end", action="store_true", help="end them all")
    showing.set_defaults(run=run_sessions)
    for verb, purpose, run in (
        ("disable", "let a user sign in no more; his sessions end", run_disable),
        ("enable", "let a disabled user sign in again", run_enable),
        ("reset-totp", "remove a user's second factor, for a lost phone", run_reset_totp),
    ):
        acting = verbs.add_parser(verb, help=purpose)
        acting.add_argument("login")
        acting.set_defaults(run=run)
        if verb == "disable":
            add_last_admin(acting)
    factor = verbs.add_parser(
        "second-factor",
        help="require a second factor of those who change, delete or export something",
    )
    factor.add_argument("scope", nargs="?", help="* or a tenant; without it, the rules are listed")
    required = factor.add_mutually_exclusive_group()
    required.add_argument("--require", action="store_true", help="require it")
    required.add_argument("--release", action="store_true", help="require it no more")
    factor.set_defaults(run=run_second_factor)
    user_erase.add(verbs)


def add_last_admin(parser: argparse.ArgumentParser) -> None:
    """Add the option that lets the last administrator go, which the API never does."""
    parser.add_argument(
        "--even-last-admin",
        dest="exempt",
        action="store_const",
        const=INSTALLATION,
        help="also where he is the last administrator of the installation or of a tenant; the "
        "audit log says so",
    )


def _add_generate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--generate", action="store_true", help="make a password and print it, instead of asking"
    )


def _new_password(login: str, *, generate: bool) -> str:
    """Return a password: made, or asked twice on the terminal."""
    if generate:
        return generate_password()
    if not sys.stdin.isatty():
        raise ConfigError("There is no terminal to ask for a password on: use --generate.")
    password = getpass.getpass(f"New password of {login}: ")
    problem = new_password_problem(password, login)
    if problem is not None:
        raise ConfigError(problem)
    if getpass.getpass("The same again: ") != password:
        raise ConfigError("The two passwords differ. Nothing was changed.")
    return password


def _grant(text: str) -> Grant:
    grant = parse_grant(text)
    if grant.role is Role.EDGE:
        raise ConfigError("The role edge is for devices: use `vigil key create --edge-of`.")
    return grant


def _catalog() -> Catalog:
    return admin_catalog(get_settings())


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1_000, UTC).strftime("%F %TZ")


def _audited(user: User) -> dict[str, object]:
    return {
        "scope": user.scope,
        "disabled": user.disabled_ms is not None,
        "grants": [str(grant) for grant in user.own_grants],
    }


async def _write(
    connection: Connection,
    action: str,
    before: User | None,
    after: User,
    *,
    now_ms: int,
    lost: Sequence[str] = (),
) -> None:
    entry = cli_origin().entry(
        now_ms,
        action,
        f"user:{after.id}",
        tenant=tenant_of([after.scope]),
        before=None if before is None else _audited(before),
        after={**_audited(after), **({"last_admin_of": list(lost)} if lost else {})},
        about=PersonalData(
            f"user:{after.id}", {"login": after.login or "", "display_name": after.display_name}
        ),
    )
    await write_audit(connection, entry)


def _change(login: str, action: str, act: Act) -> int:
    """Change a user, and write it to the audit log, in one transaction."""

    async def changing() -> None:
        async with _catalog() as catalog:
            found = await _find(catalog, login)
            now_ms = utc_ms()
            async with catalog.transaction() as connection:
                before = await get_user(connection, found.id)
                assert before is not None
                async with admin_remains(connection, INSTALLATION) as lost:
                    await act(connection, before, now_ms)
                after = await get_user(connection, found.id)
                assert after is not None
                await _write(connection, action, before, after, now_ms=now_ms, lost=lost)

    asyncio.run(changing())
    return 0


async def _find(catalog: Catalog, login: str) -> User:
    found = await find_user(catalog, check_login(login))
    if found is None:
        raise ConfigError(f"There is no user {login}; `vigil user list` shows them.")
    return found


def run_create(args: argparse.Namespace) -> int:
    """Create a user; with --generate, print only the password, for scripts."""
    login = check_login(args.login)
    name = check_name(args.name or login)
    scope = check_scope(args.scope)
    grants = tuple(map(_grant, args.grant))
    password = _new_password(login, generate=args.generate)
    password_hash = hash_password(password)

    async def creating() -> None:
        async with _catalog() as catalog, catalog.transaction() as connection:
            now_ms = utc_ms()
            number = await create_user(
                connection,
                login=login,
                display_name=name,
                scope=scope,
                now_ms=now_ms,
                grants=grants,
                password_hash=password_hash,
            )
            if number is None:
                raise ConfigError(f"The login {login} is taken; `vigil user list` shows it.")
            made = await get_user(connection, number)
            assert made is not None
            await _write(connection, "user:create", None, made, now_ms=now_ms)

    asyncio.run(creating())
    print(password if args.generate else f"Created the user {login}.")
    return 0


def run_list(_args: argparse.Namespace) -> int:
    """List; one line each: id, login, name, state, second factor, grants."""

    async def listing() -> None:
        async with _catalog() as catalog:
            after = ""
            while users := await list_users(catalog, [INSTALLATION], after, PAGE):
                for user in users:
                    login = user.login or f"({user.iss})"
                    state = "disabled" if user.disabled_ms is not None else "enabled"
                    factor = "totp" if user.has_totp else "-"
                    grants = " ".join(map(str, user.grants)) or "(none)"
                    print(
                        f"{user.id}  {login:<30} {user.display_name:<30} {state:<8}  {factor:<4}  "
                        f"{user.scope}  {grants}"
                    )
                after = users[-1].id

    asyncio.run(listing())
    return 0


def run_grant(args: argparse.Namespace) -> int:
    """Give a role."""
    grant = _grant(args.grant)

    async def act(connection: Connection, user: User, now_ms: int) -> None:
        await change_user_grants(connection, user.id, now_ms, add=[grant])

    return _change(args.login, "user:change", act)


def run_revoke(args: argparse.Namespace) -> int:
    """Take a role."""
    grant = parse_grant(args.grant)

    async def act(connection: Connection, user: User, now_ms: int) -> None:
        if grant not in user.own_grants:
            has = " ".join(map(str, user.own_grants)) or "none"
            raise ConfigError(f"{args.login} has no grant {grant} of his own. He has: {has}.")
        await change_user_grants(connection, user.id, now_ms, remove=[grant], exempt=args.exempt)

    return _change(args.login, "user:change", act)


def run_disable(args: argparse.Namespace) -> int:
    """Disable."""
    return _change(args.login, "user:change", _disabling(True, args.exempt))


def run_enable(args: argparse.Namespace) -> int:
    """Enable."""
    return _change(args.login, "user:change", _disabling(False, None))


def _disabling(disabled: bool, exempt: str | None) -> Act:
    async def act(connection: Connection, user: User, now_ms: int) -> None:
        await change_user(
            connection,
            user,
            display_name=user.display_name,
            disabled=disabled,
            now_ms=now_ms,
            exempt=exempt,
        )

    return act


def run_password(args: argparse.Namespace) -> int:
    """Set a password; with --generate, print only the password, for scripts."""
    password = _new_password(check_login(args.login), generate=args.generate)
    password_hash = hash_password(password)

    async def act(connection: Connection, user: User, now_ms: int) -> None:
        await set_password(connection, user.id, password_hash, now_ms)

    _change(args.login, "user:password", act)
    print(password if args.generate else f"Set the password of {args.login}.")
    return 0


def run_reset_totp(args: argparse.Namespace) -> int:
    """Remove the second factor."""

    async def act(connection: Connection, user: User, now_ms: int) -> None:
        await remove_totp(connection, user.id)
        await end_sessions_of_users(connection, [user.id], now_ms)

    return _change(args.login, "user:totp-remove", act)


def run_sessions(args: argparse.Namespace) -> int:
    """List a user's sessions, or end them."""
    if args.end:

        async def act(connection: Connection, user: User, now_ms: int) -> None:
            ended = await end_sessions_of_users(connection, [user.id], now_ms)
            print(f"Ended {len(ended)} sessions.")

        return _change(args.login, "session:end", act)

    async def listing() -> None:
        async with _catalog() as catalog:
            user = await _find(catalog, args.login)
            for each in await list_sessions(catalog, utc_ms(), user=user.id):
                print(
                    f"{each.id}  since {_time(each.created_ms)}  seen {_time(each.seen_ms)}  "
                    f"{each.address}  {each.agent}"
                )

    asyncio.run(listing())
    return 0


def run_second_factor(args: argparse.Namespace) -> int:
    """List the rules; or require a second factor, or require it no more."""

    async def setting(scope: str) -> None:
        async with _catalog() as catalog, catalog.transaction() as connection:
            now_ms = utc_ms()
            if args.require:
                changed = await require_second_factor(connection, scope, current_user(), now_ms)
            else:
                changed = await release_second_factor(connection, scope)
            if changed:
                entry = cli_origin().entry(
                    now_ms,
                    f"second-factor:{'require' if args.require else 'release'}",
                    scope,
                    tenant=tenant_of([scope]),
                    before={"required": not args.require},
                    after={"required": args.require},
                )
                await write_audit(connection, entry)

    async def listing() -> None:
        async with _catalog() as catalog:
            for rule in await list_second_factor_rules(catalog):
                print(f"{rule.scope}  since {_time(rule.set_ms)} by {rule.set_by}")

    if args.require or args.release:
        if args.scope is None:
            raise ConfigError("Name the scope: * or a tenant.")
        asyncio.run(setting(check_rule_scope(args.scope)))
    else:
        asyncio.run(listing())
    return 0

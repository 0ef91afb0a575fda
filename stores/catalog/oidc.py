"""What the catalog knows of sign-ins by OpenID providers: people, their tokens, used answers."""

import hashlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from domain.access import INSTALLATION, Grant
from domain.audit import tenant_of
from domain.oidc import CHECK_EVERY_MS, CheckTimes, Identity, LogoutTarget
from stores.catalog.pool import Catalog, Connection, Row, sql
from stores.catalog.sessions import end_sessions, end_sessions_of_users
from stores.catalog.users import User, admin_remains, create_user, get_user

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OidcSession:
    """A session that a provider opened. Times: UTC ms."""

    session: str
    provider: str
    iss: str
    sub: str
    tokens: bytes | None
    """Encrypted."""
    access_until_ms: int | None
    times: CheckTimes
    claimed_until_ms: int
    """Until then a worker asks the provider."""


def _session_of(row: Row) -> OidcSession:
    return OidcSession(
        row["session_id"],
        row["provider"],
        row["iss"],
        row["sub"],
        row["tokens"],
        row["access_until_ms"],
        CheckTimes(row["confirmed_ms"], row["tried_ms"]),
        row["claimed_until_ms"],
    )


async def use_once(catalog: Catalog, text: str, until_ms: int, now_ms: int) -> bool:
    """Return whether a state, or the id of a logout token, is used for the first time."""
    hashed = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return await catalog.row("use_oidc_once", hashed, until_ms, now_ms) is not None


async def sign_in_user(
    connection: Connection, identity: Identity, grants: Sequence[Grant], now_ms: int
) -> User:
    """Return the user with this identity and write his name and grants; create him if need be.

    Where his grants change, his other sessions end. Check `disabled_ms` of the result.
    """
    scope = tenant_of(grant.scope for grant in grants)
    user = await _find(connection, identity)
    if user is None:
        await create_user(
            connection,
            login=None,
            display_name=identity.name,
            scope=scope,
            now_ms=now_ms,
            grants=grants,
            identity=(identity.issuer, identity.subject),
        )
        # No id: another worker has created him at the same time.
        user = await _find(connection, identity)
        assert user is not None, "created here, or by another transaction that has ended"
    await connection.execute(sql("set_oidc_user"), user.id, identity.name, scope, now_ms)
    await connection.execute(sql("confirm_oidc_user"), user.id, now_ms)
    if set(grants) != set(user.own_grants):
        await keep_grants(connection, user.id, grants, now_ms)
        await connection.executemany(
            sql("add_user_grant"), [(user.id, grant.role, grant.scope) for grant in grants]
        )
        await end_sessions_of_users(connection, [user.id], now_ms)
    return user


async def _find(connection: Connection, identity: Identity) -> User | None:
    row = await connection.fetchrow(sql("user_by_identity"), identity.issuer, identity.subject)
    return None if row is None else await get_user(connection, row["id"])


async def keep_grants(
    connection: Connection, user: str, grants: Iterable[Grant], now_ms: int
) -> list[str]:
    """Take away all other grants of a user; return them as texts.

    The last administrator can lose his role here: the provider decides who its people are. The
    log has it then.
    """
    async with admin_remains(connection, INSTALLATION) as lost:
        rows = await connection.fetch(sql("keep_user_grants"), user, [str(each) for each in grants])
    if lost:
        log.error(
            "user %s was the last administrator of %s, and his provider has taken the role away. "
            "Give it to another user with `vigil user grant`.",
            user,
            ", ".join(lost),
        )
    if rows:
        await connection.execute(sql("touch_users"), [user], now_ms)
    return [row["grant"] for row in rows]


async def add_oidc_session(
    connection: Connection,
    session: str,
    provider: str,
    identity: Identity,
    *,
    provider_session: str | None,
    tokens: bytes | None,
    access_until_ms: int | None,
    now_ms: int,
) -> None:
    """Record that a provider opened a session."""
    await connection.execute(
        sql("add_oidc_session"),
        session,
        provider,
        identity.issuer,
        identity.subject,
        provider_session,
        tokens,
        access_until_ms,
        now_ms,
    )


async def get_oidc_session(catalog: Catalog, session: str) -> OidcSession | None:
    """Return what is known of a session; None where no provider opened it, or it has ended."""
    row = await catalog.row("get_oidc_session", session)
    return None if row is None else _session_of(row)


async def claim_check(
    catalog: Catalog, session: str, now_ms: int, claim_ms: int
) -> OidcSession | None:
    """Claim the check of a session for this worker; None where another one asks, or has asked."""
    row = await catalog.row("claim_oidc_check", session, now_ms, now_ms + claim_ms, CHECK_EVERY_MS)
    return None if row is None else _session_of(row)


async def confirm_session(
    connection: Connection,
    session: str,
    tokens: bytes | None,
    access_until_ms: int | None,
    now_ms: int,
) -> None:
    """Record that the provider confirmed the person of a session, with its newest tokens."""
    await connection.execute(sql("confirm_oidc_session"), session, tokens, access_until_ms, now_ms)


async def confirm_user(connection: Connection, user: str, now_ms: int) -> None:
    """Record that the provider confirms a person: his API keys work."""
    await connection.execute(sql("confirm_oidc_user"), user, now_ms)


async def refuse_user(connection: Connection, user: str, now_ms: int) -> None:
    """Record that the provider refuses a person: his API keys stop until he signs in again."""
    await connection.execute(sql("refuse_oidc_user"), user, now_ms)


async def release_check(catalog: Catalog, session: str) -> None:
    """Give the claim back without a result: the provider did not answer."""
    async with catalog.transaction() as connection:
        await connection.execute(sql("release_oidc_check"), session)


async def end_oidc_sessions(
    connection: Connection, sessions: Sequence[str], now_ms: int
) -> list[str]:
    """End sessions and delete their tokens; return the ids of those that had not ended."""
    ended = await end_sessions(connection, sessions, now_ms)
    await connection.execute(sql("delete_oidc_sessions"), list(sessions))
    return ended


async def log_out(
    connection: Connection, issuer: str, target: LogoutTarget, now_ms: int
) -> list[str]:
    """End the sessions that a logout token names; return their ids."""
    rows = await connection.fetch(
        sql("oidc_sessions_of"), issuer, target.subject, target.provider_session
    )
    return await end_oidc_sessions(connection, [row["session_id"] for row in rows], now_ms)

"""What a sign-in reads and writes: accounts, limits of attempts, known devices, second factors.

The limits are rows, so they hold over all web workers. A row is one number: when all attempts are
allowed again (GCRA, the generic cell rate algorithm).
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from domain.sign_in import DEVICE_MS, LIMITS, AttemptLimit, Limited
from stores.catalog.pool import Catalog, Connection, Row, sql
from stores.catalog.sessions import new_token, token_hash


@dataclass(frozen=True, slots=True)
class Account:
    """What a sign-in checks. It is not shown to anyone."""

    id: str
    login: str | None
    display_name: str
    is_disabled: bool
    password_hash: str | None
    totp_secret: bytes | None
    """Encrypted. None: there is no second factor, or its enrolment is not finished."""
    pending_totp: bytes | None
    """Encrypted: the secret of an enrolment that is not finished."""
    scope: str
    """Who manages the user."""


def _account_of(row: Row | None) -> Account | None:
    if row is None:
        return None
    is_confirmed = row["confirmed_ms"] is not None
    return Account(
        row["id"],
        row["login"],
        row["display_name"],
        row["disabled_ms"] is not None,
        row["password_hash"],
        row["secret"] if is_confirmed else None,
        None if is_confirmed else row["secret"],
        row["scope"],
    )


async def find_account(catalog: Catalog, login: str) -> Account | None:
    """Return the account with a login, disabled ones too."""
    return _account_of(await catalog.row("account_by_login", login))


async def get_account(catalog: Catalog, user: str) -> Account | None:
    """Return the account of a user, disabled ones too."""
    return _account_of(await catalog.row("account_by_id", user))


def limit_subject(kind: Limited, value: str) -> str:
    """Return the name under which attempts are counted. Logins are hashed: they may be anything."""
    if kind == "network":
        return f"network:{value}"
    return f"{kind}:{hashlib.sha256(value.encode()).hexdigest()[:32]}"


def limit_of(subject: str) -> AttemptLimit:
    """Return the limit of a subject."""
    kind: Any = subject.partition(":")[0]
    limit: AttemptLimit = LIMITS[kind]
    return limit


@dataclass(frozen=True, slots=True)
class NoAttemptLeft:
    """The subject that has no attempt left, and the ms until it has one again."""

    subject: str
    wait_ms: int


class _NoneLeftError(Exception):
    """Rolls back what the earlier subjects of an attempt took."""

    def __init__(self, refused: NoAttemptLeft) -> None:
        super().__init__(refused.subject)
        self.refused = refused


async def take_attempts(
    catalog: Catalog, subjects: Sequence[str], now_ms: int
) -> NoAttemptLeft | None:
    """Take one attempt of each subject, or none of any; return None, or what has none left.

    The rows are locked in one order, so there is no deadlock.
    """
    try:
        async with catalog.transaction() as connection:
            for subject in sorted(subjects):
                limit = limit_of(subject)
                taken = await connection.fetchval(
                    sql("take_attempt"), subject, now_ms, limit.interval_ms, limit.burst
                )
                if taken is None:
                    next_ms = await connection.fetchval(sql("next_attempt"), subject)
                    full_ms = limit.interval_ms * (limit.burst - 1)
                    wait_ms = max(1, (next_ms or now_ms) - full_ms - now_ms)
                    raise _NoneLeftError(NoAttemptLeft(subject, wait_ms))
    except _NoneLeftError as error:
        return error.refused
    return None


async def give_attempts_back(connection: Connection, subjects: Iterable[str], now_ms: int) -> None:
    """Give back what a successful attempt took; delete the rows that limit nothing any more."""
    for subject in sorted(subjects):
        await connection.execute(sql("give_attempt_back"), subject, limit_of(subject).interval_ms)
    await connection.execute(sql("delete_full_limits"), now_ms)


async def is_known_device(catalog: Catalog, cookie: str, login: str, now_ms: int) -> bool:
    """Return whether the user with this login has signed in from the browser with this cookie."""
    row = await catalog.row("is_device_of", token_hash(cookie), login, now_ms)
    return row is not None


async def remember_device(
    connection: Connection, user: str, now_ms: int, cookie: str | None = None
) -> str:
    """Record that a user signed in from a browser; return its cookie, known or new."""
    value = cookie if cookie is not None else new_token()
    await connection.execute(sql("add_device"), token_hash(value), user, now_ms + DEVICE_MS, now_ms)
    return value


async def renew_password_hash(
    connection: Connection, user: str, old_hash: str, new_hash: str
) -> None:
    """Store the same password's hash by newer parameters, unless the password has changed."""
    await connection.execute(sql("renew_password_hash"), user, old_hash, new_hash)


async def start_totp(connection: Connection, user: str, secret: bytes) -> bool:
    """Store the encrypted secret of an enrolment; False where a second factor is set already."""
    return await connection.fetchval(sql("set_totp"), user, secret) is not None


async def confirm_totp(
    connection: Connection, user: str, recovery_codes: Iterable[str], now_ms: int
) -> bool:
    """Finish an enrolment; False where there is none. Replaces the recovery codes."""
    if await connection.fetchval(sql("confirm_totp"), user, now_ms) is None:
        return False
    await connection.execute(sql("delete_recovery_codes"), user)
    await connection.executemany(
        sql("add_recovery_code"), [(user, token_hash(code)) for code in recovery_codes]
    )
    return True


async def use_totp_step(connection: Connection, user: str, step: int) -> bool:
    """Use the code of a time step; False where it, or a later one, was used."""
    return await connection.fetchval(sql("use_totp_step"), user, step) is not None


async def use_recovery_code(connection: Connection, user: str, code: str) -> bool:
    """Use a recovery code; False where there is no such code."""
    return await connection.fetchval(sql("use_recovery_code"), user, token_hash(code)) is not None


async def count_recovery_codes(catalog: Catalog, user: str) -> int:
    """Return how many recovery codes a user has left."""
    row = await catalog.row("count_recovery_codes", user)
    assert row is not None
    return int(row["codes"])


async def remove_totp(connection: Connection, user: str) -> None:
    """Delete a user's second factor and its recovery codes."""
    await connection.execute(sql("delete_totp"), user)
    await connection.execute(sql("delete_recovery_codes"), user)

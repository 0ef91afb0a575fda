"""Checks a login, a password and a code, within limits that hold over all workers.

device cookie known ──► limit of the device ┐
otherwise ──► limits of network and account ┴► hash (few at once) ──► code ──► account

A refused attempt says the same, and takes as long, whether the login exists or not.
"""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import NoReturn

from cachetools import TTLCache
from prometheus_client import Counter

from domain.audit import AuditOrigin, tenant_of
from domain.sign_in import Limited
from stores.catalog import Catalog
from stores.catalog.audit import write_audit
from stores.catalog.pool import Connection
from stores.catalog.sign_in import (
    Account,
    find_account,
    give_attempts_back,
    is_known_device,
    limit_subject,
    remember_device,
    renew_password_hash,
    take_attempts,
    use_recovery_code,
    use_totp_step,
)
from stores.http_server import network_of
from streams.metrics import REGISTRY
from web.passwords import PasswordHashes
from web.problems import ProblemError
from web.totp import TotpSecrets, normal_recovery_code, totp_step

log = logging.getLogger(__name__)

REFUSED_MS = 5_000
"""How long a worker remembers that attempts of a network are used up, at most."""
MAX_DEVICE_COOKIE = 100
SIGN_INS = Counter(
    "vigil_sign_ins",
    "Attempts to sign in with a password, by outcome: done, wrong, code, limited",
    ("outcome",),
    registry=REGISTRY,
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What somebody sends to sign in, and from where."""

    login: str
    password: str
    code: str | None
    address: str
    device: str | None
    """The device cookie, if the browser has one."""
    origin: AuditOrigin


@dataclass(frozen=True, slots=True)
class CheckedAccount:
    """An account whose password and code are right."""

    account: Account
    subjects: tuple[str, ...]
    device: str | None
    """The device cookie, if the user signed in from this browser before."""
    new_hash: str | None
    """The password's hash by newer parameters."""

    async def finish(self, connection: Connection, now_ms: int) -> str:
        """Record the success in the transaction of what follows; return the device cookie."""
        await give_attempts_back(connection, self.subjects, now_ms)
        if self.new_hash is not None and self.account.password_hash is not None:
            await renew_password_hash(
                connection, self.account.id, self.account.password_hash, self.new_hash
            )
        return await remember_device(connection, self.account.id, now_ms, self.device)


class SignIn:
    """Checks attempts. One per process; what it limits is in the catalog."""

    def __init__(
        self, passwords: PasswordHashes, totp: TotpSecrets, clock_ms: Callable[[], int]
    ) -> None:
        self.passwords = passwords
        self.totp = totp
        self._clock_ms = clock_ms
        self._refused: TTLCache[str, int] = TTLCache(10_000, REFUSED_MS, timer=clock_ms)
        """Subject -> when its next attempt is allowed."""

    async def check(self, catalog: Catalog, attempt: Attempt) -> CheckedAccount:
        """Return the account; raise ProblemError: 401 wrong, or a code is needed; 429 too many."""
        now_ms = self._clock_ms()
        login = attempt.login.strip().lower()
        device = await self._known_device(catalog, attempt, login)
        subjects = _subjects(attempt, login, device)
        await self._take(catalog, subjects, now_ms)
        account = await find_account(catalog, login)
        usable = account is not None and not account.is_disabled
        stored = account.password_hash if account is not None and usable else None
        if not await self.passwords.verify(stored, attempt.password) or account is None:
            await _refuse(catalog, attempt, account, "wrong", now_ms)
        if account.totp_secret is not None:
            taken = await self._check_code(catalog, attempt, account, device, now_ms)
            subjects = (*subjects, taken)
        new_hash = None
        if stored is not None and self.passwords.needs_renewal(stored):
            new_hash = await self.passwords.hash(attempt.password)
        SIGN_INS.labels("done").inc()
        for subject in subjects:
            self._refused.pop(subject, None)
        return CheckedAccount(account, subjects, device, new_hash)

    async def _known_device(self, catalog: Catalog, attempt: Attempt, login: str) -> str | None:
        cookie = attempt.device
        if cookie is None or len(cookie) > MAX_DEVICE_COOKIE or not cookie.isascii():
            return None
        known = await is_known_device(catalog, cookie, login, self._clock_ms())
        return cookie if known else None

    async def _take(self, catalog: Catalog, subjects: tuple[str, ...], now_ms: int) -> None:
        """Take one attempt of each subject; raise ProblemError (429) where one has none left."""
        waits = [self._refused.get(subject, now_ms) - now_ms for subject in subjects]
        wait_ms = max(waits)
        if wait_ms <= 0:
            refused = await take_attempts(catalog, subjects, now_ms)
            if refused is None:
                return
            wait_ms = refused.wait_ms
            self._refused[refused.subject] = now_ms + wait_ms
        SIGN_INS.labels("limited").inc()
        raise ProblemError(
            HTTPStatus.TOO_MANY_REQUESTS,
            "Too many attempts to sign in. Wait, then try again.",
            {"Retry-After": str(math.ceil(wait_ms / 1_000))},
        )

    async def _check_code(
        self, catalog: Catalog, attempt: Attempt, account: Account, device: str | None, now_ms: int
    ) -> str:
        """Check and use the code; return what was taken for it."""
        code = (attempt.code or "").strip()
        if not code:
            raise ProblemError(
                HTTPStatus.UNAUTHORIZED,
                "Enter the code of your authenticator app, or a recovery code.",
                kind="code-required",
            )
        subject = limit_subject("code", device or account.id)
        await self._take(catalog, (subject,), now_ms)
        assert account.totp_secret is not None
        secret = self.totp.decrypt(account.id, account.totp_secret)
        if secret is None:
            log.error(
                "The second factor of user %s cannot be read: VIGIL_SESSION_SECRET is another one "
                "than at its enrolment. Run `vigil user reset-totp`.",
                account.id,
            )
        step = None if secret is None else totp_step(secret, code, now_ms)
        async with catalog.transaction() as connection:
            if step is not None:
                is_right = await use_totp_step(connection, account.id, step)
            else:
                recovery = normal_recovery_code(code)
                is_right = await use_recovery_code(connection, account.id, recovery)
        if not is_right:
            await _refuse(catalog, attempt, account, "code", now_ms)
        return subject


def _subjects(attempt: Attempt, login: str, device: str | None) -> tuple[str, ...]:
    if device is not None:
        return (limit_subject("device", device),)
    limits: tuple[tuple[Limited, str], ...] = (
        ("network", network_of(attempt.address)),
        ("account", login),
    )
    return tuple(limit_subject(kind, value) for kind, value in limits)


async def _refuse(
    catalog: Catalog, attempt: Attempt, account: Account | None, outcome: str, now_ms: int
) -> NoReturn:
    """Write the attempt to the audit log, and raise ProblemError (401)."""
    SIGN_INS.labels(outcome).inc()
    entry = attempt.origin.entry(
        now_ms,
        "session:create",
        "user:unknown" if account is None else f"user:{account.id}",
        tenant=None if account is None else tenant_of([account.scope]),
        after={"refused": outcome},
        outcome="refused",  # what was typed is not stored: it may be a password
    )
    async with catalog.transaction() as connection:
        await write_audit(connection, entry)
    if outcome == "code":
        detail = "The code is not right, or it was used before. Wait for the next one."
        raise ProblemError(HTTPStatus.UNAUTHORIZED, detail, kind="code-required")
    raise ProblemError(HTTPStatus.UNAUTHORIZED, "The login or the password is wrong.")

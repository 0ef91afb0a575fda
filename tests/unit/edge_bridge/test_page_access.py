"""Passwords and cookies of the edge's page."""

import asyncio

import pytest

from domain.errors import ConfigError
from edge_bridge.page.access import (
    FREE_TRIES,
    LIFETIME_S,
    MAX_WAITING,
    TURN_S,
    PageAccess,
    PasswordQueue,
    TooManyTriesError,
)

PASSWORD = "correct horse"


class Clock:
    now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def test_the_password_makes_a_cookie_that_ends() -> None:
    clock = Clock()
    access = PageAccess(PASSWORD, clock)
    cookie = access.cookie_for(PASSWORD)
    assert cookie is not None and access.accepts(cookie)
    clock.now_s += LIFETIME_S + 1
    assert not access.accepts(cookie)


def test_forged_cookies_are_rejected() -> None:
    access = PageAccess(PASSWORD, Clock())
    cookie = access.cookie_for(PASSWORD) or ""
    name, made, signature = cookie.split(".")
    later = made[:-1] + ("A" if made[-1] != "A" else "B")
    forged = [
        "",
        ".",
        "..",
        "x",
        f"{name}.{later}.{signature}",
        f"{name}.{made}.{signature[:-1]}",
        f"other.{made}.{signature}",
        f"{made}.{signature}",
        f"..{signature}",
        f".{signature}",
        "٣.ä",
        f"{name}.ä.{signature}",
        "9" * 500,
        f"{name}.{made}.\udcff",
        cookie + " " * 500,
    ]
    assert [each for each in forged if access.accepts(each)] == []
    assert not PageAccess(PASSWORD, Clock()).accepts(cookie)  # another start, another key


class Sleeps:
    """Counts the turns that were waited for; each moves the clock on."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.count = 0

    async def __call__(self, seconds: float) -> None:
        self.count += 1
        self.clock.now_s += seconds
        await asyncio.sleep(0)


async def guess(queue: PasswordQueue, source: str, *, known: bool = False) -> None:
    await queue.wait(source, known=known)
    queue.was_wrong(source)


async def test_guessing_is_slowed_down_to_two_a_second() -> None:
    clock = Clock()
    slept = Sleeps(clock)
    queue = PasswordQueue(clock, slept)
    for _ in range(FREE_TRIES):
        await guess(queue, "stranger")
    assert slept.count == 0
    for _ in range(20):
        await guess(queue, "stranger")
    assert clock.now_s - Clock.now_s >= 20 * TURN_S / 2
    assert slept.count >= 10


async def test_the_owner_waits_for_no_guesses_of_others() -> None:
    clock = Clock()
    slept = Sleeps(clock)
    queue = PasswordQueue(clock, slept)
    waiting = [asyncio.create_task(guess(queue, f"10.0.0.{n % 100}")) for n in range(500)]
    await asyncio.gather(*waiting)
    slept.count = 0
    await queue.wait("the owner's phone", known=True)
    assert slept.count == 0


async def test_from_the_same_address_the_owner_waits_for_a_turn() -> None:
    clock = Clock()
    queue = PasswordQueue(clock, Sleeps(clock))
    for _ in range(FREE_TRIES):
        await guess(queue, "10.0.0.1")
    others = [asyncio.create_task(guess(queue, "10.0.0.1")) for _ in range(MAX_WAITING - 1)]
    await queue.wait("10.0.0.1", known=False)  # his password is checked
    await asyncio.gather(*others)


async def test_a_source_that_floods_is_refused() -> None:
    clock = Clock()
    queue = PasswordQueue(clock, Sleeps(clock))
    for _ in range(FREE_TRIES):
        await guess(queue, "10.0.0.1")
    tries = [asyncio.create_task(guess(queue, "10.0.0.1")) for _ in range(MAX_WAITING + 5)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(each, TooManyTriesError) for each in results) == 5
    await guess(queue, "10.0.0.2")


def test_signing_out_ends_the_session() -> None:
    access = PageAccess(PASSWORD, Clock())
    first, second = access.cookie_for(PASSWORD) or "", access.cookie_for(PASSWORD) or ""
    access.sign_out(first)
    assert not access.accepts(first)
    assert access.accepts(second)
    assert access.device_of(first) and not access.device_of("other")
    access.sign_out("nonsense")


@pytest.mark.parametrize("password", ["\ud800", "\0", "", "x" * 100_000])
def test_no_text_is_more_than_a_wrong_password(password: str) -> None:
    assert PageAccess(PASSWORD, Clock()).cookie_for(password) is None


def test_a_cookie_of_an_earlier_version_signs_in_again() -> None:
    clock = Clock()
    access = PageAccess(PASSWORD, clock)
    until = str(int(clock.now_s + LIFETIME_S))
    assert not access.accepts(f"{until}.{'0' * 64}")


def test_right_passwords_are_never_too_many() -> None:
    access = PageAccess(PASSWORD, Clock())
    assert all(access.cookie_for(PASSWORD) for _ in range(FREE_TRIES * 3))


def test_a_short_password_is_rejected() -> None:
    with pytest.raises(ConfigError, match="at least 8"):
        PageAccess("short", Clock())

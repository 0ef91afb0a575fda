"""Passwords and cookies of the edge's page."""

import pytest

from domain.errors import ConfigError
from edge_bridge.page.access import FREE_TRIES, LIFETIME_S, PageAccess, TooManyTriesError

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


def test_guessing_is_slowed_down_to_one_a_second() -> None:
    clock = Clock()
    access = PageAccess(PASSWORD, clock)
    assert [access.cookie_for("wrong") for _ in range(FREE_TRIES)] == [None] * FREE_TRIES
    with pytest.raises(TooManyTriesError):
        access.cookie_for(PASSWORD)
    heard = 0
    for _ in range(100):
        clock.now_s += 0.1
        try:
            access.cookie_for("wrong")
            heard += 1
        except TooManyTriesError:
            pass
    assert heard == 10
    clock.now_s += 1.5
    assert access.cookie_for(PASSWORD)


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

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
    assert cookie is not None and access.knows(cookie)
    clock.now_s += LIFETIME_S + 1
    assert not access.knows(cookie)


def test_forged_cookies_are_refused() -> None:
    access = PageAccess(PASSWORD, Clock())
    cookie = access.cookie_for(PASSWORD) or ""
    until, _, signature = cookie.partition(".")
    longer, cut = f"{int(until) + 1}.{signature}", f"{until}.{signature[:-1]}"
    forged = ["", ".", "x", longer, cut, f".{signature}", "٣.ä", "9" * 500]
    assert [each for each in forged if access.knows(each)] == []
    assert not PageAccess(PASSWORD, Clock()).knows(cookie)  # another start, another key


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


def test_right_passwords_are_never_too_many() -> None:
    access = PageAccess(PASSWORD, Clock())
    assert all(access.cookie_for(PASSWORD) for _ in range(FREE_TRIES * 3))


def test_a_short_password_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 8"):
        PageAccess("short", Clock())

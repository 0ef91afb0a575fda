import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import InvalidTextError
from domain.sign_in import (
    check_login,
    normal_password,
    password_problem,
)


@pytest.mark.parametrize(
    ("given_login", "stored"),
    [("Ann", "ann"), (" ann@example.com ", "ann@example.com"), ("7-of_9+x", "7-of_9+x")],
)
def test_logins_are_stored_in_lower_case(given_login: str, stored: str) -> None:
    assert check_login(given_login) == stored


@pytest.mark.parametrize("login", ["", " ", ".ann", "a b", "ä", "a\0", "a\ud800", "a" * 101, "a/b"])
def test_what_is_not_a_login(login: str) -> None:
    with pytest.raises(InvalidTextError, match="A login has"):
        check_login(login)


@pytest.mark.parametrize(
    ("password", "problem"),
    [
        ("elevenchars", "12 to 128"),
        ("x" * 129, "12 to 128"),
        ("abcdabcdabcd", "repeats"),
        ("annabella2024", "login"),
        ("has a nul\0 inside", "not text"),
        ("has \ud800 inside", "not text"),
        ("a good long one", None),
        ("päßwörter sind lang", None),
        ("é" * 3 + "xyzabcdefg" + "q" * 115, None),
    ],
)
def test_passwords(password: str, problem: str | None) -> None:
    found = password_problem(password, "annabella@example.com")
    assert found is None if problem is None else problem in str(found)


@settings(max_examples=50)
@given(st.text())
def test_a_password_has_one_form(password: str) -> None:
    normal = normal_password(password)
    assert normal_password(normal) == normal
    assert normal_password("e\u0301") == normal_password("é")

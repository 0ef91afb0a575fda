import pytest

from domain.errors import ConfigError
from stores.catalog.keys import ApiKey
from web import sessions as module
from web.recent import Recent
from web.sessions import LIFETIME_MS, RECHECK_MS, Sessions

SECRET = "s" * 32
KEY = ApiKey(7, "Ann")


class Keys:
    """Stands for the catalog's keys."""

    def __init__(self, monkeypatch) -> None:
        self.valid = {"secret": KEY}
        self.asked = 0
        monkeypatch.setattr(module, "find_key", self.find)
        monkeypatch.setattr(module, "get_key", self.get)

    async def find(self, _catalog, key):
        self.asked += 1
        return self.valid.get(key)

    async def get(self, _catalog, number):
        self.asked += 1
        return next((key for key in self.valid.values() if key.id == number), None)


@pytest.fixture
def keys(monkeypatch) -> Keys:
    return Keys(monkeypatch)


async def test_a_key_is_asked_for_once_in_a_while(keys: Keys) -> None:
    sessions = Sessions(SECRET)
    for at_ms in (0, 1, RECHECK_MS - 1):
        assert await sessions.of_key(None, "secret", at_ms) == KEY
    assert keys.asked == 1
    keys.valid.clear()
    assert await sessions.of_key(None, "secret", RECHECK_MS) is None
    assert await sessions.of_key(None, "", 0) is None
    assert await sessions.of_key(None, "x" * 1_000, 0) is None
    assert keys.asked == 2


async def test_a_cookie_stands_for_its_key_until_it_is_over_or_revoked(keys: Keys) -> None:
    sessions = Sessions(SECRET)
    cookie = sessions.cookie_for(KEY, 1_000)
    assert "secret" not in cookie
    assert await sessions.of_cookie(None, cookie, 2_000) == KEY
    assert await Sessions(SECRET).of_cookie(None, cookie, 2_000) == KEY, "another worker agrees"
    assert await sessions.of_cookie(None, cookie, 1_000 + LIFETIME_MS) is None
    keys.valid.clear()
    assert await sessions.of_cookie(None, cookie, 2_000 + RECHECK_MS) is None


async def test_forged_cookies(keys: Keys) -> None:
    cookie = Sessions(SECRET).cookie_for(KEY, 1_000)
    assert await Sessions("t" * 32).of_cookie(None, cookie, 2_000) is None
    payload, signature = cookie.split(".")
    forged = [
        "",
        ".",
        "..",
        payload,
        f"{payload}.",
        f".{signature}",
        f"{payload}A.{signature}",
        f"{payload}.{signature}.x",
        "a.b",
        "é.ü",
        f"{payload[:-2]}.{signature}",
        "x" * 100_000,
    ]
    for each in forged:
        assert await Sessions(SECRET).of_cookie(None, each, 2_000) is None, each
    assert keys.asked == 0


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ConfigError, match="VIGIL_SESSION_SECRET has 31 characters"):
        Sessions("s" * 31)


def test_recent_is_bounded_by_weight_and_age() -> None:
    kept: Recent[str, bytes] = Recent(10, weigh=len, live_ms=100)
    kept.put("a", b"1234", 0)
    kept.put("b", b"1234", 0)
    assert kept.get("a", 1) == b"1234"
    kept.put("c", b"1234", 1)
    assert kept.get("b", 1) is None, "used longest ago"
    assert kept.get("a", 1) == b"1234"
    kept.put("d", b"x" * 11, 1)
    assert kept.get("d", 1) is None
    assert kept.get("a", 99) == b"1234"
    assert kept.get("a", 100) is None
    kept.put("c", b"1", 1)
    kept.put("e", b"123456789", 1)
    assert kept.get("c", 1) == b"1"

from dataclasses import replace

import pytest

from domain.errors import ConfigError, StoreError
from stores.catalog.keys import ApiKey
from web import services
from web import sessions as module
from web.sessions import LIFETIME_MS, RECHECK_MS, Sessions

SECRET = "0123456789abcdef" * 2
KEY = ApiKey(7, "Ann", fingerprint="1a2b")


class Keys:
    """Fakes the catalog's keys."""

    def __init__(self, monkeypatch) -> None:
        self.valid = {"secret": KEY}
        self.queries = 0
        self.ended = set()
        monkeypatch.setattr(module, "find_key", self.find)
        monkeypatch.setattr(module, "get_key", self.get)
        monkeypatch.setattr(module, "end_session", self.end)
        self.used: list[tuple[int, int]] = []
        self.use_fails = False
        monkeypatch.setattr(module, "note_key_use", self.note_use)

    async def find(self, _catalog, key):
        self.queries += 1
        return self.valid.get(key)

    async def get(self, _catalog, number, session):
        self.queries += 1
        if session in self.ended:
            return None
        return next((key for key in self.valid.values() if key.id == number), None)

    async def note_use(self, _catalog, key, now_ms):
        if self.use_fails:
            raise StoreError("the catalog only reads")
        self.used.append((key.id, now_ms))

    async def end(self, _catalog, session, _until_ms, _now_ms):
        self.ended.add(session)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now_ms = 0

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(monkeypatch) -> Keys:
    return Keys(monkeypatch)


async def test_a_key_expires_at_its_time_although_it_is_cached(keys: Keys, clock: Clock) -> None:
    sessions = Sessions(SECRET, clock)
    keys.valid["secret"] = replace(KEY, expires_ms=100)
    cookie = sessions.cookie_for(KEY, 0)
    for clock.now_ms in (0, 99):
        assert await sessions.of_key(None, "secret") is not None
        assert await sessions.of_cookie(None, cookie, clock.now_ms) is not None
    for clock.now_ms in (100, 100 + RECHECK_MS):
        assert await sessions.of_key(None, "secret") is None
        assert await sessions.of_cookie(None, cookie, clock.now_ms) is None
    assert keys.used == [(KEY.id, 0), (KEY.id, 0)]  # by the key, and by its cookie


async def test_a_key_is_valid_where_its_use_cannot_be_recorded(keys: Keys, clock: Clock) -> None:
    keys.use_fails = True
    assert await Sessions(SECRET, clock).of_key(None, "secret") == KEY


@pytest.mark.parametrize(
    ("networks", "address", "allowed"),
    [
        (None, "203.0.113.9", True),
        (("10.1.0.0/16",), "10.1.2.3", True),
        (("10.1.0.0/16",), "10.2.0.1", False),
        (("10.1.0.0/16",), "::ffff:10.1.2.3", True),  # IPv4 through a socket of IPv6
        (("10.1.0.0/16", "2001:db8::/32"), "2001:db8::1", True),
        (("10.1.0.0/16",), "2001:db8::1", False),
        (("10.1.0.0/16",), "", False),
        ((), "10.1.2.3", False),
    ],
)
def test_networks_say_which_clients_may_use_a_key(networks, address: str, allowed: bool) -> None:
    assert replace(KEY, networks=networks).allows_client(address) is allowed


async def test_a_key_is_checked_again_after_a_while(keys: Keys, clock: Clock) -> None:
    sessions = Sessions(SECRET, clock)
    for clock.now_ms in (0, 1, RECHECK_MS - 1):
        assert await sessions.of_key(None, "secret") == KEY
    assert keys.queries == 1
    keys.valid.clear()
    clock.now_ms = RECHECK_MS
    assert await sessions.of_key(None, "secret") is None
    assert await sessions.of_key(None, "") is None
    assert await sessions.of_key(None, "x" * 1_000) is None
    assert keys.queries == 2


async def test_a_cookie_is_valid_until_it_expires_or_its_key_is_revoked(
    keys: Keys, clock: Clock
) -> None:
    sessions = Sessions(SECRET, clock)
    cookie = sessions.cookie_for(KEY, 1_000)
    assert "secret" not in cookie
    assert await sessions.of_cookie(None, cookie, 2_000) == KEY
    other = Sessions(SECRET, clock)
    assert await other.of_cookie(None, cookie, 2_000) == KEY, "another worker agrees"
    assert await sessions.of_cookie(None, cookie, 1_000 + LIFETIME_MS) is None
    keys.valid.clear()
    clock.now_ms = 2_000 + RECHECK_MS
    assert await sessions.of_cookie(None, cookie, clock.now_ms) is None


async def test_signing_out_holds_in_all_workers(keys: Keys, clock: Clock) -> None:
    here, there = Sessions(SECRET, clock), Sessions(SECRET, clock)
    cookie, other = here.cookie_for(KEY, 0), here.cookie_for(KEY, 0)
    for sessions in (here, there):
        assert await sessions.of_cookie(None, cookie, 1) == KEY
    await here.end(None, cookie, 1)
    await here.end(None, "forged", 1)
    assert len(keys.ended) == 1
    assert await here.of_cookie(None, cookie, 1) is None
    clock.now_ms = RECHECK_MS
    assert await there.of_cookie(None, cookie, RECHECK_MS) is None
    assert await there.of_cookie(None, other, RECHECK_MS) == KEY, "another session of the key"


async def test_forged_cookies(keys: Keys, clock: Clock) -> None:
    cookie = Sessions(SECRET, clock).cookie_for(KEY, 1_000)
    assert await Sessions(SECRET[::-1], clock).of_cookie(None, cookie, 2_000) is None
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
        assert await Sessions(SECRET, clock).of_cookie(None, each, 2_000) is None, each
    assert keys.queries == 0


def test_a_short_secret_is_rejected(clock: Clock) -> None:
    with pytest.raises(ConfigError, match="VIGIL_SESSION_SECRET has 31 characters"):
        Sessions("s" * 31, clock)


def test_cached_thumbnails_are_bounded_by_bytes_and_age(clock: Clock, monkeypatch) -> None:
    monkeypatch.setattr(services, "THUMBNAIL_BYTES", 10)
    monkeypatch.setattr(services, "THUMBNAIL_TTL_MS", 100)
    cache = services.thumbnail_cache(clock)
    cache["a"] = b"1234"
    cache["b"] = b"1234"
    clock.now_ms = 1
    assert cache.get("a") == b"1234"
    cache["c"] = b"1234"
    assert cache.get("b") is None, "used longest ago"
    assert cache.get("a") == b"1234"
    with pytest.raises(ValueError, match="too large"):
        cache["d"] = b"x" * 11
    clock.now_ms = 99
    assert cache.get("a") == b"1234"
    clock.now_ms = 100
    assert cache.get("a") is None
    clock.now_ms = 1
    cache["c"] = b"1"
    cache["e"] = b"123456789"
    assert cache.get("c") == b"1"


@pytest.mark.parametrize("secret", ["change-me-" * 4, "s" * 40, "abcdefgh" * 5])
def test_example_secrets_are_refused(secret: str) -> None:
    with pytest.raises(ConfigError, match="easy to guess"):
        Sessions(secret, lambda: 0)


async def test_a_cookie_is_not_another_key_of_the_same_number(keys: Keys, clock: Clock) -> None:
    sessions = Sessions(SECRET, clock)
    cookie = sessions.cookie_for(KEY, 0)
    keys.valid["secret"] = ApiKey(KEY.id, "Bob", fingerprint="3c4d")  # a catalog made again
    assert await sessions.of_cookie(None, cookie, 1) is None


async def test_signing_out_ends_one_session(keys: Keys, clock: Clock) -> None:
    sessions = Sessions(SECRET, clock)
    first, second = sessions.cookie_for(KEY, 0), sessions.cookie_for(KEY, 0)
    for nonsense in ("", "a.b", first + "A", "x" * 5_000):
        await sessions.end(None, nonsense, 1)
    assert await sessions.of_cookie(None, first, 1) == KEY
    await sessions.end(None, first, 1)
    assert await sessions.of_cookie(None, first, 1) is None
    assert await sessions.of_cookie(None, second, 1) == KEY

from dataclasses import replace

import pytest

from domain.access import Grant, Principal, Role
from domain.caller import Caller
from domain.errors import ConfigError, StoreError
from domain.sign_in import IDLE_MS, LIFETIME_MS
from stores.catalog.keys import ApiKey
from stores.catalog.sessions import OpenSession
from web import services
from web import sessions as module
from web.sessions import RECHECK_MS, Sessions, check_session_secret

KEY = ApiKey(7, "Ann")
ANN = Caller(Principal("user:1", (Grant(Role.VIEWER, "acme"),)), "Ann", session="s1", user="1")


class Rows:
    """Fakes the catalog's keys and sessions, which all workers share."""

    def __init__(self, monkeypatch) -> None:
        self.keys = {"secret": KEY}
        self.sessions = {
            "cookie": OpenSession(ANN, None, 0, LIFETIME_MS),
            "by-key": OpenSession(KEY.caller("s2"), KEY, 0, LIFETIME_MS),
        }
        self.queries = 0
        self.used: list[tuple[object, int]] = []
        self.use_fails = False
        monkeypatch.setattr(module, "find_key", self.find_key)
        monkeypatch.setattr(module, "find_session", self.find_session)
        monkeypatch.setattr(module, "note_key_use", self.note_key_use)
        monkeypatch.setattr(module, "note_session_use", self.note_session_use)

    async def find_key(self, _catalog, key):
        self.queries += 1
        return self.keys.get(key)

    async def find_session(self, _catalog, cookie, _now_ms):
        self.queries += 1
        return self.sessions.get(cookie)

    async def note_key_use(self, _catalog, key, now_ms):
        self._note(key.id, now_ms)

    async def note_session_use(self, _catalog, session, now_ms):
        self._note(session.caller.session, now_ms)

    def _note(self, what: object, now_ms: int) -> None:
        if self.use_fails:
            raise StoreError("the catalog only reads")
        self.used.append((what, now_ms))


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
def rows(monkeypatch) -> Rows:
    return Rows(monkeypatch)


async def test_a_key_expires_at_its_time_although_it_is_cached(rows: Rows, clock: Clock) -> None:
    sessions = Sessions(clock)
    short = replace(KEY, expires_ms=100)
    rows.keys["secret"] = short
    rows.sessions["by-key"] = replace(rows.sessions["by-key"], key=short)
    for clock.now_ms in (0, 99):
        assert await sessions.of_key(None, "secret") is not None
        assert await sessions.of_cookie(None, "by-key") is not None
    for clock.now_ms in (100, 100 + RECHECK_MS):
        assert await sessions.of_key(None, "secret") is None
        assert await sessions.of_cookie(None, "by-key") is None


async def test_the_use_of_keys_and_sessions_is_recorded(rows: Rows, clock: Clock) -> None:
    sessions = Sessions(clock)
    for clock.now_ms in (0, 1, RECHECK_MS):
        await sessions.of_key(None, "secret")
        await sessions.of_cookie(None, "by-key")
    once = [(KEY.id, 0), (KEY.id, 0), ("s2", 0)]  # by the key; by its session, which is used too
    assert rows.used == [*once, *((what, RECHECK_MS) for what, _ in once)]


async def test_where_a_use_cannot_be_recorded_the_request_is_answered(
    rows: Rows, clock: Clock
) -> None:
    rows.use_fails = True
    assert await Sessions(clock).of_key(None, "secret") == KEY
    assert await Sessions(clock).of_cookie(None, "cookie") is not None


async def test_a_key_is_checked_again_after_a_while(rows: Rows, clock: Clock) -> None:
    sessions = Sessions(clock)
    for clock.now_ms in (0, 1, RECHECK_MS - 1):
        assert await sessions.of_key(None, "secret") == KEY
    assert rows.queries == 1
    rows.keys.clear()
    clock.now_ms = RECHECK_MS
    assert await sessions.of_key(None, "secret") is None
    for nonsense in ("", "x" * 1_000, "é"):
        assert await sessions.of_key(None, nonsense) is None
        assert await sessions.of_cookie(None, nonsense) is None
    assert rows.queries == 2


async def test_two_workers_see_an_end_or_a_smaller_right_within_5_s(
    rows: Rows, clock: Clock
) -> None:
    here, there = Sessions(clock), Sessions(clock)
    for sessions in (here, there):
        found = await sessions.of_cookie(None, "cookie")
        assert found is not None
        assert found.caller == ANN
    rows.sessions["cookie"] = replace(
        rows.sessions["cookie"], caller=replace(ANN, principal=Principal("user:1", ()))
    )
    here.forget()  # the worker that made the change
    clock.now_ms = 1
    assert (await here.of_cookie(None, "cookie")).caller.grants == ()
    assert RECHECK_MS <= 5_000
    clock.now_ms = RECHECK_MS
    assert (await there.of_cookie(None, "cookie")).caller.grants == ()
    del rows.sessions["cookie"]
    clock.now_ms = 2 * RECHECK_MS
    for sessions in (here, there):
        assert await sessions.of_cookie(None, "cookie") is None
    assert await there.of_cookie(None, "by-key") is not None, "another session"


async def test_a_session_ends_idle_or_at_its_end_although_it_is_cached(
    rows: Rows, clock: Clock
) -> None:
    sessions = Sessions(clock)
    clock.now_ms = IDLE_MS - 1
    assert await sessions.of_cookie(None, "cookie") is not None
    clock.now_ms = IDLE_MS + 1_000
    assert await sessions.of_cookie(None, "cookie") is not None, "it was used 1 s ago"
    last = OpenSession(ANN, None, LIFETIME_MS - 10, LIFETIME_MS)
    rows.sessions["cookie"] = last
    clock.now_ms = LIFETIME_MS - 1
    assert await sessions.of_cookie(None, "cookie") is not None
    clock.now_ms = LIFETIME_MS
    assert await sessions.of_cookie(None, "cookie") is None
    assert not replace(last, seen_ms=0).is_valid(IDLE_MS)


def test_a_short_secret_is_rejected() -> None:
    with pytest.raises(ConfigError, match="VIGIL_SESSION_SECRET has 31 characters"):
        check_session_secret("s" * 31)


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
        check_session_secret(secret)

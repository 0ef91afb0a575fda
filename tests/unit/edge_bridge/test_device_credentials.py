"""Where a device's credentials come from, and what it uses while they cannot be renewed."""

import asyncio
import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from domain.errors import CredentialsError, StoreError
from domain.times import utc_ms
from edge_bridge.identity.credentials import DeviceCredentials
from edge_bridge.identity.folder import IdentityFolder
from edge_bridge.identity.identity import DeviceIdentity
from edge_bridge.identity.server import DeviceServer, EnrolmentRefusedError, NotServedError
from stores.aws_credentials import AwsCredentials, CredentialCache

OWN = AwsCredentials("own", "secret")
HOUR_MS = 3_600_000
SERVER_MS = 1_000
"""The server's time: this device's clock is years ahead."""
GIVEN = {
    "access_key_id": "ASIA", "secret_access_key": "s", "session_token": "t",
    "now_ms": SERVER_MS, "expires_ms": SERVER_MS + HOUR_MS,
}  # fmt: skip


class Identity:
    """What credentials need of a DeviceIdentity."""

    def __init__(self, state: str = "enrolled") -> None:
        self.state = state
        self.url = None if state == "none" else "https://devices.test"
        self.device, self.key_id = "acme/hq/box", "k1"
        self.context: ssl.SSLContext | None = ssl.create_default_context()

    def ssl_context(self) -> ssl.SSLContext | None:
        return self.context


async def own() -> AwsCredentials:
    return OWN


def of(identity: Identity) -> DeviceCredentials:
    return DeviceCredentials(cast("DeviceIdentity", identity), own)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Answers of the devices' address, the next one first: fields or errors."""
    given: list[Any] = []

    async def post(_: DeviceServer, path: str, body: Mapping[str, Any], context: Any) -> Any:
        assert (path, dict(body)) == ("/device/v1/credentials", {})
        assert context is not None
        answer = given.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(DeviceServer, "post", post)
    return given


async def test_an_enrolled_device_asks_and_counts_from_the_servers_time(answers: list[Any]) -> None:
    answers.append(GIVEN)
    found = await of(Identity()).read()
    assert (found.access_key_id, found.session_token) == ("ASIA", "t")
    assert found.expires_ms is not None
    assert 0 <= utc_ms() + HOUR_MS - found.expires_ms < 60_000


async def test_without_an_identity_or_where_none_are_given_it_uses_its_own(
    answers: list[Any],
) -> None:
    assert await of(Identity("none")).read() == OWN
    answers.append(NotServedError("VIGIL_DEVICE_ROLE_ARN is not set"))
    assert await of(Identity()).read() == OWN


async def test_a_refused_device_does_not_fall_back_to_its_own(answers: list[Any]) -> None:
    answers.append(EnrolmentRefusedError("locked", "two devices hold it"))
    with pytest.raises(CredentialsError, match="two devices"):
        await of(Identity()).read()
    for wrong in ({}, {**GIVEN, "expires_ms": "x"}, {**GIVEN, "now_ms": None}):
        answers.append(wrong)
        with pytest.raises(StoreError, match="sends no credentials"):
            await of(Identity()).read()
    expired = Identity()
    expired.context = None
    with pytest.raises(StoreError, match="is being renewed"):
        await of(expired).read()


async def test_they_are_used_over_an_outage_until_they_expire(answers: list[Any]) -> None:
    away = StoreError("it does not answer")
    identity = Identity()
    cache = CredentialCache(of(identity).read)
    answers.append({**GIVEN, "expires_ms": SERVER_MS + 300_000})  # soon: renewed early
    first = await cache.get()
    assert await cache.get() == first  # not asked for each request
    cache._read_s -= 61
    answers.append(away)
    assert await cache.get() == first
    cache._credentials = AwsCredentials("old", "s", "t", utc_ms() - 1)
    cache._read_s -= 61
    answers.append(away)
    with pytest.raises(StoreError):
        await cache.get()
    answers.append(GIVEN)
    cache._read_s -= 61
    assert (await cache.get()).access_key_id == "ASIA"


def started(identity: Identity, tmp_path: Path) -> CredentialCache:
    """Return what a process has that was started just now."""
    folder = IdentityFolder(tmp_path)
    source = DeviceCredentials(cast("DeviceIdentity", identity), own, folder=folder)
    return CredentialCache(source.read)


async def test_a_device_that_starts_again_uses_those_that_have_not_expired(
    answers: list[Any], tmp_path: Path
) -> None:
    identity, file = Identity(), tmp_path / "credentials.json"
    answers.append(GIVEN)
    first = await started(identity, tmp_path).get()
    assert file.stat().st_mode & 0o777 == 0o600
    for _ in range(3):  # a storm of restarts asks for nothing
        cache = started(identity, tmp_path)
        assert await cache.get() == first
    await cache.reload()  # S3 refused them: they are not used again
    answers.append(StoreError("it does not answer"))
    with pytest.raises(StoreError):
        await cache.get()

    kept = json.loads(file.read_text())
    soon = {**kept, "expires_ms": utc_ms() + 300_000}
    file.write_text(json.dumps(soon))  # asked early, and used where no answer comes
    answers.append(StoreError("it does not answer"))
    assert (await started(identity, tmp_path).get()).expires_ms == soon["expires_ms"]
    assert answers == []


@pytest.mark.parametrize(
    "changes",
    [
        {"expires_ms": 1},
        {"expires_ms": 1 << 50},  # kept under a clock that was years ahead
        {"key": "k0"},
        {"device": "acme/hq/other"},
        {"session_token": None, "expires_ms": None},
    ],
)
async def test_kept_ones_that_do_not_fit_are_not_used(
    answers: list[Any], tmp_path: Path, changes: dict[str, Any]
) -> None:
    answers.append(GIVEN)
    await started(Identity(), tmp_path).get()
    file = tmp_path / "credentials.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    answers.append(StoreError("it does not answer"))
    with pytest.raises(StoreError, match="does not answer"):
        await started(Identity(), tmp_path).get()


async def test_a_refused_device_forgets_them_and_a_locked_one_uses_none(
    answers: list[Any], tmp_path: Path
) -> None:
    answers.append(GIVEN)
    await started(Identity(), tmp_path).get()
    answers.append(EnrolmentRefusedError("revoked", "it was revoked"))
    with pytest.raises(CredentialsError):
        await started(Identity("locked"), tmp_path).get()
    assert not (tmp_path / "credentials.json").exists()
    (tmp_path / "credentials.json").write_text("[")
    answers.append(GIVEN)
    assert (await started(Identity(), tmp_path).get()).access_key_id == "ASIA"


async def test_after_a_change_of_the_identity_they_are_read_again(answers: list[Any]) -> None:
    identity = Identity("none")
    cache = CredentialCache(of(identity).read)
    assert await cache.get() == OWN
    identity.state, identity.url = "enrolled", "https://devices.test"
    await asyncio.to_thread(cache.forget)
    answers.append(StoreError("it does not answer"))
    assert await cache.get() == OWN  # until the first answer
    cache._read_s -= 61
    answers.append(GIVEN)
    assert (await cache.get()).access_key_id == "ASIA"
    assert (await cache.get()).access_key_id == "ASIA"
    assert answers == []

"""The checker with a registry in memory: what is read again, and what is counted."""

from dataclasses import dataclass, field

import pytest

from agents.signatures import checker as checker_module
from agents.signatures.checker import REFUSED, SignatureChecker
from agents.signatures.registry import MAX_AGE_S, KnownSigners, SignerRegistry
from domain.device_identity import Device, SignatureError
from domain.events import Heartbeat, SiteEvent, encode
from tests.devices import SigningDevice

SITE = "acme/hq"
MINE = SigningDevice("acme/hq/edge-1")
EVENT: SiteEvent = Heartbeat(
    site=SITE, edge="edge-1", sent_ms=0, spool_bytes=0, spool_waiting=0, disk_free_bytes=0
)
BODY = encode(EVENT)


@dataclass
class ChangingRegistry(SignerRegistry):
    """Answers with each reading in turn; the last one stays."""

    readings: list[KnownSigners] = field(default_factory=list)
    asked: list[float] = field(default_factory=list)

    async def known(self, max_age_s: float = MAX_AGE_S) -> KnownSigners:
        self.asked.append(max_age_s)
        return self.readings.pop(0) if len(self.readings) > 1 else self.readings[0]


def signers(*devices: Device) -> KnownSigners:
    return KnownSigners({each.id: each for each in devices}, {SITE: "refuse"})


def refused(device: str, code: str, site: str = SITE) -> float:
    return REFUSED.labels("queue", site, device, code)._value.get()


async def test_a_device_that_was_enrolled_just_now_is_believed() -> None:
    registry = ChangingRegistry([signers(), signers(MINE.known())])
    before = refused("", "unknown")
    found = await SignatureChecker(registry).check(EVENT, BODY, MINE.sign(BODY))
    assert found is not None and found.device == MINE.id
    assert registry.asked == [MAX_AGE_S, checker_module.READ_AGAIN_S]
    assert refused("", "unknown") == before


async def test_a_forged_event_costs_no_second_reading() -> None:
    registry = ChangingRegistry([signers(MINE.known())])
    before = refused(MINE.id, "forged")
    with pytest.raises(SignatureError, match="forged"):
        await SignatureChecker(registry).check(EVENT, BODY, MINE.sign(b"other"))
    assert registry.asked == [MAX_AGE_S]
    assert refused(MINE.id, "forged") == before + 1


async def test_strangers_make_no_series_of_their_own() -> None:
    registry = ChangingRegistry([signers(MINE.known())])
    checker = SignatureChecker(registry)
    for number in range(5):
        stranger = SigningDevice(f"acme/hq/stranger-{number}")
        before = refused("", "unknown")
        with pytest.raises(SignatureError, match="unknown"):
            await checker.check(EVENT, BODY, stranger.sign(BODY))
        assert refused("", "unknown") == before + 1


async def test_too_many_devices_share_one_series(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checker_module, "MAX_SERIES", 2)
    devices = [SigningDevice(f"acme/hq/edge-{number}") for number in range(4)]
    registry = ChangingRegistry([signers(*(each.known("locked") for each in devices))])
    checker = SignatureChecker(registry)
    before = refused("others", "locked", "others")
    for device in devices:
        with pytest.raises(SignatureError, match="locked"):
            await checker.check(EVENT, BODY, device.sign(BODY))
    assert refused("others", "locked", "others") == before + 2


async def test_a_foreign_event_is_counted_under_the_device_that_was_enrolled_just_now() -> None:
    other = SigningDevice("globex/hq/edge-1")
    registry = ChangingRegistry([signers(MINE.known()), signers(MINE.known(), other.known())])
    before = refused(other.id, "foreign")
    with pytest.raises(SignatureError, match="foreign"):
        await SignatureChecker(registry).check(EVENT, BODY, other.sign(BODY))
    assert refused(other.id, "foreign") == before + 1

"""Signatures of events: who may say what."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.device_identity import (
    Device,
    DeviceKey,
    EventSignature,
    SignatureError,
    check_device,
    check_signature,
    key_id,
)
from domain.errors import InvalidIdError

BODY = b'{"type":"run-started"}'
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = PRIVATE.public_key().public_bytes_raw()
KEY = key_id(PUBLIC)
DEVICE = Device("acme/hq/edge-1", "enrolled", 7, {KEY: DeviceKey(PUBLIC, 5)})


def signature(device: str = "acme/hq/edge-1", generation: int = 7, body: bytes = BODY) -> str:
    return str(EventSignature.sign(PRIVATE, KEY, device, generation, body))


def code(text: str | None, device: Device = DEVICE, site: str = "acme/hq", **kw: object) -> str:
    with pytest.raises(SignatureError) as raised:
        check_signature(
            text,
            kw.get("body", BODY),  # type: ignore[arg-type]
            site,
            {device.id: device},
            "refuse",
        )
    return raised.value.code


def test_a_signature_survives_its_text() -> None:
    text = signature()
    assert len(text) < 200
    assert str(EventSignature.parse(text)) == text


@pytest.mark.parametrize("generation", [5, 6, 7])
def test_what_a_device_signed_in_an_earlier_generation_counts(generation: int) -> None:
    found = check_signature(
        signature(generation=generation), BODY, "acme/hq", {DEVICE.id: DEVICE}, "refuse"
    )
    assert found is not None
    assert (found.device, found.generation) == ("acme/hq/edge-1", generation)


def test_the_site_says_what_happens_to_unsigned_events() -> None:
    assert check_signature(None, BODY, "acme/hq", {}, "accept") is None
    assert check_signature(None, BODY, "acme/hq", {}, "warn") is None
    assert code(None) == "unsigned"


def test_a_wrong_signature_is_refused_under_each_policy() -> None:
    for policy in ("accept", "warn", "refuse"):
        with pytest.raises(SignatureError, match="forged"):
            check_signature(
                signature(body=b"other"),
                BODY,
                "acme/hq",
                {DEVICE.id: DEVICE},
                policy,  # type: ignore[arg-type]
            )


@pytest.mark.parametrize(
    ("expected", "text", "device", "site"),
    [
        ("foreign", signature(), DEVICE, "acme/other"),
        ("foreign", signature(), DEVICE, "other/hq"),
        ("unknown", signature("acme/hq/edge-2"), DEVICE, "acme/hq"),
        ("unknown", signature(), replace(DEVICE, keys={}), "acme/hq"),
        ("locked", signature(), replace(DEVICE, state="locked"), "acme/hq"),
        ("revoked", signature(), replace(DEVICE, state="revoked"), "acme/hq"),
        (
            "revoked",
            signature(),
            replace(DEVICE, keys={KEY: DeviceKey(PUBLIC, 5, revoked=True)}),
            "acme/hq",
        ),
        ("generation", signature(generation=8), DEVICE, "acme/hq"),
        ("generation", signature(generation=4), DEVICE, "acme/hq"),
        (
            "generation",
            signature(generation=7),
            replace(DEVICE, keys={KEY: DeviceKey(PUBLIC, 5, 6)}),
            "acme/hq",
        ),
        ("forged", signature("acme/hq/edge-1", 7, b"{}"), DEVICE, "acme/hq"),
        ("forged", signature(generation=6).replace(" 6 ", " 7 "), DEVICE, "acme/hq"),
        ("malformed", "", DEVICE, "acme/hq"),
        ("malformed", "v2" + signature()[2:], DEVICE, "acme/hq"),
        ("malformed", signature() + "\n", DEVICE, "acme/hq"),
        ("malformed", signature() * 9, DEVICE, "acme/hq"),
        ("malformed", signature("acme//edge-1"), DEVICE, "acme/hq"),
    ],
)
def test_each_fault_has_its_code(expected: str, text: str, device: Device, site: str) -> None:
    assert code(text, device, site) == expected


def test_a_device_id_is_three_slugs() -> None:
    assert check_device("acme/hq/edge-1") == "acme/hq/edge-1"
    for wrong in ("acme/hq", "acme/hq/Edge", "acme/hq/e/f", "acme/hq/-e", ""):
        with pytest.raises(InvalidIdError):
            check_device(wrong)

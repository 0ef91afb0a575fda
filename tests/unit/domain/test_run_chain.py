"""A run's chain: what it proves, and how each hole and each forgery is named."""

import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.device_identity import Device
from domain.events import ChunkComplete, FragmentArrived, FragmentRef, encode
from domain.events.examples import EXAMPLES
from domain.manifests import (
    Manifest,
    SignedNotice,
    encode_manifest,
    parse_manifest,
    signed_notice,
)
from domain.run_chain import ChainFault, RunChain, past_devices
from tests.devices import SigningDevice
from tests.unit.domain.footage import CAMERA, RUN, fragment

DEVICE = SigningDevice("acme/berlin/edge-1")
OTHER = SigningDevice("acme/berlin/edge-2")
DEVICES = {DEVICE.id: DEVICE.known()}
LAST = 6


def filmed(last: int = LAST) -> list[FragmentArrived]:
    """Return a run's fragments as a device records them."""
    made: list[FragmentArrived] = []
    for seq in range(last + 1):
        sha256 = hashlib.sha256(bytes([seq])).hexdigest()
        event = fragment(seq).model_copy(update={"sha256": sha256, "keyframes": None})
        made.append(event.with_previous(made[-1].sha256 if made else None))
    return made


def signed(event: FragmentArrived, device: SigningDevice = DEVICE) -> SignedNotice:
    body = encode(event)
    return SignedNotice(seq=event.seq, notice=body.decode(), signature=device.sign(body))


def read(
    events: list[FragmentArrived],
    notices: dict[int, SignedNotice | None] | None = None,
    devices: dict[str, Device] | None = None,
    last_seq: int | None = None,
) -> list[tuple[str, int]]:
    chain = RunChain(CAMERA, RUN, past_devices(DEVICES if devices is None else devices))
    faults: list[ChainFault] = []
    for event in events:
        notice = (notices or {}).get(event.seq, signed(event))
        faults += chain.add(FragmentRef.of(event), notice)
    faults += chain.holes(from_start=True, last_seq=last_seq)
    return [(each.kind, each.seq) for each in faults]


@given(st.randoms(use_true_random=False))
def test_a_whole_run_is_proven_in_any_order(shuffled: random.Random) -> None:
    events = filmed()
    shuffled.shuffle(events)
    assert read(events, last_seq=LAST) == []


@given(st.sets(st.integers(0, LAST), max_size=LAST), st.randoms(use_true_random=False))
def test_each_hole_is_named_once(missing: set[int], shuffled: random.Random) -> None:
    events = [event for event in filmed() if event.seq not in missing]
    shuffled.shuffle(events)
    starts = {seq for seq in missing if seq == 0 or seq - 1 not in missing}
    assert read(events, last_seq=LAST) == [("chain-hole", seq) for seq in sorted(starts)]


def test_the_text_of_a_hole_names_the_hash_that_is_missing() -> None:
    events = filmed()
    chain = RunChain(CAMERA, RUN, DEVICES)
    for seq in (0, 1, 4):
        assert not list(chain.add(FragmentRef.of(events[seq]), signed(events[seq])))
    (hole,) = chain.holes(from_start=True)
    assert (hole.seq, events[3].sha256 in hole.text) == (2, True)
    assert hole.text.startswith("fragments 2 to 3 are in no chunk")


def test_a_swapped_fragment_is_found() -> None:
    """Other bytes with a signature of the right device, for another place in the run."""
    events = filmed()
    other = events[3].model_copy(update={"sha256": "e" * 64})
    assert read([*events[:3], other, *events[4:]]) == [("chain-broken", 4)]
    assert read(events, {3: signed(events[2])}) == [("signature-wrong", 3), ("chain-broken", 3)]


@pytest.mark.parametrize(
    ("notice", "devices", "kind"),
    [
        (None, None, "signature-missing"),
        (signed(filmed()[0], OTHER), None, "signature-wrong"),
        (signed(filmed()[0]), {DEVICE.id: DEVICE.with_key_revoked()}, "signature-wrong"),
        (signed(filmed()[0]).model_copy(update={"notice": "{}"}), None, "signature-wrong"),
    ],
)
def test_each_wrong_signature_is_named(
    notice: SignedNotice | None, devices: dict[str, Device] | None, kind: str
) -> None:
    assert read(filmed(0), {0: notice}, devices) == [(kind, 0)]


def test_a_device_that_was_locked_since_still_proves_what_it_recorded() -> None:
    assert read(filmed(), devices={DEVICE.id: DEVICE.known("locked")}) == []


def test_a_manifest_keeps_what_was_signed_of_its_own_fragments() -> None:
    chunk = EXAMPLES["chunk-complete"]
    assert isinstance(chunk, ChunkComplete)
    notices = [signed(event) for event in filmed()]
    manifest = Manifest.of(chunk, notices)
    assert [each.seq for each in manifest.signed] == [each.seq for each in chunk.fragments]
    again = parse_manifest(encode_manifest(manifest))
    assert again == manifest
    assert again.chunk == chunk and encode(again.chunk) == encode(chunk)


def test_without_signatures_a_manifest_is_the_event() -> None:
    """So the version before reads it."""
    chunk = EXAMPLES["chunk-complete"]
    assert isinstance(chunk, ChunkComplete)
    assert encode_manifest(Manifest.of(chunk, [])) == encode(chunk)
    assert parse_manifest(encode(chunk)).chunk == chunk


def test_what_was_signed_is_taken_from_an_objects_metadata() -> None:
    event = filmed()[1]
    ref = FragmentRef.of(event)
    metadata = {**event.metadata(), "signature": DEVICE.sign(encode(event))}
    assert signed_notice(metadata, ref) == signed(event)
    assert signed_notice(event.metadata(), ref) is None
    assert signed_notice(metadata, ref.model_copy(update={"sha256": "0" * 64})) is None
    assert signed_notice({**metadata, "colour": "red"}, ref) is None
    assert signed_notice({**metadata, "signature": "x" * 401}, ref) is None

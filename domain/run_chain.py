"""Proves that a run is unbroken: each fragment is signed, and names the hash of the one before.

    seq        0        1        2             4
    sha256     a        b        c             e
    names      –        a ✓      b ✓           d ✗ hole: 3 is missing

Fragments may come in any order. Kept are only those whose neighbour has not come yet.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from domain.device_identity import Device, SignatureError, check_signature
from domain.events import FragmentRef
from domain.identity import site_of
from domain.manifests import SignedNotice

ChainFaultKind = Literal["signature-missing", "signature-wrong", "chain-broken", "chain-hole"]


@dataclass(frozen=True, slots=True)
class ChainFault:
    """What a chain does not prove."""

    kind: ChainFaultKind
    seq: int
    """The fragment; of a hole the first that is missing."""
    text: str


@dataclass(slots=True)
class RunChain:
    """The chain of one run, as far as it was read."""

    camera: str
    run: str
    devices: Mapping[str, Device]
    """As `past_devices` returns them."""
    fragments: int = 0
    """How many were read."""
    signers: dict[str, int] = field(default_factory=dict)
    """Device -> how many fragments it signed."""
    _last: dict[int, str] = field(default_factory=dict)
    """Seq -> hash of fragments whose successor has not come yet."""
    _first: dict[int, str | None] = field(default_factory=dict)
    """Seq -> hash that a fragment names whose predecessor has not come yet."""

    def add(self, fragment: FragmentRef, signed: SignedNotice | None) -> Iterator[ChainFault]:
        """Add a fragment; yield what is wrong with its signature, or between it and another."""
        self.fragments += 1
        fault, previous = self._check(fragment, signed)
        if fault is not None:
            yield fault
        seq, sha256 = fragment.seq, fragment.sha256
        if (before := self._last.pop(seq - 1, None)) is not None:
            yield from self._link(seq, before, previous)
        else:
            self._first[seq] = previous
        if seq + 1 in self._first:
            yield from self._link(seq + 1, sha256, self._first.pop(seq + 1))
        else:
            self._last[seq] = sha256

    def holes(self, *, from_start: bool, last_seq: int | None = None) -> Iterator[ChainFault]:
        """Yield what is missing, once all is read.

        `from_start`: the run was read from its start. `last_seq`: of its end, if that is known.
        """
        ends = sorted(self._last)
        for at, seq in enumerate(sorted(self._first)):
            first = ends[at - 1] + 1 if at else 0
            if seq > first and (at or from_start):
                names = self._first[seq]
                text = f"fragments {first} to {seq - 1} are in no chunk"
                if names is not None:
                    text += f"; fragment {seq} follows one with the SHA-256 {names}"
                yield ChainFault("chain-hole", first, text)
        if last_seq is not None and ends and ends[-1] < last_seq:
            text = f"fragments {ends[-1] + 1} to {last_seq} are in no chunk; the run ended then"
            yield ChainFault("chain-hole", ends[-1] + 1, text)

    def _link(self, seq: int, before: str, named: str | None) -> Iterator[ChainFault]:
        if named is None:
            text = f"fragment {seq} does not name the fragment before"
            yield ChainFault("chain-broken", seq, text)
        elif named != before:
            text = f"fragment {seq} names {named} as the one before, but that is {before}"
            yield ChainFault("chain-broken", seq, text)

    def _check(
        self, fragment: FragmentRef, signed: SignedNotice | None
    ) -> tuple[ChainFault | None, str | None]:
        """Return what is wrong with a signature, and the hash that the fragment names."""
        seq = fragment.seq
        if signed is None:
            return ChainFault("signature-missing", seq, "no device signed this fragment"), None
        event = signed.event
        if event is None or (event.camera, event.run, event.seq, event.sha256) != (
            self.camera, self.run, seq, fragment.sha256,
        ):  # fmt: skip
            return ChainFault("signature-wrong", seq, "another fragment was signed"), None
        try:
            found = check_signature(
                signed.signature,
                signed.notice.encode(),
                site_of(self.camera),
                self.devices,
                "refuse",
            )
        except SignatureError as error:
            return ChainFault("signature-wrong", seq, str(error)), event.prev_sha256
        assert found is not None
        self.signers[found.device] = self.signers.get(found.device, 0) + 1
        return None, event.prev_sha256


def past_devices(devices: Mapping[str, Device]) -> dict[str, Device]:
    """Return the devices as they signed: a lock is of today. A revoked key never counts."""
    return {
        name: replace(device, state="enrolled") if device.state == "locked" else device
        for name, device in devices.items()
    }

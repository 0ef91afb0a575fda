"""Checks the signatures and the chain of hashes of a camera's footage, by the manifests in S3."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

from pydantic import ValidationError

from agents.consistency.check import CameraCheck
from domain.consistency import Inconsistency, manifest_fault
from domain.device_identity import Device
from domain.errors import ObjectMissingError
from domain.identity import run_started_ms
from domain.manifests import Manifest
from domain.run_chain import ChainFault, RunChain
from stores import bucket_listing
from stores.object_info import ObjectInfo
from stores.stored_fragment import stored_run_end
from stores.stored_manifest import read_manifest


class ChainChecker:
    """Checks one camera. It reads each manifest, and no video: each fragment's hash is in there."""

    def __init__(self, check: CameraCheck, devices: Mapping[str, Device]) -> None:
        """`devices`: see domain.run_chain.past_devices."""
        self._check = check
        self._devices = devices
        self.chains: dict[str, RunChain] = {}
        """By run."""

    async def findings(self) -> AsyncIterator[Inconsistency]:
        """Yield what the signatures and the chains of the chunks in the scope do not prove."""
        check = self._check
        scope = check.scope
        days = await bucket_listing.chunk_days(
            check.store, check.camera, scope.from_ms, scope.to_ms
        )
        for day_ms in sorted(days):
            async for group in bucket_listing.objects_by_window(check.store, check.camera, day_ms):
                for manifest in await self._current(group):
                    if not scope.from_ms <= manifest.window_start_ms < scope.to_ms:
                        continue
                    # A thread: a signature takes 0.1 ms, and a manifest may have 5,000.
                    for fault in await asyncio.to_thread(self._add, manifest):
                        yield self._finding(manifest.run, fault, manifest.start_ms)
        for run, chain in sorted(self.chains.items()):
            end = None
            if scope.to_ms > check.grace.now_ms:
                end = await stored_run_end(check.store, check.camera, run, check.signatures)
            for fault in chain.holes(
                from_start=run_started_ms(run) >= scope.from_ms,
                last_seq=None if end is None else end.last_seq,
            ):
                yield self._finding(run, fault, run_started_ms(run))

    async def _current(self, group: Sequence[ObjectInfo]) -> list[Manifest]:
        """Return the newest manifest of each run and length of a window."""
        newest: dict[tuple[str, int], Manifest] = {}
        for info in group:
            if not info.key.endswith(".json"):
                continue
            try:
                manifest = await read_manifest(self._check.store, info.key)
            except (ValidationError, ObjectMissingError):
                continue  # reported as unreadable
            known = newest.get((manifest.run, manifest.window_ms))
            if manifest_fault(info.key, manifest) is None and (
                known is None or known.revision < manifest.revision
            ):
                newest[manifest.run, manifest.window_ms] = manifest
        return list(newest.values())

    def _add(self, manifest: Manifest) -> list[ChainFault]:
        chain = self.chains.setdefault(
            manifest.run, RunChain(manifest.camera, manifest.run, self._devices)
        )
        signed = {each.seq: each for each in manifest.signed}
        return [
            fault
            for fragment in manifest.fragments
            for fault in chain.add(fragment, signed.get(fragment.seq))
        ]

    def _finding(self, run: str, fault: ChainFault, at_ms: int) -> Inconsistency:
        return Inconsistency(
            fault.kind, self._check.camera, fault.text, run=run, seq=fault.seq, at_ms=at_ms
        )

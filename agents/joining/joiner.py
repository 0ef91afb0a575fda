"""The joiner: the fragments of one run in one window become one object, with its manifest.

Memory is bounded, however long the chunk is (docs/design/join.md). A few fragments are read ahead.
One part of at least 5 MiB is uploaded to S3 while the next part fills up (double buffering).
The object's name follows from its fragments, so joining twice writes the same object.
"""

import asyncio
import hashlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias, cast, get_args

from pydantic import ValidationError

from agents.joining.join_errors import (
    FragmentsLeftOutError,
    MisreportedFragmentError,
    NothingInWindowError,
    NothingToJoinError,
    WindowDeletedError,
    report_left_out,
    unreadable_reason,
)
from agents.joining.read_ahead import read_ahead
from domain.chunks import (
    digest_of,
    doubtful_times,
    merged_forms,
    merged_fragments,
    remaining_gaps,
    with_filled_gaps,
    with_forms,
)
from domain.errors import IntegrityError, ObjectExistsError
from domain.events import (
    ChunkComplete,
    ChunkDue,
    FragmentArrived,
    FragmentRef,
    Gap,
    Keyframe,
    ManifestFragment,
    VideoForm,
)
from domain.events.fragments import AudioCodec, VideoCodec
from domain.identity import chunk_key, fragment_key, manifest_key, window_prefix
from domain.manifests import Manifest, SignedNotice, encode_manifest, signed_notice
from domain.retention import SHORTEST_AGE_MS
from domain.seqs import SeqRanges
from media.keyframes import VideoIndex, index_video
from stores.catalog import Catalog
from stores.catalog.tombstones import fragments_in_chunks, window_deleted
from stores.objects import ObjectStore
from stores.stored_fragment import ObjectSignatures, stored_fragment
from stores.stored_manifest import read_manifest, replace_manifest

log = logging.getLogger(__name__)
MIN_DELETED_AGE_MS = SHORTEST_AGE_MS // 2
"""Retention cannot have deleted a younger window. Half the shortest age allows for wrong clocks."""
MAX_KEYFRAMES = 1_000
"""Keyframes of one fragment in a manifest."""
HASH_BYTES = 256 << 10
"""So many bytes are hashed at once: they stay in the CPU's cache for the second hash."""


@dataclass
class _ChunkContents:
    """What was streamed to S3 so far."""

    sha256: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    size_bytes: int = 0
    fragments: list[ManifestFragment] = field(default_factory=list)
    codecs: dict[int, tuple[VideoCodec, AudioCodec | None]] = field(default_factory=dict)
    """Seq -> the codecs of the fragment's bytes, where all of them are known."""
    signed: dict[int, SignedNotice] = field(default_factory=dict)
    """By seq: what a device signed of a fragment."""

    def add(self, fragment: FragmentRef, data: memoryview) -> None:
        """Verify and index a fragment, and hash it as a part of the chunk: one pass over its bytes.

        Blocks; call it in a thread. Raises IntegrityError where its SHA-256 is not the announced
        one, MediaError where it is not a video. Then the chunk's hash is wrong, and the chunk must
        be abandoned.
        """
        sha256 = hashlib.sha256()
        for at in range(0, len(data), HASH_BYTES):
            piece = data[at : at + HASH_BYTES]
            sha256.update(piece)
            self.sha256.update(piece)  # while the piece is in the CPU's cache
        if sha256.hexdigest() != fragment.sha256:
            raise IntegrityError(f"fragment {fragment.seq} does not have the expected SHA-256.")
        frame_index = index_video(data, near_pts=fragment.start_pts)
        self.fragments.append(
            ManifestFragment(
                **fragment.model_dump(include=set(FragmentRef.model_fields)),
                offset=self.size_bytes,
                frames=frame_index.frames,
                keyframes=_limit_keyframes(frame_index.keyframes),
            )
        )
        if (codecs := _codecs(frame_index)) is not None:
            self.codecs[fragment.seq] = codecs
        self.size_bytes += len(data)

    def true_forms(self, reported: Mapping[int, VideoForm]) -> dict[int, VideoForm]:
        """Return the formats of the fragments by seq: the bytes decide about the codecs."""
        forms = {}
        for seq in (each.seq for each in self.fragments):
            form = forms[seq] = reported[seq]
            video, audio = self.codecs.get(seq, (form.video_codec, form.audio_codec))
            if (video, audio) != (form.video_codec, form.audio_codec):
                forms[seq] = form.model_copy(update={"video_codec": video, "audio_codec": audio})
        return forms


def _codecs(found: VideoIndex) -> tuple[VideoCodec, AudioCodec | None] | None:
    """Return the codecs that the bytes name; None where an event cannot name them."""
    video, audio = found.video_codec, found.audio_codec
    if video in get_args(VideoCodec) and (audio is None or audio in get_args(AudioCodec)):
        return cast(VideoCodec, video), cast("AudioCodec | None", audio)
    return None


ReadFragment: TypeAlias = Callable[[str, int | None, FragmentRef], Awaitable[memoryview]]
"""Returns a fragment's bytes, given an object, and the offset there if that is a chunk.

It checks their number, not their SHA-256. Raises IntegrityError, ObjectMissingError, StoreError.
"""


class Joiner:
    """Makes chunks in one bucket. `clock_ms` returns UTC in milliseconds."""

    def __init__(
        self,
        store: ObjectStore,
        clock_ms: Callable[[], int],
        catalog: Callable[[], Awaitable[Catalog]] | None = None,
        *,
        read: ReadFragment | None = None,
        signatures: ObjectSignatures | None = None,
        signed: Mapping[tuple[str, int], SignedNotice] = MappingProxyType({}),
    ) -> None:
        """`catalog` opens the catalog, which knows deleted windows. Without it, none is known.

        `read` reads a fragment's bytes; by default from the bucket. `signatures` says which
        objects may correct a notice. `signed`: by run and seq, what was signed of fragments that
        `read` does not read from their own objects.
        """
        self._signatures = signatures
        self._signed = signed
        self._store = store
        self._read = read
        self._clock_ms = clock_ms
        self._catalog = catalog
        self.misplaced: list[FragmentArrived] = []
        """Fragments of the newest join that, by S3, belong to other windows: to be joined there."""

    async def join(self, due: ChunkDue) -> ChunkComplete:
        """Write the chunk and its manifest to S3; return the `chunk-complete` event.

        A fragment that fails its hash, or whose time is wrong, is joined as S3 has it. One that
        is not whole there is left out and becomes a gap, as a missing one is.
        Raises StoreError if S3 or the catalog fails: try again.
        Raises NothingToJoinError if no fragment can be read.
        Raises NothingInWindowError if all fragments belong to other windows: see `misplaced`.
        Raises WindowDeletedError if retention deleted the window.
        """
        if await self._is_deleted(due):
            raise WindowDeletedError(f"{due.camera} {due.run} {due.window_start_ms} was deleted.")
        previous = await self._newest_revision(due)
        fragments = merged_fragments(previous, due)
        forms = merged_forms(previous, due)
        left_out: list[Gap] = []
        self.misplaced = []
        misdated = await self._misdated(due, previous, fragments)
        fragments = self._corrected(due, fragments, forms, misdated)
        while fragments:
            digest = digest_of(due.camera, due.run, fragments)
            if previous is not None and previous.digest == digest:
                return await self._without_filled_gaps(previous.chunk)
            try:
                return await self._write_chunk(
                    due, previous, fragments, forms, left_out=left_out, digest=digest
                )
            except FragmentsLeftOutError as failure:
                left_out += report_left_out(due, fragments, failure.reasons)
                fragments = [each for each in fragments if each.seq not in failure.reasons]
                fragments = self._corrected(due, fragments, forms, failure.stored)
        if self.misplaced and not left_out:
            raise NothingInWindowError(f"{due.camera} {due.run} {due.window_start_ms} is empty.")
        raise NothingToJoinError(due, left_out, self._clock_ms())

    async def _misdated(
        self, due: ChunkDue, previous: ChunkComplete | None, fragments: Sequence[FragmentRef]
    ) -> dict[int, FragmentArrived]:
        """Return what S3 says about new fragments whose times are doubtful, where it differs.

        A HEAD for each doubtful one.
        """
        joined = {each.seq for each in previous.fragments} if previous is not None else set()
        found = {}
        for fragment in doubtful_times(fragments) if fragments else []:
            if fragment.seq not in joined:
                key = fragment_key(due.camera, due.run, fragment.seq)
                event = await stored_fragment(self._store, key, self._signatures)
                if event is not None and FragmentRef.of(event) != fragment:
                    found[fragment.seq] = event
        return found

    def _corrected(
        self,
        due: ChunkDue,
        fragments: Sequence[FragmentRef],
        forms: dict[int, VideoForm],
        stored: dict[int, FragmentArrived],
    ) -> list[FragmentRef]:
        """Return the fragments as S3 has them. Those of other windows go to `misplaced`.

        Corrects `forms`, too.
        """
        corrected = []
        end_ms = due.window_start_ms + due.window_ms
        for fragment in fragments:
            event = stored.get(fragment.seq)
            if event is None:
                corrected.append(fragment)
            elif due.window_start_ms <= event.start_ms < end_ms:
                corrected.append(FragmentRef.of(event))
                forms[event.seq] = VideoForm.of(event)
            else:
                self.misplaced.append(event)
        return corrected

    async def _is_deleted(self, due: ChunkDue) -> bool:
        """Return whether retention deleted the window. Only old windows need the catalog."""
        too_young = due.window_start_ms + due.window_ms + MIN_DELETED_AGE_MS > self._clock_ms()
        if self._catalog is None or too_young:
            return False
        catalog = await self._catalog()
        return await window_deleted(catalog, due.camera, due.run, due.window_start_ms)

    async def _newest_revision(self, due: ChunkDue) -> Manifest | None:
        """Return the manifest of the newest revision in S3, or None."""
        prefix = window_prefix(due.camera, due.run, due.window_start_ms, due.window_ms)
        newest: Manifest | None = None
        async for info in self._store.list(prefix):
            if info.key.endswith(".json"):
                manifest = await self._read_manifest(info.key)
                if manifest and (newest is None or manifest.revision > newest.revision):
                    newest = manifest
        return newest

    async def _read_manifest(self, key: str) -> Manifest | None:
        try:
            return await read_manifest(self._store, key)
        except ValidationError as error:
            log.error("manifest unreadable: %s", error, extra={"key": key})
            return None

    async def _write_chunk(
        self,
        due: ChunkDue,
        previous: Manifest | None,
        fragments: Sequence[FragmentRef],
        forms: Mapping[int, VideoForm],
        *,
        left_out: list[Gap],
        digest: str,
    ) -> ChunkComplete:
        key = chunk_key(due.camera, due.run, due.window_start_ms, due.window_ms, digest)
        contents = _ChunkContents()
        if previous is not None:
            contents.signed = {each.seq: each for each in previous.signed}
        async with aclosing(self._stream(due, previous, fragments, contents)) as parts:
            size_bytes = sum(fragment.size_bytes for fragment in fragments)
            await self._store.put_stream(key, parts, size_bytes=size_bytes)
        version, form, joined = with_forms(contents.fragments, contents.true_forms(forms))
        complete = ChunkComplete(
            version=version,
            camera=due.camera,
            run=due.run,
            window_start_ms=due.window_start_ms,
            window_ms=due.window_ms,
            revision=previous.revision + 1 if previous is not None else 1,
            digest=digest,
            object_key=key,
            size_bytes=contents.size_bytes,
            sha256=contents.sha256.hexdigest(),
            start_ms=min(each.start_ms for each in contents.fragments),
            end_ms=max(each.start_ms + each.duration_ms for each in contents.fragments),
            reason=due.reason,
            **form.model_dump(),
            fragments=joined,
            gaps=remaining_gaps(previous, due, contents.fragments, left_out),
            joined_ms=self._clock_ms(),
        )
        return await self._write_manifest(Manifest.of(complete, contents.signed.values()))

    async def _without_filled_gaps(self, chunk: ChunkComplete) -> ChunkComplete:
        """Return the chunk, as a new revision where other chunks of its run fill some of its gaps.

        The bytes stay, and with them the names: the manifest is replaced.
        """
        if self._catalog is None or not chunk.gaps:
            return chunk
        missing = SeqRanges((gap.first_seq, gap.last_seq) for gap in chunk.gaps)
        held = fragments_in_chunks(await self._catalog(), chunk.camera, chunk.run, missing)
        changed = with_filled_gaps(chunk, [each async for each in held])
        if changed is not chunk:
            await replace_manifest(self._store, changed)
        return changed

    async def _write_manifest(self, manifest: Manifest) -> ChunkComplete:
        """Write the manifest once; return its event. If the chunk already has one, it is that."""
        key = manifest_key(manifest.object_key)
        data = encode_manifest(manifest)
        try:
            await self._store.put_once(
                key,
                data,
                sha256=hashlib.sha256(data).hexdigest(),
                metadata={},
                content_type="application/json",
            )
        except ObjectExistsError:
            if (existing := await self._read_manifest(key)) is not None:
                return existing.chunk
            raise
        return manifest.chunk

    async def _stream(
        self,
        due: ChunkDue,
        previous: ChunkComplete | None,
        fragments: Sequence[FragmentRef],
        contents: _ChunkContents,
    ) -> AsyncGenerator[memoryview, None]:
        """Yield the fragments' bytes. Raises FragmentsLeftOutError with all unreadable ones."""
        reads = read_ahead(
            fragments,
            lambda fragment: self._read_fragment(due, previous, fragment, contents),
            lambda fragment: fragment.size_bytes,
        )
        unreadable: dict[int, str] = {}
        stored: dict[int, FragmentArrived] = {}
        async with aclosing(reads):
            async for fragment, reading in reads:
                adding = self._add_fragment(due, previous, fragment, reading, contents)
                try:
                    if (reason := await unreadable_reason(adding)) is not None:
                        unreadable[fragment.seq] = reason
                except MisreportedFragmentError as error:
                    stored[fragment.seq] = error.stored
                if unreadable or stored:
                    # This object will not be completed. Continue only to find all unreadable
                    # fragments, so that the next attempt leaves them out at once.
                    continue
                yield await reading
        if unreadable or stored:
            raise FragmentsLeftOutError(unreadable, stored)

    async def _read_fragment(
        self,
        due: ChunkDue,
        previous: ChunkComplete | None,
        fragment: FragmentRef,
        contents: _ChunkContents,
    ) -> memoryview:
        """Return a fragment's bytes, and keep what a device signed of it."""
        key, first = _place_of(due, previous, fragment)
        signed = self._signed.get((due.run, fragment.seq))
        if self._read is not None:
            data = await self._read(key, first, fragment)
        elif first is not None:
            return await self._store.read(key, size_bytes=fragment.size_bytes, first=first)
        else:
            data, metadata = await self._store.read_with_metadata(
                key, size_bytes=fragment.size_bytes
            )
            signed = signed_notice(metadata, fragment)
        if signed is not None:
            contents.signed[fragment.seq] = signed
        return data

    async def _add_fragment(
        self,
        due: ChunkDue,
        previous: ChunkComplete | None,
        fragment: FragmentRef,
        reading: Awaitable[memoryview],
        contents: _ChunkContents,
    ) -> None:
        """Verify a fragment, and add it to the contents. Raises MisreportedFragmentError."""
        try:
            await asyncio.to_thread(contents.add, fragment, await reading)
        except IntegrityError:
            # The notice may be wrong, not the bytes: S3 has the last word.
            key, first = _place_of(due, previous, fragment)
            event = None
            if first is None:
                event = await stored_fragment(self._store, key, self._signatures)
            if event is None or FragmentRef.of(event) == fragment:
                raise
            raise MisreportedFragmentError(event) from None


def _limit_keyframes(keyframes: Sequence[Keyframe]) -> list[Keyframe]:
    """Return at most MAX_KEYFRAMES, evenly spaced: some cameras send only keyframes."""
    return list(keyframes[:: -(-len(keyframes) // MAX_KEYFRAMES) or 1])


def _place_of(
    due: ChunkDue, previous: ChunkComplete | None, fragment: FragmentRef
) -> tuple[str, int | None]:
    """Return the object that has a fragment, and its offset there; None: the object is its own.

    The previous revision is read if it has the fragment: the fragment's object may be deleted.
    """
    if previous is not None:
        for entry in previous.fragments:
            if entry.seq == fragment.seq:
                return previous.object_key, entry.offset
    return fragment_key(due.camera, due.run, fragment.seq), None

"""The footage in the spool, read alongside the spool's thread. Blocking, no locks.

The journal is opened read-only for each question. SQLite's WAL lets readers work in parallel with
the spool's thread. A disk that was swapped is simply opened again.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from domain.errors import MediaError
from domain.unset_clock import FIRST_TRUE_RUN
from edge_bridge.config.inference import Mask
from edge_bridge.spool.files import FragmentFiles
from edge_bridge.spool.journal_file import JOURNAL_ERRORS
from media.remux import mp4
from media.thumbnail import jpeg
from vision.privacy import black_out

MAX_SPAN_MS = 86_400_000
"""Longest time that `spans` covers."""
MAX_CLIP_MS = 600_000
"""Longest clip that is played at once."""
JOIN_MS = 1_000
"""Fragments with a smaller gap than this are one span."""
_MAX_FRAGMENT_MS = 65_000
_HAS_KEYFRAME = "coalesce(json_array_length(event, '$.keyframes'), 1) > 0"
_ON_DISK = "state IN (0, 1, 2) AND camera = ? AND size > 0 AND run >= ?"


@dataclass(frozen=True, slots=True)
class StoredFragment:
    """A fragment on the disk."""

    camera: str
    run: str
    seq: int
    start_ms: int
    end_ms: int
    size: int


class SpoolFootage:
    """The footage in one spool's folder."""

    def __init__(
        self, folder: Path, masks_of: Callable[[str], Sequence[Mask]] = lambda _: ()
    ) -> None:
        """`masks_of`: the privacy masks of a camera, by its full id; black in pictures."""
        self._masks_of = masks_of
        self._journal = folder / "journal.db"
        self._files = FragmentFiles(folder / "fragments")

    def newest(self, camera: str) -> StoredFragment | None:
        """Return a camera's newest fragment, None where there is none. Raises MediaError."""
        found = self._query(f"{_ON_DISK} ORDER BY start_ms DESC LIMIT 1", camera)
        return found[0] if found else None

    def spans(self, camera: str, from_ms: int, to_ms: int) -> list[tuple[int, int]]:
        """Return the spans (start, end; UTC ms) with footage in that time, oldest first."""
        from_ms = max(from_ms, to_ms - MAX_SPAN_MS)
        spans: list[tuple[int, int]] = []
        for each in self._between(camera, from_ms, to_ms):
            if spans and each.start_ms <= spans[-1][1] + JOIN_MS:
                spans[-1] = (spans[-1][0], max(spans[-1][1], each.end_ms))
            else:
                spans.append((each.start_ms, each.end_ms))
        return spans

    def clip(self, camera: str, at_ms: int, for_ms: int) -> list[StoredFragment]:
        """Return the fragments of one run from `at_ms` on, or from the next one after it.

        Empty where there is no footage from then on.
        """
        following = self._query(
            f"{_ON_DISK} AND start_ms + json_extract(event, '$.duration_ms') > ? "
            "AND start_ms > ? ORDER BY start_ms LIMIT 1",
            camera,
            at_ms,
            at_ms - _MAX_FRAGMENT_MS,
        )
        if not following:
            return []
        start = max(at_ms, following[0].start_ms)
        found = self._between(camera, start, start + min(for_ms, MAX_CLIP_MS))
        run = following[0].run
        clip = sorted((each for each in found if each.run == run), key=lambda each: each.seq)
        return [*self._lead(clip[0]), *clip] if clip else []

    def _lead(self, first: StoredFragment) -> list[StoredFragment]:
        """Return the fragments before one without a keyframe, from the last keyframe on.

        A camera with few keyframes has such fragments. Empty if a fragment is missing.
        """
        camera, run, seq = first.camera, first.run, first.seq
        keyframe = self._query(
            f"{_ON_DISK} AND run = ? AND seq <= ? AND {_HAS_KEYFRAME} ORDER BY seq DESC LIMIT 1",
            camera,
            run,
            seq,
        )
        if not keyframe or keyframe[0].seq == seq:
            return []
        lead = self._query(
            f"{_ON_DISK} AND run = ? AND seq >= ? AND seq < ? ORDER BY seq",
            camera,
            run,
            keyframe[0].seq,
            seq,
        )
        return lead if len(lead) == seq - keyframe[0].seq else []

    def thumbnail(self, fragment: StoredFragment, width: int) -> bytes:
        """Return a fragment's first frame as JPEG, masked. Raises MediaError.

        It is an earlier one's if the fragment has no keyframe.
        """
        masks = self._masks_of(fragment.camera)
        fragment = next(iter(self._lead(fragment)), fragment)
        return jpeg(self._read(fragment), width, lambda frame: black_out(frame, masks))

    def play(self, clip: list[StoredFragment]) -> Iterator[bytes]:
        """Yield a clip as MP4; it ends early where a fragment was evicted. Raises MediaError."""

        def fragments() -> Iterator[bytes]:
            for fragment in clip:
                try:
                    yield self._read(fragment)
                except MediaError:
                    return

        return mp4(fragments())

    def _read(self, fragment: StoredFragment) -> bytes:
        try:
            return self._files.read(fragment.camera, fragment.run, fragment.seq, fragment.size)
        except OSError as error:
            raise MediaError(f"The fragment cannot be read: {error.strerror}.") from error

    def _between(self, camera: str, from_ms: int, to_ms: int) -> list[StoredFragment]:
        # A fragment may start before the requested time, by no more than its longest duration.
        return self._query(
            f"{_ON_DISK} AND start_ms >= ? AND start_ms < ? "
            "AND start_ms + json_extract(event, '$.duration_ms') > ? ORDER BY start_ms",
            camera,
            from_ms - _MAX_FRAGMENT_MS,
            to_ms,
            from_ms,
        )

    def _query(self, where: str, camera: str, *more: int | str) -> list[StoredFragment]:
        try:
            with contextlib.closing(
                sqlite3.connect(f"{self._journal.as_uri()}?mode=ro", uri=True, timeout=2)
            ) as db:
                rows = db.execute(
                    "SELECT camera, run, seq, start_ms, "  # noqa: S608 - no input is in it
                    "start_ms + json_extract(event, '$.duration_ms'), size "
                    f"FROM fragments WHERE {where}",
                    (camera, FIRST_TRUE_RUN, *more),
                ).fetchall()
        except JOURNAL_ERRORS as error:
            raise MediaError(f"The spool's journal cannot be read: {error}.") from error
        return [StoredFragment(*row) for row in rows]

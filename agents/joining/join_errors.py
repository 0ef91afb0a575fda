"""Why a chunk is not made, or is made without some of its fragments."""

import logging
from collections.abc import Awaitable, Sequence

from domain.errors import IntegrityError, MediaError, ObjectMissingError, StoreError
from domain.events import ChunkDue, FragmentArrived, FragmentRef, Gap, WindowLost
from domain.gaps import BYTES_DIFFER, OBJECT_MISSING

log = logging.getLogger(__name__)
MAX_REASON_CHARS = 500


class FragmentsLeftOutError(StoreError):
    """Some fragments cannot be read as they were announced. The chunk is made without them."""

    def __init__(self, reasons: dict[int, str], stored: dict[int, FragmentArrived]) -> None:
        super().__init__("; ".join(f"fragment {seq}: {why}" for seq, why in reasons.items()))
        self.reasons = reasons
        """Of those that cannot be read at all, by seq."""
        self.stored = stored
        """Of those that are whole in S3, but were announced wrongly: S3's own event, by seq."""


class MisreportedFragmentError(StoreError):
    """A notice was wrong: S3 has the whole fragment, with other bytes."""

    def __init__(self, stored: FragmentArrived) -> None:
        super().__init__(f"fragment {stored.seq} was announced with other bytes than S3 has.")
        self.stored = stored


class NothingInWindowError(StoreError):
    """By S3, all fragments of a window belong to other windows."""


class WindowDeletedError(StoreError):
    """Retention deleted the window. Its chunk must not be made again."""


class NothingToJoinError(StoreError):
    """No fragment of a window can be read. The text gives the reason for each."""

    def __init__(self, due: ChunkDue, gaps: Sequence[Gap], lost_ms: int) -> None:
        super().__init__(
            f"no fragment of {due.camera} {due.run} in window {due.window_start_ms} can be read: "
            + "; ".join(f"{gap.first_seq}: {gap.reason}" for gap in gaps)
        )
        self.lost = WindowLost(
            camera=due.camera,
            run=due.run,
            window_start_ms=due.window_start_ms,
            window_ms=due.window_ms,
            gaps=list(gaps),
            lost_ms=lost_ms,
        )
        """The event to send, so that the catalog shows the gap."""


async def unreadable_reason(reading: Awaitable[object]) -> str | None:
    """Wait for a fragment; return why it cannot be read, or None if it was read.

    Raises MisreportedFragmentError as the reading does.
    """
    try:
        await reading
    except ObjectMissingError:
        return OBJECT_MISSING
    except IntegrityError as error:
        return f"{BYTES_DIFFER}: {error}"
    except MediaError as error:
        return f"it is not a readable video: {error}"
    return None


def report_left_out(
    due: ChunkDue, fragments: Sequence[FragmentRef], reasons: dict[int, str]
) -> list[Gap]:
    """Log the fragments that are left out, and return their gaps."""
    left_out = [each for each in fragments if each.seq in reasons]
    for each in left_out:
        log.warning(
            "fragment left out: %s",
            reasons[each.seq],
            extra={"camera": due.camera, "run": due.run, "seq": each.seq},
        )
    return [_gap(each, reasons[each.seq]) for each in left_out]


def _gap(fragment: FragmentRef, reason: str) -> Gap:
    return Gap(
        from_ms=fragment.start_ms,
        to_ms=fragment.start_ms + fragment.duration_ms,
        first_seq=fragment.seq,
        last_seq=fragment.seq,
        reason=reason[:MAX_REASON_CHARS],
    )

"""Why a chunk is not made, or not of all its fragments."""

import logging
from collections.abc import Awaitable, Sequence

from domain.errors import IntegrityError, MediaError, ObjectMissingError, StoreError
from domain.events import ChunkDue, FragmentRef, Gap, WindowLost
from domain.gaps import OBJECT_MISSING

log = logging.getLogger(__name__)


class LeftOutError(StoreError):
    """Bytes of fragments cannot be had as promised: the chunk is made without them."""

    def __init__(self, reasons: dict[int, str]) -> None:
        super().__init__("; ".join(f"fragment {seq}: {why}" for seq, why in reasons.items()))
        self.reasons = reasons
        """By seq."""


class WindowDeletedError(StoreError):
    """Retention deleted the window: nothing of it may come back."""


class NothingToJoinError(StoreError):
    """None of a window's fragments can be read; the text says why for each."""

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
        """What the catalog is to be told."""


async def unreadable_reason(reading: Awaitable[object]) -> str | None:
    """Wait, and return why a fragment is left out; None where it was read."""
    try:
        await reading
    except ObjectMissingError:
        return OBJECT_MISSING
    except IntegrityError as error:
        return f"its bytes are not those told: {error}"
    except MediaError as error:
        return f"it is no readable video: {error}"
    return None


def told(due: ChunkDue, fragments: Sequence[FragmentRef], reasons: dict[int, str]) -> list[Gap]:
    """Say which fragments are left out, and return their gaps."""
    out = [each for each in fragments if each.seq in reasons]
    for each in out:
        log.warning(
            "fragment left out: %s",
            reasons[each.seq],
            extra={"camera": due.camera, "run": due.run, "seq": each.seq},
        )
    return [_gap_of(each, reasons[each.seq]) for each in out]


def _gap_of(fragment: FragmentRef, reason: str) -> Gap:
    return Gap(
        from_ms=fragment.start_ms,
        to_ms=fragment.start_ms + fragment.duration_ms,
        first_seq=fragment.seq,
        last_seq=fragment.seq,
        reason=reason[:500],
    )

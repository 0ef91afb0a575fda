"""The fence against a stalled worker: no write for partitions that another worker may own now.

A worker may be stopped for longer than its session: a debugger, a paused virtual machine, a disk
that hangs. It loses its partitions without noticing. When it wakes, it has updates in progress
that are older than what the new owner has written since.

    heartbeats   ✓  ✓  ✓                      ✗ unknown member
    this worker  ──────│ stopped ............ │ wakes: holds its writes, is refused, ends
    lease        ━━━━━━━━━━━━━━━━┥            │
    the group                    └ session over, another owns the partitions and writes

The group's coordinator removes a member one session after the last heartbeat it received. The
lease ends one session after that heartbeat was *sent*, so never later than that. Its clock goes
on while the process is stopped and while the machine sleeps.
"""

import time
from collections.abc import Callable

from prometheus_client import Counter

from streams.metrics import REGISTRY
from streams.process_exit import exit_process

WAITING_WRITES = Counter(
    "vigil_writes_held",
    "Requests to write that waited because the group did not confirm the worker in time",
    registry=REGISTRY,
)


def now_s() -> float:
    """Return seconds on a clock that does not stop with the process, nor with the machine."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Fence:
    """Whether this process may write. The consumer's thread informs it, the producer asks it."""

    def __init__(
        self,
        session_s: float,
        rebalance_s: float,
        *,
        clock: Callable[[], float] = now_s,
        end: Callable[[str], object] = exit_process,
    ) -> None:
        self._session_s = session_s
        self._rebalance_s = rebalance_s
        self._clock = clock
        self._end = end
        self._until_s = float("-inf")
        self._confirmed_s = float("-inf")
        self._owning = False
        self.enforced = True

    def now_s(self) -> float:
        """Return the fence's time, to be noted before the group is asked."""
        return self._clock()

    # -- the group's answers

    def confirmed(self, asked_s: float) -> None:
        """The group, asked at `asked_s`, knows this member and its generation."""
        self._confirmed_s = max(self._confirmed_s, asked_s)
        self._until_s = max(self._until_s, asked_s + self._session_s)

    def rebalancing(self, asked_s: float) -> None:
        """The group waits for its members, this one too, but not longer than for a rebalance."""
        until_s = min(asked_s + self._session_s, self._confirmed_s + self._rebalance_s)
        self._until_s = max(self._until_s, until_s)

    def refused(self) -> None:
        """The group knows this member no more: what it has in progress must not be written."""
        if self._owning and self.enforced:
            self._end("This worker's partitions were assigned to others while it was stalled.")

    # -- what this process has

    def own(self) -> None:
        """Partitions were assigned."""
        self._owning = True

    def release(self) -> None:
        """All partitions were given back, and work in progress is done or dropped."""
        self._owning = False

    def may_write(self) -> bool:
        """Say whether no other worker can own the partitions of this worker yet."""
        return not (self._owning and self.enforced) or self._clock() < self._until_s

"""Why a worker had to be ended, and how long to wait before the next."""

import signal

from domain.errors import VigilError

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0


class WorkerFaultError(VigilError):
    """The worker is of no use any more; `reason` is a word for metrics."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def wait_s(faults: int, chance: float) -> float:
    """Return how long to wait after so many faults in a row; `chance` 0..1 spreads it by half."""
    return float(min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(faults - 1, 16)) * (0.5 + chance))


def exit_text(code: int | None) -> str:
    """Say how a process ended."""
    if code is not None and code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return "closed its socket" if code is None else f"ended with code {code}"

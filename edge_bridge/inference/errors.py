"""Why a worker was ended, and how long to wait before the next one."""

import signal

from domain.backoff import CENTRED_JITTER, Backoff
from domain.errors import VigilError

RESTART_BACKOFF = Backoff(first_s=1.0, longest_s=60.0, jitter=CENTRED_JITTER)


class WorkerFaultError(VigilError):
    """The worker cannot be used any more; `reason` is a word for metrics."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def exit_text(code: int | None) -> str:
    """Return how a process ended, in words; None: it still runs."""
    if code is not None and code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return "closed its socket" if code is None else f"ended with code {code}"

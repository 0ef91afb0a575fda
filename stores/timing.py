"""How long calls of outside systems take: told to whom it may concern, by nobody's import.

Whoever counts sets `told` once (streams/metrics.py does); until then nobody is told.
"""

from collections.abc import Callable

CallListener = Callable[[str, str, str, float], None]
"""Called with system (s3, sqs, postgresql), operation, outcome (ok, failed) and seconds."""


def _no_listener(_system: str, _operation: str, _outcome: str, _seconds: float) -> None:
    """Count nothing."""


_listener: CallListener = _no_listener


def record_call(system: str, operation: str, outcome: str, seconds: float) -> None:
    """Tell of one call."""
    _listener(system, operation, outcome, seconds)


def set_listener(told: CallListener) -> None:
    """Let `told` be called after each call from now on; it must be quick and raise nothing."""
    global _listener  # noqa: PLW0603 - one listener a process, as the metrics are
    _listener = told

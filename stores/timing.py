"""Durations of calls to external systems.

This package must not import the metrics. So the process that counts registers a listener once
(streams/metrics.py does).
"""

from collections.abc import Callable

CallListener = Callable[[str, str, str, float], None]
"""Called with system (s3, sqs, postgresql), operation, outcome (ok, failed) and seconds."""


def _no_listener(_system: str, _operation: str, _outcome: str, _seconds: float) -> None:
    """Count nothing."""


_listener: CallListener = _no_listener


def record_call(system: str, operation: str, outcome: str, seconds: float) -> None:
    """Pass one call to the listener."""
    _listener(system, operation, outcome, seconds)


def set_listener(listener: CallListener) -> None:
    """Call `listener` after each call from now on; it must be fast and must not raise."""
    global _listener  # noqa: PLW0603 - one listener in a process, as for the metrics
    _listener = listener

"""Ends the process if continuing could lose an event; a supervisor starts it again."""

import logging
import os
import sys
from collections.abc import Callable

EXIT_FAILURE = 70
"""Exit code of a worker that ended because of a fault; the same as EX_SOFTWARE."""

log = logging.getLogger(__name__)


def exit_process(reason: str, *, leave: Callable[[int], object] = os._exit) -> None:
    """Log why, and end at once, non-zero, without any clean-up that could acknowledge events.

    Work in progress is not committed and comes again. It is the same as after a kill -9, which
    everything here must survive anyway.
    """
    log.critical("%s The process ends; its work in progress is delivered again.", reason)
    for handler in logging.getLogger().handlers:
        handler.flush()
    sys.stdout.flush()
    sys.stderr.flush()
    leave(EXIT_FAILURE)

"""Ends of runs on their way: what an end says is fixed once, then written to S3, then noticed."""

import logging
from collections.abc import Callable

from domain.events import RunEnded
from domain.events.base import MOST_RANGES
from domain.events.registry import encode
from edge_bridge.spool.journal import Journal
from edge_bridge.spool.rows import EndState, SpooledRun

log = logging.getLogger(__name__)


def to_write(
    journal: Journal, limit: int, may_end: Callable[[SpooledRun], bool]
) -> list[tuple[SpooledRun, RunEnded]]:
    """Return runs whose end can be written to S3, each with its event, fixed for good.

    `may_end`: whether all that stands of a run is known.
    """
    out = []
    for run in [run for run in journal.settled_runs() if may_end(run)][:limit]:
        try:
            if run.end_event is None:
                event = _event(journal, run)
                journal.freeze_end(run.run, encode(event).decode())
            else:
                event = RunEnded.model_validate_json(run.end_event)
        except ValueError as error:  # a damaged row must not stop the others' ends
            log.error("the end of run %s cannot be told: %s", run.run, error)
            journal.set_end_state(run.run, EndState.NOTICED)
            continue
        out.append((run, event))
    return out


def to_notice(journal: Journal) -> list[tuple[str, bytes]]:
    """Return run and event of the ends that stand in S3 and whose notice is due."""
    return [
        (run.run, run.end_event.encode())
        for run in journal.runs(EndState.WRITTEN)
        if run.end_event is not None
    ]


def written(journal: Journal, run: str, event: RunEnded | None) -> None:
    """Note that a run's end.json stands; `event`: what it says where it stood before."""
    with journal.transaction():
        if event is not None:
            journal.freeze_end(run, encode(event).decode())
        journal.set_end_state(run, EndState.WRITTEN)


def _event(journal: Journal, run: SpooledRun) -> RunEnded:
    return RunEnded(
        camera=run.camera,
        run=run.run,
        ended_ms=run.ended_ms or run.last_ms,
        last_seq=run.last_seq,
        reason=run.reason or "unknown",
        # More than an event may say: the cloud then learns of the rest by waiting.
        given_up=list(journal.given_up(run.run).ranges)[:MOST_RANGES],
    )

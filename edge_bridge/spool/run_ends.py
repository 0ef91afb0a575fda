"""Ends of runs: what an end says is fixed once, then written to S3, then sent as a notice."""

import logging
from collections.abc import Callable

from domain.events import RunEnded
from domain.events.base import MAX_RANGES
from domain.events.registry import encode
from edge_bridge.spool.journal import Journal
from edge_bridge.spool.rows import EndState, SpooledRun

log = logging.getLogger(__name__)


def to_write(
    journal: Journal, limit: int, is_complete: Callable[[SpooledRun], bool]
) -> list[tuple[SpooledRun, RunEnded]]:
    """Return runs whose end can be written to S3, each with its event, which never changes again.

    `is_complete`: whether all fragments of a run are known.
    """
    out = []
    for run in [run for run in journal.settled_runs() if is_complete(run)][:limit]:
        try:
            if run.end_event is None:
                event = _event(journal, run)
                journal.freeze_end(run.run, encode(event).decode())
            else:
                event = RunEnded.model_validate_json(run.end_event)
        except ValueError as error:  # a damaged row must not stop the ends of other runs
            log.error("the end of run %s is damaged and is not sent: %s", run.run, error)
            journal.set_end_state(run.run, EndState.NOTICED)
            continue
        out.append((run, event))
    return out


def to_notice(journal: Journal) -> list[tuple[str, bytes]]:
    """Return run and event of the ends that are in S3 and whose notice is due."""
    return [
        (run.run, run.end_event.encode())
        for run in journal.runs(EndState.WRITTEN)
        if run.end_event is not None
    ]


def written(journal: Journal, run: str, event: RunEnded | None) -> None:
    """Record that a run's end.json is in S3; `event`: its content, where it was there before."""
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
        # There may be more than an event may list: the cloud then waits for those without success.
        given_up=list(journal.given_up(run.run).ranges)[:MAX_RANGES],
    )

"""What a start makes of whatever a crash left. Doing it twice is doing it once.

half-written file           removed: it was the fragment being written
file without a row          taken in where it is whole, set aside and said where not
row `stored`, no file       given up
row `noticed`, no file      forgotten: it was being freed
row given up, with a file   its file is removed
open run                    ended: "edge restarted"
"""

import logging
from collections.abc import Collection

from domain.errors import MediaError
from domain.events import FragmentArrived, RunStarted
from domain.events.registry import encode
from domain.identity import FragmentId, parse_fragment_key, run_started_ms
from domain.unset_clock import is_held
from edge_bridge import metrics
from edge_bridge.spool.files import FoundFile, FragmentFiles
from edge_bridge.spool.held_rows import HELD
from edge_bridge.spool.journal import Journal
from edge_bridge.spool.loss_rows import loss_of
from edge_bridge.spool.rows import EndState, FragmentRow, State

log = logging.getLogger(__name__)

RESTARTED = "edge restarted"


def recover(files: FragmentFiles, journal: Journal, edge: str, live: Collection[str] = ()) -> None:
    """Bring files and rows together, and end the runs that a crash left open, not the `live`.

    Run by run: what is held in memory at a time is one run. Raises ValueError or sqlite3.Error
    where the journal cannot be read.
    """
    cameras: dict[str, list[str]] = {}
    for camera, run in files.runs():
        if _is_fragment_of(camera, run):
            cameras.setdefault(run, []).append(camera)
    for run in {*cameras, *journal.runs_of_fragments()}:
        try:
            _bring_together(run, cameras.get(run, []), files, journal, edge)
        except OSError as error:
            log.error("run %s is left as it is: %s", run, error)
    for ended in journal.runs(EndState.OPEN):
        if ended.run in live:
            continue
        journal.end_run(ended.run, ended.last_ms, RESTARTED)
        log.info("run ended: %s", RESTARTED, extra={"camera": ended.camera, "run": ended.run})
    journal.forget_runs()


def _bring_together(
    run: str, cameras: Collection[str], files: FragmentFiles, journal: Journal, edge: str
) -> None:
    rows = {one: (state, size) for one, state, size in journal.rows_of(run)}
    for camera in cameras:
        for seq in sorted(files.seqs(camera, run)):
            one = FragmentId(camera, run, seq)
            row = rows.pop(one, None)
            if row is None:
                _take_in(FoundFile(files.path(camera, run, seq), one), files, journal, edge)
            elif row[0] is State.GIVEN_UP:
                files.remove(camera, run, seq)
    for one, (state, size) in rows.items():
        _without_file(one, state, size, journal)


def _is_fragment_of(camera: str, run: str) -> bool:
    return parse_fragment_key(f"fragments/{camera}/{run}/00000000.ts") is not None


def _take_in(found: FoundFile, files: FragmentFiles, journal: Journal, edge: str) -> None:
    where = {"camera": found.id.camera, "run": found.id.run, "seq": found.id.seq}
    try:
        event = files.inspect(found.path)
        if (event.camera, event.run, event.seq) != tuple(where.values()):
            raise MediaError(f"{found.path} is another fragment than its name says")
    except MediaError as error:
        log.error("%s; it is set aside as %s", error, files.set_aside(found.path), extra=where)
        return
    with journal.together():
        if journal.put_run(event.run, event.camera):
            kind = HELD + "run-started" if is_held(event.run) else "run-started"
            journal.put_message(kind, encode(_started(event, edge)))
        text = encode(event).decode()
        row = FragmentRow(
            event.camera, event.run, event.seq, event.start_ms, event.size_bytes, text, State.STORED
        )
        journal.put_fragment(row, event.end_ms)
    log.info("a fragment without a row is taken in", extra=where)


def _without_file(one: FragmentId, state: State, size: int, journal: Journal) -> None:
    if state is State.STORED:
        log.error(
            "a fragment's file is gone: it is given up",
            extra={"camera": one.camera, "run": one.run, "seq": one.seq},
        )
        row = journal.fragment(one.run, one.seq)
        with journal.together():
            journal.set_state([one], State.GIVEN_UP)
            journal.without_file(one)
            if row is not None:
                journal.losses.add(loss_of(row, "file gone", row.start_ms))
        metrics.GIVEN_UP.labels(one.camera, "file gone").inc()
    elif state is State.NOTICED:
        journal.drop_fragment(one)
    elif size:
        journal.without_file(one)


def _started(event: FragmentArrived, edge: str) -> RunStarted:
    started_ms = event.start_ms if event.seq == 0 else run_started_ms(event.run)
    return RunStarted(camera=event.camera, run=event.run, started_ms=started_ms, edge=edge)

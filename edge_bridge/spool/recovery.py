"""What a start makes of whatever a crash left. Doing it twice is doing it once.

half-written file           removed: it was the fragment being written
file without a row          taken in where it is whole, set aside and said where not
row `stored`, no file       given up
row `noticed`, no file      forgotten: it was being freed
row given up, with a file   its file is removed
open run                    ended: "edge restarted"

It goes on beside recording, a little at a time, so that nothing waits for it however much is there:

    each camera's runs, by name   names of files, then rows beside them, a page of each at a time
    then runs without a folder    rows alone
    then runs that are open       ended, unless they were begun or go on since

What a page makes suspect is looked at once more before anything is done to it, for the spool's
other work goes on in between. The end of a run is told once its files were looked at.
"""

import logging
import time
from array import array
from bisect import bisect_right
from collections.abc import Callable, Collection, Generator

from domain.errors import MediaError
from domain.events import FragmentArrived, RunStarted
from domain.events.registry import encode
from domain.identity import FragmentId, parse_fragment_key, run_started_ms
from domain.unset_clock import is_held
from edge_bridge import metrics
from edge_bridge.spool.files import FragmentFile, FragmentFiles
from edge_bridge.spool.journal import Journal
from edge_bridge.spool.loss_rows import loss_of
from edge_bridge.spool.rows import EndState, FragmentState, SpooledFragment, SpooledRun
from edge_bridge.spool.undated_rows import UNDATED_PREFIX

log = logging.getLogger(__name__)

RESTARTED = "edge restarted"
PAGE = 250
"""Names, and rows, that are compared at a time."""
_NAMES = 2_000
"""Names of a folder that are read at a time."""
_WITH_FILE = (FragmentState.STORED, FragmentState.NOTICED)
"""A row in one of them has a file, whatever its size says, or has to change."""


class SpoolRecovery:
    """Brings files and rows together; all of it belongs to the spool's thread.

    In memory are the names of one run's files (8 bytes each), of one camera's runs, and a page.
    """

    def __init__(
        self,
        files: FragmentFiles,
        journal: Journal,
        edge: str,
        live: Collection[str] = (),
        steady_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`live` runs go on: they are not ended."""
        self._files, self._journal, self._edge, self._steady_s = files, journal, edge, steady_s
        self._live = frozenset(live)
        self._new: set[str] = set()
        self._at = ("", "")
        """Camera and run that were looked at last; those before them were, too."""
        self._walked = False
        self._work = self._all()
        self.over = False
        """Whether all was looked at."""
        self.stopped = False
        """Whether it was left, or failed."""
        self._looked_at, self._began_s = 0, steady_s()
        self.messages = 0
        """Messages that were put into the outbox, so far."""

    def run_for(self, for_s: float) -> bool:
        """Go on for about so long; True: there is more.

        Raises ValueError or sqlite3.Error where the journal cannot be read; another one has to
        begin anew then.
        """
        if self.stopped:
            return False
        until_s = self._steady_s() + for_s
        try:
            for _ in self._work:
                if self._steady_s() >= until_s:
                    return True
        except BaseException:
            self.stopped = True
            raise
        self.over = True
        if self._looked_at:
            took_s = self._steady_s() - self._began_s
            log.info("%d files in the spool are looked at, %.1f s", self._looked_at, took_s)
        return False

    def stop(self) -> None:
        """Leave it."""
        self.stopped = True
        self._work.close()

    def restart(self) -> "SpoolRecovery":
        """Return one that begins once more."""
        self.stop()
        made = SpoolRecovery(self._files, self._journal, self._edge, self._live, self._steady_s)
        made._new = self._new
        return made

    def begun(self, run: str) -> None:
        """Note a run that began since: it is not ended here."""
        if not self.over:
            self._new.add(run)

    def may_end(self, run: SpooledRun) -> bool:
        """Return whether all that stands of an ended run is known."""
        new = run.run in self._new and run.run not in self._live
        return self._walked or new or (run.camera, run.run) <= self._at

    def _all(self) -> Generator[None, None, None]:
        for camera in self._files.cameras():
            for run in self._files.runs_of(camera):
                if _is_fragment_of(camera, run):
                    yield from self._run(camera, run)
                self._at = (camera, run)
                yield
        self._walked = True
        for run in self._journal.runs_with_fragments():
            known = self._journal.run(run)
            if known is None or not self._files.has_run(known.camera, run):
                yield from self._compare("", run, array("L"))
            yield
        for ended in self._journal.runs(EndState.OPEN):
            self._end(ended)
        self._journal.forget_runs()

    def _run(self, camera: str, run: str) -> Generator[None, None, None]:
        try:
            names = array("L")
            for seq in self._files.seqs(camera, run):
                names.append(seq)
                if not len(names) % _NAMES:
                    yield
            self._looked_at += len(names)
            yield from self._compare(camera, run, array("L", sorted(names)))
        except OSError as error:
            log.error("run %s is left as it is: %s", run, error)
        if (known := self._journal.run(run)) is not None and known.end_state is EndState.OPEN:
            self._end(known)

    def _compare(self, camera: str, run: str, names: "array[int]") -> Generator[None, None, None]:
        """Compare names, in order, with a run's rows; mend what differs."""
        at, after = 0, -1
        while True:
            rows = self._journal.rows_of_run(run, after, PAGE)
            ends = [rows[-1][0].seq] if len(rows) == PAGE else []
            if at + PAGE <= len(names):
                ends.append(names[at + PAGE - 1])
            last = min(ends) if ends else None
            to = len(names) if last is None else bisect_right(names, last, at)
            known = {one.seq: state for one, state, _ in rows if one.camera == camera}
            here = names[at:to]
            there = set(here)
            suspects = [
                FragmentId(camera, run, seq)
                for seq in here
                if known.get(seq, FragmentState.GIVEN_UP) is FragmentState.GIVEN_UP
            ]
            suspects += [
                one
                for one, state, size in rows
                if (last is None or one.seq <= last)
                and (size or state in _WITH_FILE)
                and (one.camera != camera or one.seq not in there)
            ]
            yield
            for one in suspects:
                self._compare_one(one)
                yield
            if last is None:
                return
            at, after = to, last

    def _compare_one(self, one: FragmentId) -> None:
        path = self._files.path(one.camera, one.run, one.seq)
        row = self._journal.fragment(one.run, one.seq)
        if row is not None and row.camera != one.camera:
            row = None
        if not path.exists():
            if row is not None:
                self._without_file(row)
        elif row is None:
            self._take_in(FragmentFile(path, one))
        elif row.state is FragmentState.GIVEN_UP:
            self._files.remove(one.camera, one.run, one.seq)

    def _end(self, run: SpooledRun) -> None:
        if run.run in self._live or run.run in self._new:
            return
        self._journal.end_run(run.run, run.last_ms, RESTARTED)
        log.info("run ended: %s", RESTARTED, extra={"camera": run.camera, "run": run.run})

    def _take_in(self, found: FragmentFile) -> None:
        where = {"camera": found.id.camera, "run": found.id.run, "seq": found.id.seq}
        files, journal = self._files, self._journal
        try:
            event = files.inspect(found.path)
            if (event.camera, event.run, event.seq) != tuple(where.values()):
                raise MediaError(f"{found.path} is another fragment than its name says")
        except MediaError as error:
            log.error("%s; it is set aside as %s", error, files.quarantine(found.path), extra=where)
            return
        with journal.transaction():
            if journal.put_run(event.run, event.camera):
                kind = UNDATED_PREFIX + "run-started" if is_held(event.run) else "run-started"
                journal.put_message(kind, encode(_started(event, self._edge)))
                self.messages += 1
            text = encode(event).decode()
            row = SpooledFragment(
                event.camera, event.run, event.seq, event.start_ms, event.size_bytes, text,
                FragmentState.STORED,
            )  # fmt: skip
            journal.put_fragment(row, event.end_ms)
        log.info("a fragment without a row is taken in", extra=where)

    def _without_file(self, row: SpooledFragment) -> None:
        one, journal = row.id, self._journal
        if row.state is FragmentState.STORED:
            log.error(
                "a fragment's file is gone: it is given up",
                extra={"camera": one.camera, "run": one.run, "seq": one.seq},
            )
            with journal.transaction():
                journal.set_state([one], FragmentState.GIVEN_UP)
                journal.without_file(one)
                journal.losses.add(loss_of(row, "file gone", row.start_ms))
            metrics.GIVEN_UP.labels(one.camera, "file gone").inc()
        elif row.state is FragmentState.NOTICED:
            journal.drop_fragment(one)
        elif row.size:
            journal.without_file(one)


def _is_fragment_of(camera: str, run: str) -> bool:
    return parse_fragment_key(f"fragments/{camera}/{run}/00000000.ts") is not None


def _started(event: FragmentArrived, edge: str) -> RunStarted:
    started_ms = event.start_ms if event.seq == 0 else run_started_ms(event.run)
    return RunStarted(camera=event.camera, run=event.run, started_ms=started_ms, edge=edge)

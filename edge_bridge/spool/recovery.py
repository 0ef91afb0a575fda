"""Recovery: what a start does with what a crash left. It may run twice: the result is the same.

    half-written file           deleted: it was the fragment being written
    file without a row          inserted where it is complete, quarantined and logged where not
    row `stored`, no file       given up
    row `noticed`, no file      deleted: an eviction was in progress
    row given up, with a file   the file is removed
    open run                    ended: "edge restarted"

It runs alongside recording, a little at a time, so that nothing waits for it however much there is:

    each camera's runs, by name   names of files, then their rows, a page of each at a time
    then runs without a folder    rows alone
    then runs that are open       ended, unless they were started or continued since

What differs in a page is read once more before anything is changed: the spool's other work runs in
between. The end of a run is sent only once its files were checked.
"""

import contextlib
import logging
import time
from array import array
from bisect import bisect_right
from collections.abc import Callable, Collection, Generator
from dataclasses import replace

from domain.errors import MediaError
from domain.events import FragmentArrived, RunStarted
from domain.events.registry import encode
from domain.identity import FragmentId, parse_fragment_key, run_started_ms
from domain.unset_clock import is_undated
from edge_bridge import metrics
from edge_bridge.spool.files import FragmentFile, FragmentFiles
from edge_bridge.spool.journal import Journal
from edge_bridge.spool.loss_rows import loss_of
from edge_bridge.spool.rows import EndState, FragmentState, SpooledFragment, SpooledRun
from edge_bridge.spool.undated_rows import UNDATED_PREFIX

log = logging.getLogger(__name__)

RESTARTED = "edge restarted"
PAGE = 250
"""Names, and rows, that are compared at once."""
_NAMES_AT_ONCE = 2_000
"""Names of a folder that are read at once."""
_WITH_FILE = (FragmentState.STORED, FragmentState.NOTICED)
"""A row in one of these states has a file, or has to change, whatever its size says."""


class SpoolRecovery:
    """Makes files and rows agree; all of it runs on the spool's thread.

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
        """`live` runs continue: they are not ended."""
        self._files = files
        self._journal = journal
        self._edge = edge
        self._steady_s = steady_s
        self._live = frozenset(live)
        self._started_since: set[str] = set()
        self._last_checked = ("", "")
        """Camera and run that were checked last; all before them in order were, too."""
        self._folders_checked = False
        self._work = self._all()
        self.done = False
        """Whether all was checked."""
        self.stopped = False
        """Whether it was stopped, or failed."""
        self._checked_files = 0
        self._began_s = steady_s()
        self.messages = 0
        """Messages put into the outbox so far."""

    def run_for(self, for_s: float) -> bool:
        """Recover for about this long; True: there is more.

        Raises ValueError or sqlite3.Error where the journal cannot be read. Then it is stopped,
        and `restart` continues.
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
        self.done = True
        if self._checked_files:
            took_s = self._steady_s() - self._began_s
            log.info(
                "recovery checked %d files of the spool in %.1f s", self._checked_files, took_s
            )
        return False

    def stop(self) -> None:
        """Stop; what is left stays for the next start."""
        self.stopped = True
        self._work.close()

    def restart(self) -> "SpoolRecovery":
        """Return a recovery that starts from the beginning."""
        self.stop()
        made = SpoolRecovery(self._files, self._journal, self._edge, self._live, self._steady_s)
        made._started_since = self._started_since
        return made

    def run_started(self, run: str) -> None:
        """Record a run that started since: it is not ended here."""
        if not self.done:
            self._started_since.add(run)

    def is_complete(self, run: SpooledRun) -> bool:
        """Return whether all fragments of an ended run are known."""
        new = run.run in self._started_since and run.run not in self._live
        return self._folders_checked or new or (run.camera, run.run) <= self._last_checked

    def _all(self) -> Generator[None, None, None]:
        for camera in self._files.cameras():
            for run in self._files.runs_of(camera):
                if _is_fragment_of(camera, run):
                    yield from self._run(camera, run)
                self._last_checked = (camera, run)
                yield
        self._folders_checked = True
        for run in self._journal.runs_with_fragments():
            known = self._journal.run(run)
            if known is None or not self._files.has_run(known.camera, run):
                yield from self._compare("", run, array("L"))
            yield
        for ended in self._journal.runs(EndState.OPEN):
            self._end(ended)
        self._journal.drop_ended_runs()

    def _run(self, camera: str, run: str) -> Generator[None, None, None]:
        try:
            names = array("L")
            for seq in self._files.seqs(camera, run):
                names.append(seq)
                if not len(names) % _NAMES_AT_ONCE:
                    yield
            self._checked_files += len(names)
            yield from self._compare(camera, run, array("L", sorted(names)))
        except OSError as error:
            log.error("the files of run %s cannot be checked: %s", run, error)
        if (known := self._journal.run(run)) is not None and known.end_state is EndState.OPEN:
            self._end(known)

    def _compare(self, camera: str, run: str, names: "array[int]") -> Generator[None, None, None]:
        """Compare names, in order, with a run's rows; repair what differs."""
        at, after = 0, -1  # the next name, and the seq of the last row that was compared
        while True:
            rows = self._journal.rows_of_run(run, after, PAGE)
            ends = [rows[-1][0].seq] if len(rows) == PAGE else []
            if at + PAGE <= len(names):
                ends.append(names[at + PAGE - 1])
            # A page ends at the lower of both ends: beyond it, one side is not read yet.
            last = min(ends) if ends else None
            to = len(names) if last is None else bisect_right(names, last, at)
            known = {one.seq: state for one, state, _ in rows if one.camera == camera}
            here = names[at:to]
            there = set(here)
            # A file without a row, or of a fragment that was given up.
            suspects = [
                FragmentId(camera, run, seq)
                for seq in here
                if known.get(seq, FragmentState.GIVEN_UP) is FragmentState.GIVEN_UP
            ]
            # A row whose file is missing.
            suspects += [
                one
                for one, state, size in rows
                if (last is None or one.seq <= last)
                and (size or state in _WITH_FILE)
                and (one.camera != camera or one.seq not in there)
            ]
            yield
            for one in suspects:
                self._repair(one)
                yield
            if last is None:
                return
            at, after = to, last

    def _repair(self, one: FragmentId) -> None:
        path = self._files.path(one.camera, one.run, one.seq)
        row = self._journal.fragment(one.run, one.seq)
        if row is not None and row.camera != one.camera:
            row = None
        if not path.exists():
            if row is not None:
                self._without_file(row)
        elif row is None:
            self._insert_row(FragmentFile(path, one))
        elif row.state is FragmentState.GIVEN_UP:
            self._files.remove(one.camera, one.run, one.seq)

    def _end(self, run: SpooledRun) -> None:
        if run.run in self._live or run.run in self._started_since:
            return
        self._journal.end_run(run.run, run.last_ms, RESTARTED)
        log.info(
            "an open run is ended: %s", RESTARTED, extra={"camera": run.camera, "run": run.run}
        )

    def _insert_row(self, found: FragmentFile) -> None:
        where = {"camera": found.id.camera, "run": found.id.run, "seq": found.id.seq}
        files, journal = self._files, self._journal
        try:
            event = files.inspect(found.path)
            if (event.camera, event.run, event.seq) != tuple(where.values()):
                raise MediaError(f"{found.path} contains another fragment than its name says")
        except MediaError as error:
            log.error(
                "%s; the file is quarantined as %s",
                error,
                files.quarantine(found.path),
                extra=where,
            )
            return
        with journal.transaction():
            if journal.put_run(event.run, event.camera):
                kind = UNDATED_PREFIX + "run-started" if is_undated(event.run) else "run-started"
                journal.put_message(kind, encode(_started(event, self._edge)))
                self.messages += 1
            row = SpooledFragment.of(event, FragmentState.STORED)
            journal.put_fragment(replace(row, prev_sha256=self._sha256_before(row)), event.end_ms)
        log.info("a fragment without a row is inserted into the journal", extra=where)

    def _sha256_before(self, row: SpooledFragment) -> str | None:
        """Return the hash of the fragment before one in its run; None where that is not here."""
        before = self._journal.fragment(row.run, row.seq - 1) if row.seq else None
        if before is None:
            return None
        with contextlib.suppress(ValueError):  # it was never on the disk, or is damaged
            return FragmentArrived.model_validate_json(before.event).sha256
        return None

    def _without_file(self, row: SpooledFragment) -> None:
        one, journal = row.id, self._journal
        if row.state is FragmentState.STORED:
            log.error(
                "a fragment's file is missing: the fragment is given up",
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

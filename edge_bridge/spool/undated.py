"""Stamps what was recorded while the clock was plainly wrong, once the time is known.

    shift fixed ── messages rewritten ── each fragment: file under its true id, then one transaction
    (true row in, provisional row out), then the old file removed ── the run's end moved

A crash between any two steps is mended by doing it again: the shift is fixed, so the true id and
the bytes are the same. All of it belongs to the spool's thread, a few fragments at a time.
"""

import logging

from domain.errors import MediaError
from domain.events import Detection, RunStarted
from domain.events.registry import encode
from domain.unset_clock import boot_of, stamped, true_ms, true_run
from edge_bridge import metrics
from edge_bridge.clock import EdgeClock
from edge_bridge.spool.files import FragmentFiles
from edge_bridge.spool.journal import Journal
from edge_bridge.spool.rows import FragmentState, SpooledFragment
from edge_bridge.spool.undated_rows import UNDATED_PREFIX

log = logging.getLogger(__name__)

_FRAGMENTS = 4
_MESSAGES = 100


class UndatedFootage:
    """What waits for the time."""

    def __init__(self, files: FragmentFiles, journal: Journal, clock: EdgeClock) -> None:
        self._files = files
        self._journal = journal
        self._rows = journal.held
        self._clock = clock
        self.freed_bytes = 0
        """Of fragments that were given up while they were stamped; whoever counts takes them."""
        self.messages_moved = 0

    def stamp(self, *, recovered: bool = True) -> bool:
        """Stamp a few; True: there may be more. Raises OSError where the disk takes no file.

        `recovered`: what is held is known; else ends of runs, and shifts that nobody needs, stay.
        """
        shifts = self._rows.shifts()
        if self._clock.boot not in shifts:
            shift = self._clock.shift_ms()
            if shift is None:
                return False
            self._rows.fix_shift(self._clock.boot, shift)
            shifts = self._rows.shifts()
        messages = self._messages(shifts)
        fragments = self._rows.fragments(_FRAGMENTS)
        for camera, run, seq in fragments:
            self._fragment(camera, run, seq, shifts[boot_of(run)])
        if messages or fragments:
            return True
        if not recovered:
            return False
        self._rows.drop_untold(self._clock.boot)
        for run, camera, ended_ms, reason in self._rows.empty_runs():
            self._end(run, camera, ended_ms, reason, shifts.get(boot_of(run)))
        self._rows.forget_shifts(self._clock.boot)
        return False

    def _messages(self, shifts: dict[str, int]) -> int:
        held = self._rows.messages(_MESSAGES)
        if not held:
            return 0
        with self._journal.transaction():
            for _, kind, body in held:
                try:
                    event: RunStarted | Detection = (
                        RunStarted.model_validate_json(body)
                        if kind == UNDATED_PREFIX + "run-started"
                        else Detection.model_validate_json(body)
                    )
                except ValueError:
                    log.error("a message held back is damaged and given up")
                    metrics.MESSAGES_DROPPED.inc()
                    continue
                shift = shifts.get(boot_of(event.run))
                if shift is None:  # of an earlier start, whose time nobody knows any more
                    metrics.MESSAGES_DROPPED.inc()
                    continue
                self._journal.put_message(event.type, encode(stamped(event, shift)))
            self._journal.drop_messages(number for number, _, _ in held)
        self.messages_moved += len(held)
        return len(held)

    def _fragment(self, camera: str, run: str, seq: int, shift: int) -> None:
        row = self._journal.fragment(run, seq)
        if row is None:
            return
        true = true_run(run, shift)
        end_ms, text = true_ms(row.start_ms, shift), ""
        state = row.state
        if state is FragmentState.STORED:
            try:
                event = stamped(self._files.event_in(row), shift)
                data = self._files.read(camera, run, seq, row.size)
            except (FileNotFoundError, MediaError) as error:
                state = FragmentState.GIVEN_UP
                self.freed_bytes += row.size
                why = "damaged" if isinstance(error, MediaError) else "file gone"
                metrics.GIVEN_UP.labels(camera, why).inc()
            else:
                self._files.write(event, data)
                end_ms, text = event.end_ms, encode(event).decode()
        size = row.size if state is FragmentState.STORED else 0
        with self._journal.transaction():
            self._journal.put_run(true, camera)
            moved = SpooledFragment(
                camera, true, seq, true_ms(row.start_ms, shift), size, text, state
            )
            self._journal.put_fragment(moved, end_ms)
            self._journal.drop_fragment(row.id)
        self._files.remove(camera, run, seq)

    def _end(self, run: str, camera: str, ended_ms: int, reason: str, shift: int | None) -> None:
        with self._journal.transaction():
            if shift is not None:
                true = true_run(run, shift)
                self._journal.put_run(true, camera)
                self._rows.end_as(true, true_ms(ended_ms, shift), reason)
                log.info("footage held back is stamped", extra={"camera": camera, "run": true})
            self._rows.drop_run(run)

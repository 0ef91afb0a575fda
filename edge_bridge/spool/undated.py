"""Gives undated footage its time, once the clock is right.

    shift stored ── messages rewritten ── each fragment: file under its true id, then one
    transaction (true row in, provisional row out), then the old file removed ── the run's end moved

A crash between two steps is repaired by doing the step again: the shift is fixed, so the true id
and the bytes are the same. All of it runs on the spool's thread, a few fragments at a time.
"""

import logging

from domain.errors import MediaError
from domain.events import Detection, RunStarted
from domain.events.registry import encode
from domain.unset_clock import boot_mark_of, true_ms, true_run, with_true_time
from edge_bridge import metrics
from edge_bridge.clock import EdgeClock
from edge_bridge.spool.files import FragmentFiles
from edge_bridge.spool.journal import Journal
from edge_bridge.spool.rows import FragmentState, SpooledFragment
from edge_bridge.spool.undated_rows import UNDATED_PREFIX

log = logging.getLogger(__name__)

_FRAGMENTS_AT_ONCE = 4
_MESSAGES_AT_ONCE = 100


class UndatedFootage:
    """What was recorded while the clock was wrong and waits for the time."""

    def __init__(self, files: FragmentFiles, journal: Journal, clock: EdgeClock) -> None:
        self._files = files
        self._journal = journal
        self._rows = journal.undated
        self._clock = clock
        self._freed_bytes = 0
        self._moved_messages = 0

    def take_counts(self) -> tuple[int, int]:
        """Return and reset: bytes freed by fragments given up here, and messages rewritten."""
        counts = self._freed_bytes, self._moved_messages
        self._freed_bytes = 0
        self._moved_messages = 0
        return counts

    def stamp(self, *, recovered: bool = True) -> bool:
        """Stamp a few; True: there may be more. Raises OSError where the disk takes no file.

        `recovered`: all undated rows are known. Otherwise ends of runs and unused shifts stay.
        """
        shifts = self._rows.shifts()
        if self._clock.boot not in shifts:
            shift = self._clock.shift_ms()
            if shift is None:
                return False
            self._rows.fix_shift(self._clock.boot, shift)
            shifts = self._rows.shifts()
        messages = self._stamp_messages(shifts)
        fragments = self._rows.fragments(_FRAGMENTS_AT_ONCE)
        for camera, run, seq in fragments:
            self._stamp_fragment(camera, run, seq, shifts[boot_mark_of(run)])
        if messages or fragments:
            return True
        if not recovered:
            return False
        self._rows.drop_without_shift(self._clock.boot)
        for run, camera, ended_ms, reason in self._rows.empty_runs():
            self._move_end(run, camera, ended_ms, reason, shifts.get(boot_mark_of(run)))
        self._rows.drop_shifts(self._clock.boot)
        return False

    def _stamp_messages(self, shifts: dict[str, int]) -> int:
        undated = self._rows.messages(_MESSAGES_AT_ONCE)
        if not undated:
            return 0
        with self._journal.transaction():
            for _, kind, body in undated:
                try:
                    event: RunStarted | Detection = (
                        RunStarted.model_validate_json(body)
                        if kind == UNDATED_PREFIX + "run-started"
                        else Detection.model_validate_json(body)
                    )
                except ValueError:
                    log.error("an undated message is damaged and dropped")
                    metrics.MESSAGES_DROPPED.inc()
                    continue
                shift = shifts.get(boot_mark_of(event.run))
                if shift is None:  # from an earlier boot whose time was never known
                    metrics.MESSAGES_DROPPED.inc()
                    continue
                self._journal.put_message(event.type, encode(with_true_time(event, shift)))
            self._journal.drop_messages(number for number, _, _ in undated)
        self._moved_messages += len(undated)
        return len(undated)

    def _stamp_fragment(self, camera: str, run: str, seq: int, shift: int) -> None:
        row = self._journal.fragment(run, seq)
        if row is None:
            return
        true = true_run(run, shift)
        end_ms, text = true_ms(row.start_ms, shift), ""
        state = row.state
        if state is FragmentState.STORED:
            try:
                event = with_true_time(self._files.event_in(row), shift)
                data = self._files.read(camera, run, seq, row.size)
            except (FileNotFoundError, MediaError) as error:
                state = FragmentState.GIVEN_UP
                self._freed_bytes += row.size
                why = "damaged" if isinstance(error, MediaError) else "file gone"
                metrics.GIVEN_UP.labels(camera, why).inc()
            else:
                self._files.write(event, data)
                end_ms, text = event.end_ms, encode(event).decode()
        size = row.size if state is FragmentState.STORED else 0
        start_ms = true_ms(row.start_ms, shift)
        with self._journal.transaction():
            self._journal.put_run(true, camera)
            moved = SpooledFragment(camera, true, seq, start_ms, size, text, state, row.prev_sha256)
            self._journal.put_fragment(moved, end_ms)
            self._journal.drop_fragment(row.id)
        self._files.remove(camera, run, seq)

    def _move_end(
        self, run: str, camera: str, ended_ms: int, reason: str, shift: int | None
    ) -> None:
        with self._journal.transaction():
            if shift is not None:
                true = true_run(run, shift)
                self._journal.put_run(true, camera)
                self._rows.end_as(true, true_ms(ended_ms, shift), reason)
                log.info("undated footage has its time now", extra={"camera": camera, "run": true})
            self._rows.drop_run(run)

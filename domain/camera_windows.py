"""All windows of one camera: what an event changes, and which events are to be sent for it.

The state is bounded by the counts of the rules (see docs/design/windows.md).
domain/window_snapshot.py writes it to the table and reads it back.
"""

from dataclasses import replace
from typing import Any, Literal

from domain.chunks import late_due
from domain.events import (
    CameraConfigured,
    ChunkDue,
    Event,
    FragmentArrived,
    RunEnded,
    VideoForm,
)
from domain.seqs import SeqRanges
from domain.window_lengths import LEAD_MS, WindowLengths
from domain.window_snapshot import from_snapshot, to_snapshot
from domain.window_state import CameraOverrides, OpenFragment, RunEnd
from domain.windows import RunWindows, WindowRules

FragmentOutcome = Literal["new", "late", "duplicate", "differs", "refused"]


class CameraWindows:
    """All runs of one camera. Restored from the table, asked, and written back as a snapshot."""

    def __init__(self, camera: str, rules: WindowRules) -> None:
        self.camera = camera
        self.rules = rules
        """The rules of the settings, with the camera's own overrides."""
        self.lengths = WindowLengths.always(rules.window_ms)
        self.overrides: CameraOverrides | None = None
        self.runs: dict[str, RunWindows] = {}
        self._settings = rules

    def __bool__(self) -> bool:
        return bool(self.runs)

    @property
    def open_windows(self) -> int:
        """How many windows are open."""
        return sum(len(run.windows) for run in self.runs.values())

    def _run(self, run: str, now_ms: int) -> tuple[RunWindows, list[Event]]:
        """Return a run, new where it is not known, and the events of runs it replaces.

        Over `max_runs` another run is sealed and forgotten. If that one still waited for
        something, the new run is `bounded_out`.
        """
        events: list[Event] = []
        if (state := self.runs.get(run)) is None:
            bounded_out = False
            while len(self.runs) >= self.rules.max_runs:
                replaced = min(
                    self.runs.values(),
                    key=lambda each: (each.waiting, each.end is None, each.touched_ms),
                )
                bounded_out |= replaced.waiting
                events += self.runs.pop(replaced.run).seal_all(self.rules)
            if self.overrides is None and self.lengths.steps[-1][1] != self.rules.window_ms:
                # The settings have another length than when the first window was opened.
                self._change_lengths(self.lengths.changed(self.rules.window_ms, now_ms + LEAD_MS))
            state = RunWindows(self.camera, run, self.lengths, bounded_out=bounded_out)
            self.runs[run] = state
        state.touched_ms = max(state.touched_ms, now_ms)
        return state, events

    def _enforce_limits(self, now_ms: int) -> list[Event]:
        """Evict the windows that were quiet longest while there are too many open fragments.

        It evicts down to three quarters at once, so that a flood does not sort all windows for
        each fragment. One run may have more ranges than its share if others have fewer.
        """
        ranges = sum(run.ranges for run in self.runs.values())
        if ranges > self.rules.max_runs * self.rules.max_ranges:
            max(self.runs.values(), key=lambda each: each.ranges).forget_oldest(self.rules)
        open_fragments = sum(len(run.window_starts) for run in self.runs.values())
        if open_fragments <= self.rules.max_open_fragments:
            return []
        windows = [(window, run) for run in self.runs.values() for window in run.windows.values()]
        windows.sort(key=lambda each: (each[0].touched_ms, each[0].start_ms))
        events: list[Event] = []
        for window, run in windows[:-1]:
            if open_fragments <= self.rules.max_open_fragments * 3 // 4:
                break
            if run.may_evict(self.rules):
                run.evict(window, now_ms)
            elif open_fragments > self.rules.max_open_fragments:
                events.append(run.seal(window.start_ms, "grace", self.rules))
            else:
                continue
            open_fragments -= len(window.fragments)
        return events

    def on_fragment(
        self, event: FragmentArrived, now_ms: int
    ) -> tuple[FragmentOutcome, list[Event]]:
        """Add a fragment. Return what it was, and the events to send.

        Two outcomes belong in a dead letter. `differs`: other bytes or times under the same id. The
        first report is kept, unless S3 says otherwise: see `correct`. `refused`: its window has too
        many fragments already.
        """
        state = self.runs.get(event.run)
        if state is not None and state.contains(event.seq):
            return ("duplicate" if state.matches(OpenFragment.of(event)) else "differs"), []
        start_ms, _ = self.lengths.window(event.start_ms)
        window = state.windows.get(start_ms) if state is not None else None
        if window is not None and len(window.fragments) >= self.rules.max_window_fragments:
            return "refused", []
        silent = state is None or now_ms - state.touched_ms >= self.rules.idle_ms
        state, events = self._run(event.run, now_ms)
        window = state.add(OpenFragment.of(event), VideoForm.of(event), now_ms)
        if silent:  # requests that were sent because of the silence are void: decide all again
            events += state.due(now_ms, self.rules)
        else:
            events += state.due_near(event.seq, now_ms, self.rules)
        events += self._enforce_limits(now_ms)
        return ("late" if window.late else "new"), events

    def correct(self, event: FragmentArrived, now_ms: int) -> tuple[FragmentOutcome, list[Event]]:
        """Let a fragment that `differs` replace the one under its id: S3 has it so."""
        state = self.runs[event.run]
        state.remove(event.seq)
        return self.on_fragment(event, now_ms)

    def is_open(self, run: str, seq: int) -> bool:
        """Say whether a fragment is in an open window."""
        return run in self.runs and seq in self.runs[run].window_starts

    def due_alone(self, event: FragmentArrived) -> ChunkDue:
        """Return a `chunk-due` for one fragment of a window that was sealed before.

        Its chunk was made with it, or without it. The joiner changes only the latter.
        """
        return late_due([event], *self.lengths.window(event.start_ms))

    def on_run_ended(self, event: RunEnded, now_ms: int) -> list[Event]:
        """Note a run's end. Return the events to send.

        An end that is known changes nothing, not even the silence: the healer repeats it.
        """
        given_up = SeqRanges(SeqRanges(event.given_up).ranges[-self.rules.max_ranges :])
        end = RunEnd(event.last_seq, event.ended_ms, event.reason, given_up)
        if event.run in self.runs and self.runs[event.run].end == end:
            return []
        state, events = self._run(event.run, now_ms)
        state.end = end
        events += state.due(now_ms, self.rules)
        return events

    def on_configured(self, event: CameraConfigured) -> None:
        """Set the camera's window lengths and waiting times; the newest event wins.

        Where windows of other lengths exist, those lengths stay until the next common border.
        """
        if self.overrides is not None and event.changed_ms < self.overrides.changed_ms:
            return
        self._override(CameraOverrides(event.changed_ms, event.grace_ms, event.idle_ms))
        self._change_lengths(
            WindowLengths(tuple((each.from_ms, each.window_ms) for each in event.windows))
        )

    def _override(self, overrides: CameraOverrides) -> None:
        self.overrides = overrides
        known = {name: value for name, value in overrides._asdict().items() if value is not None}
        known.pop("changed_ms")
        self.rules = replace(self._settings, **known)

    def _change_lengths(self, lengths: WindowLengths) -> None:
        spans = [span for run in self.runs.values() if (span := run.span()) is not None]
        if spans:
            from_ms, to_ms = min(span[0] for span in spans), max(span[1] for span in spans)
            lengths = self.lengths.changed_outside(lengths, from_ms, to_ms)
        self.lengths = lengths
        for run in self.runs.values():
            run.lengths = lengths

    def on_healed(self, run: str, window_start_ms: int, now_ms: int) -> list[Event]:
        """Note the healer's answer for one window. Return the events to send."""
        state = self.runs.get(run)
        return list(state.due(now_ms, self.rules, window_start_ms)) if state else []

    def on_tick(self, now_ms: int) -> list[Event]:
        """Note that time has passed. Return the events to send; forget runs that are over."""
        events = [event for run in self.runs.values() for event in run.due(now_ms, self.rules)]
        over = [run.run for run in self.runs.values() if run.forgettable(now_ms, self.rules)]
        for run in over:
            del self.runs[run]
        return events

    # -- the table's value

    def snapshot(self) -> dict[str, Any]:
        """Return the state as JSON values; `restore` reads them back."""
        if not self.runs and self.overrides is None:
            return {}
        return to_snapshot(self.lengths, self.overrides, self.runs.values())

    @classmethod
    def restore(
        cls, camera: str, rules: WindowRules, snapshot: dict[str, Any] | None
    ) -> "CameraWindows":
        """Return the state of a `snapshot`, or an empty one for None."""
        state = cls(camera, rules)
        if not snapshot:
            return state
        state.lengths, overrides, runs = from_snapshot(camera, snapshot)
        state.runs = {run.run: run for run in runs}
        if overrides is not None:
            state._override(overrides)
        return state

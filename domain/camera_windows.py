"""All windows of one camera: what an event changes, and what is to be sent for it.

What is remembered is bounded by the counts of the rules (see docs/design/windows.md); how it
stands in the table is domain/window_snapshot.py.
"""

from dataclasses import replace
from typing import Any, Literal

from domain import window_snapshot as form
from domain.events import CameraConfigured, Event, FragmentArrived, RunEnded, VideoForm
from domain.seqs import SeqRanges
from domain.window_lengths import LEAD_MS, WindowLengths
from domain.window_state import Held, RunEnd, Told
from domain.windows import RunWindows, WindowRules

Verdict = Literal["new", "late", "duplicate", "differs", "refused"]


class CameraWindows:
    """All runs of one camera. Restored from the table, asked, and put back as a snapshot."""

    def __init__(self, camera: str, rules: WindowRules) -> None:
        self.camera = camera
        self.rules = rules
        """As the settings say them, but what the camera was told."""
        self.lengths = WindowLengths.always(rules.window_ms)
        self.told: Told | None = None
        self.runs: dict[str, RunWindows] = {}
        self._settings = rules

    def __bool__(self) -> bool:
        return bool(self.runs)

    @property
    def open_windows(self) -> int:
        """How many windows are open."""
        return sum(len(run.windows) for run in self.runs.values())

    def _enter(self, run: str, now_ms: int) -> tuple[RunWindows, list[Event]]:
        """Return a run, begun where it is not known, and what is to be sent for want of room.

        Where a run has to go that still waits for something, the new one is `crowded`.
        """
        events: list[Event] = []
        if (state := self.runs.get(run)) is None:
            crowded = False
            while len(self.runs) >= self.rules.max_runs:
                gone = min(
                    self.runs.values(),
                    key=lambda each: (each.waiting, each.end is None, each.touched_ms),
                )
                crowded |= gone.waiting
                events += self.runs.pop(gone.run).seal_all(self.rules)
            if self.told is None and self.lengths.steps[-1][1] != self.rules.window_ms:
                # the settings say another length than when windows were first cut
                self._cut_by(self.lengths.changed(self.rules.window_ms, now_ms + LEAD_MS))
            state = RunWindows(self.camera, run, self.lengths, crowded=crowded)
            self.runs[run] = state
        state.touched_ms = max(state.touched_ms, now_ms)
        return state, events

    def _make_room(self, now_ms: int) -> list[Event]:
        """Let go of the longest quiet windows where too many fragments are held.

        A quarter at once: it is not gone through all windows for each fragment of a flood. Of
        ranges a run may have more than its share, where others have less.
        """
        ranges = sum(run.ranges for run in self.runs.values())
        if ranges > self.rules.max_runs * self.rules.max_ranges:
            max(self.runs.values(), key=lambda each: each.ranges).fold_all(self.rules)
        held = sum(len(run.where) for run in self.runs.values())
        if held <= self.rules.max_open_fragments:
            return []
        windows = [(window, run) for run in self.runs.values() for window in run.windows.values()]
        windows.sort(key=lambda each: (each[0].touched_ms, each[0].start_ms))
        events: list[Event] = []
        for window, run in windows[:-1]:
            if held <= self.rules.max_open_fragments * 3 // 4:
                break
            if run.may_let_go(self.rules):
                run.release(window, now_ms)
            elif held > self.rules.max_open_fragments:
                events.append(run.seal(window.start_ms, "grace", self.rules))
            else:
                continue
            held -= len(window.fragments)
        return events

    def on_fragment(self, event: FragmentArrived, now_ms: int) -> tuple[Verdict, list[Event]]:
        """Take a fragment in. Returns what it was and the events to send.

        One that differs (other bytes under the same id: the first counts) and a refused one (its
        window holds too many already) belong in a dead letter.
        """
        state = self.runs.get(event.run)
        if state is not None and state.holds(event.seq):
            return ("duplicate" if state.agrees(event.seq, event.sha256) else "differs"), []
        start_ms, _ = self.lengths.window(event.start_ms)
        window = state.windows.get(start_ms) if state is not None else None
        if window is not None and len(window.fragments) >= self.rules.max_window_fragments:
            return "refused", []
        silent = state is None or now_ms - state.touched_ms >= self.rules.idle_ms
        state, events = self._enter(event.run, now_ms)
        state.form = state.form or VideoForm(
            video_codec=event.video_codec,
            audio_codec=event.audio_codec,
            width=event.width,
            height=event.height,
        )
        held = Held(
            event.seq,
            event.start_ms,
            event.duration_ms,
            event.start_pts,
            event.size_bytes,
            event.sha256,
        )
        window = state.take(held, now_ms)
        if silent:  # what was asked because of the silence counts no more
            events += state.due(now_ms, self.rules)
        else:
            events += state.due_near(event.seq, now_ms, self.rules)
        events += self._make_room(now_ms)
        return ("late" if window.late else "new"), events

    def on_run_ended(self, event: RunEnded, now_ms: int) -> list[Event]:
        """Take a run's end in. Returns the events to send.

        One that is known already changes nothing, not even the silence: the healer repeats it.
        """
        given_up = SeqRanges(SeqRanges(event.given_up).ranges[-self.rules.max_ranges :])
        end = RunEnd(event.last_seq, event.ended_ms, event.reason, given_up)
        if event.run in self.runs and self.runs[event.run].end == end:
            return []
        state, events = self._enter(event.run, now_ms)
        state.end = end
        events += state.due(now_ms, self.rules)
        return events

    def on_configured(self, event: CameraConfigured) -> None:
        """Take in how long the camera's windows are and how long they wait; the newest word counts.

        Where windows were cut by other lengths already, those stay until the next border.
        """
        if self.told is not None and event.changed_ms < self.told.changed_ms:
            return
        self._tell(Told(event.changed_ms, event.grace_ms, event.idle_ms))
        self._cut_by(WindowLengths(tuple((each.from_ms, each.window_ms) for each in event.windows)))

    def _tell(self, told: Told) -> None:
        self.told = told
        known = {name: value for name, value in told._asdict().items() if value is not None}
        known.pop("changed_ms")
        self.rules = replace(self._settings, **known)

    def _cut_by(self, lengths: WindowLengths) -> None:
        spans = [span for run in self.runs.values() if (span := run.span()) is not None]
        if spans:
            from_ms, to_ms = min(span[0] for span in spans), max(span[1] for span in spans)
            lengths = self.lengths.within(lengths, from_ms, to_ms)
        self.lengths = lengths
        for run in self.runs.values():
            run.lengths = lengths

    def on_healed(self, run: str, window_start_ms: int, now_ms: int) -> list[Event]:
        """Take the healer's answer for one window. Returns the events to send."""
        state = self.runs.get(run)
        return list(state.due(now_ms, self.rules, window_start_ms)) if state else []

    def on_tick(self, now_ms: int) -> list[Event]:
        """Let time pass. Returns the events to send; forgets runs that are over."""
        events = [event for run in self.runs.values() for event in run.due(now_ms, self.rules)]
        over = [run.run for run in self.runs.values() if run.forgettable(now_ms, self.rules)]
        for run in over:
            del self.runs[run]
        return events

    # -- the table's value

    def snapshot(self) -> dict[str, Any]:
        """Return the state as JSON values; `restore` takes them back."""
        if not self.runs and self.told is None:
            return {}
        return form.snapshot(self.lengths, self.told, self.runs.values())

    @classmethod
    def restore(
        cls, camera: str, rules: WindowRules, snapshot: dict[str, Any] | None
    ) -> "CameraWindows":
        """Return the state that `snapshot` holds, or an empty one for None."""
        state = cls(camera, rules)
        if not snapshot:
            return state
        state.lengths, told, runs = form.restored(camera, snapshot)
        state.runs = {run.run: run for run in runs}
        if told is not None:
            state._tell(told)
        return state

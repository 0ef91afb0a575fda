"""All windows of one camera: what an event changes, and what is to be sent for it.

The snapshot is the value of the table of open windows: JSON, short names, bounded by the counts
of the rules (see docs/design/windows.md).
"""

from collections.abc import Iterable
from typing import Any, Literal

from domain.events import Event, FragmentArrived, RunEnded, VideoForm
from domain.seqs import SeqRanges
from domain.window_state import Held, RunEnd, Window
from domain.windows import RunWindows, WindowRules

Verdict = Literal["new", "late", "duplicate", "refused"]


class CameraWindows:
    """All runs of one camera. Restored from the table, asked, and put back as a snapshot."""

    def __init__(self, camera: str, rules: WindowRules) -> None:
        self.camera = camera
        self.rules = rules
        self.runs: dict[str, RunWindows] = {}

    def __bool__(self) -> bool:
        return bool(self.runs)

    @property
    def open_windows(self) -> int:
        """How many windows are open."""
        return sum(len(run.windows) for run in self.runs.values())

    def _run(self, run: str, now_ms: int) -> RunWindows:
        if run not in self.runs:
            self.runs[run] = RunWindows(self.camera, run, self.rules.window_ms)
        state = self.runs[run]
        state.touched_ms = max(state.touched_ms, now_ms)
        return state

    def _make_room(self, run: str) -> list[Event]:
        """Forget the longest silent runs where `run` would be one too many."""
        events: list[Event] = []
        while run not in self.runs and len(self.runs) >= self.rules.max_runs:
            oldest = min(
                self.runs.values(), key=lambda each: (each.open, each.end is None, each.touched_ms)
            )
            events += self.runs.pop(oldest.run).seal_all(self.rules)
        return events

    def _seal_excess(self) -> list[Event]:
        """Seal the longest quiet windows where too many fragments are held."""
        held = sum(
            len(each.fragments) for run in self.runs.values() for each in run.windows.values()
        )
        if (excess := held - self.rules.max_open_fragments) <= 0:
            return []
        windows = [(window, run) for run in self.runs.values() for window in run.windows.values()]
        windows.sort(key=lambda each: (each[0].touched_ms, each[0].start_ms))
        events: list[Event] = []
        for window, run in windows:
            if excess <= 0:
                break
            excess -= len(window.fragments)
            events.append(run.seal(window.start_ms, "grace", self.rules))
        return events

    def on_fragment(self, event: FragmentArrived, now_ms: int) -> tuple[Verdict, list[Event]]:
        """Take a fragment in. Returns what it was and the events to send.

        A refused one (its window holds too many already) belongs in a dead letter.
        """
        state = self.runs.get(event.run)
        if state is not None and state.holds(event.seq):
            return "duplicate", []
        window_ms = state.window_ms if state is not None else self.rules.window_ms
        index = event.start_ms // window_ms
        start_ms = index * window_ms
        window = state.windows.get(start_ms) if state is not None else None
        if window is not None and len(window.fragments) >= self.rules.max_window_fragments:
            return "refused", []
        events = self._make_room(event.run)
        state = self._run(event.run, now_ms)
        if window is None:
            window = state.windows[start_ms] = Window(start_ms, state.is_late(event.seq, index))
        state.form = state.form or VideoForm(
            video_codec=event.video_codec,
            audio_codec=event.audio_codec,
            width=event.width,
            height=event.height,
        )
        window.fragments[event.seq] = Held(
            event.seq,
            event.start_ms,
            event.duration_ms,
            event.start_pts,
            event.size_bytes,
            event.sha256,
        )
        window.touched_ms = max(window.touched_ms, now_ms)
        state.watermark_ms = max(state.watermark_ms, event.start_ms)
        events += state.due(now_ms, self.rules)
        events += self._seal_excess()
        return ("late" if window.late else "new"), events

    def on_run_ended(self, event: RunEnded, now_ms: int) -> list[Event]:
        """Take a run's end in. Returns the events to send.

        One that is known already changes nothing, not even the silence: the healer repeats it.
        """
        given_up = SeqRanges(SeqRanges(event.given_up).ranges[-self.rules.max_ranges :])
        end = RunEnd(event.last_seq, event.ended_ms, event.reason, given_up)
        if event.run in self.runs and self.runs[event.run].end == end:
            return []
        events = self._make_room(event.run)
        state = self._run(event.run, now_ms)
        state.end = end
        events += state.due(now_ms, self.rules)
        return events

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
        return {run.run: _run_snapshot(run) for run in self.runs.values()}

    @classmethod
    def restore(
        cls, camera: str, rules: WindowRules, snapshot: dict[str, Any] | None
    ) -> "CameraWindows":
        """Return the state that `snapshot` holds, or an empty one for None."""
        state = cls(camera, rules)
        for run, value in (snapshot or {}).items():
            state.runs[run] = _run_restored(camera, run, value)
        return state


def _run_snapshot(run: RunWindows) -> dict[str, Any]:
    end = run.end
    return {
        "w": run.window_ms,
        "f": run.form and run.form.model_dump(),
        "o": [
            [
                window.start_ms,
                window.late,
                window.touched_ms,
                window.asked_ms,
                [list(held) for held in window.fragments.values()],
            ]
            for window in run.windows.values()
        ],
        "j": _flat(run.joined),
        "m": _flat(run.settled),
        "s": _flat(run.sealed),
        "e": [part for pair in run.ends.items() for part in pair],
        "n": run.watermark_ms,
        "t": run.touched_ms,
        "a": run.asked_ms,
        "x": None if end is None else [end.last_seq, end.ended_ms, end.reason, _flat(end.given_up)],
    }


def _run_restored(camera: str, run: str, value: dict[str, Any]) -> RunWindows:
    end = value["x"]
    windows = {}
    for start_ms, late, touched_ms, asked_ms, fragments in value["o"]:
        held = {row[0]: Held._make(row) for row in fragments}
        windows[start_ms] = Window(start_ms, late, held, touched_ms, asked_ms)
    return RunWindows(
        camera=camera,
        run=run,
        window_ms=value["w"],
        form=value["f"] and VideoForm.model_validate(value["f"]),
        windows=windows,
        joined=_ranges(value["j"]),
        settled=_ranges(value["m"]),
        sealed=_ranges(value["s"]),
        ends=dict(zip(value["e"][::2], value["e"][1::2], strict=True)),
        watermark_ms=value["n"],
        touched_ms=value["t"],
        asked_ms=value["a"],
        end=None if end is None else RunEnd(end[0], end[1], end[2], _ranges(end[3])),
    )


def _flat(ranges: SeqRanges) -> list[int]:
    return [edge for pair in ranges.ranges for edge in pair]


def _ranges(flat: Iterable[int]) -> SeqRanges:
    edges = list(flat)
    return SeqRanges(zip(edges[::2], edges[1::2], strict=True))

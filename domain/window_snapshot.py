"""How a camera's windows stand in their table: JSON values, short names.

{"windows": {"l": [from, length, ...], "t": what the camera was told},
 "<run>": {"o": open windows, "j": joined, "m": settled, "q": sealed, ...}, ...}
"""

from collections.abc import Iterable
from typing import Any

from domain.events import VideoForm
from domain.seqs import SeqRanges
from domain.window_lengths import WindowLengths
from domain.window_state import Held, LetGo, RunEnd, Told, Window
from domain.windows import RunWindows

CAMERA = "windows"
"""Beside the runs: what counts for the camera as a whole."""


def snapshot(
    lengths: WindowLengths, told: Told | None, runs: Iterable[RunWindows]
) -> dict[str, Any]:
    """Return all that is remembered of a camera; `restored` takes it back."""
    value: dict[str, Any] = {run.run: _run_snapshot(run) for run in runs}
    value[CAMERA] = {
        "l": [part for step in lengths.steps for part in step],
        "t": told and list(told),
    }
    return value


def restored(
    camera: str, value: dict[str, Any]
) -> tuple[WindowLengths, Told | None, list[RunWindows]]:
    """Return what `snapshot` was made of."""
    value = _of_today(value)
    flat, told = value[CAMERA]["l"], value[CAMERA]["t"]
    lengths = WindowLengths(tuple(zip(flat[::2], flat[1::2], strict=True)))
    runs = [
        _run_restored(camera, run, lengths, each) for run, each in value.items() if run != CAMERA
    ]
    return lengths, None if told is None else Told(*told), runs


def _of_today(value: dict[str, Any]) -> dict[str, Any]:
    """Return a value in today's form; once each run kept the one length ("w") of its windows."""
    if CAMERA in value:
        return value
    today: dict[str, Any] = {}
    lengths = [0, 60_000]
    for run, each in value.items():
        length_ms = each["w"]
        lengths = [0, length_ms]
        seconds = length_ms // 1_000
        today[run] = {
            **{name: part for name, part in each.items() if name not in "ws"},
            "o": [[start_ms, length_ms, *rest] for start_ms, *rest in each["o"]],
            "q": [(edge + at % 2) * seconds - at % 2 for at, edge in enumerate(each["s"])],
        }
    return {**today, CAMERA: {"l": lengths, "t": None}}


def _run_snapshot(run: RunWindows) -> dict[str, Any]:
    end = run.end
    return {
        "f": run.form and run.form.model_dump(),
        "o": [
            [
                window.start_ms,
                window.length_ms,
                window.late,
                window.touched_ms,
                window.asked_ms,
                [list(held) for held in window.fragments.values()],
            ]
            for window in run.windows.values()
        ],
        "j": _flat(run.joined),
        "m": _flat(run.settled),
        "q": _flat(run.sealed),
        "e": [part for pair in run.ends.items() for part in pair],
        "n": run.watermark_ms,
        "t": run.touched_ms,
        "a": run.asked_ms,
        "c": run.crowded,
        "g": list(run.let_go),
        "x": None if end is None else [end.last_seq, end.ended_ms, end.reason, _flat(end.given_up)],
    }


def _run_restored(
    camera: str, run: str, lengths: WindowLengths, value: dict[str, Any]
) -> RunWindows:
    end = value["x"]
    windows = {}
    for start_ms, length_ms, late, touched_ms, asked_ms, fragments in value["o"]:
        held = {row[0]: Held._make(row) for row in fragments}
        windows[start_ms] = Window(start_ms, length_ms, late, held, touched_ms, asked_ms)
    return RunWindows(
        camera=camera,
        run=run,
        lengths=lengths,
        form=value["f"] and VideoForm.model_validate(value["f"]),
        windows=windows,
        joined=_ranges(value["j"]),
        settled=_ranges(value["m"]),
        sealed=_ranges(value["q"]),
        ends=dict(zip(value["e"][::2], value["e"][1::2], strict=True)),
        watermark_ms=value["n"],
        touched_ms=value["t"],
        asked_ms=value["a"],
        crowded=value.get("c", False),
        let_go=LetGo(*value.get("g", ())),
        end=None if end is None else RunEnd(end[0], end[1], end[2], _ranges(end[3])),
    )


def _flat(ranges: SeqRanges) -> list[int]:
    return [edge for pair in ranges.ranges for edge in pair]


def _ranges(flat: Iterable[int]) -> SeqRanges:
    edges = list(flat)
    return SeqRanges(zip(edges[::2], edges[1::2], strict=True))

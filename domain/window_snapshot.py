"""A camera's windows as the value of their table: JSON values with short names.

{"windows": {"l": [from, length, ...], "t": the camera's own configuration},
 "<run>": {"o": open windows, "j": joined, "m": settled, "q": sealed, ...}, ...}
"""

from collections.abc import Iterable, Mapping
from typing import Any

from domain.events import VideoForm
from domain.seqs import SeqRanges
from domain.window_lengths import WindowLengths
from domain.window_state import CameraOverrides, Evicted, OpenFragment, RunEnd, Window
from domain.windows import RunWindows

CAMERA = "windows"
"""Next to the runs: what is true for the whole camera."""


def to_snapshot(
    lengths: WindowLengths, overrides: CameraOverrides | None, runs: Iterable[RunWindows]
) -> dict[str, Any]:
    """Return the whole state of a camera as JSON values; `from_snapshot` reads it back."""
    value: dict[str, Any] = {run.run: _run_to_snapshot(run) for run in runs}
    value[CAMERA] = {
        "l": [part for step in lengths.steps for part in step],
        "t": overrides and list(overrides),
    }
    return value


def from_snapshot(
    camera: str, value: dict[str, Any]
) -> tuple[WindowLengths, CameraOverrides | None, list[RunWindows]]:
    """Return the state that `to_snapshot` was given."""
    value = _upgraded(value)
    flat, overrides = value[CAMERA]["l"], value[CAMERA]["t"]
    lengths = WindowLengths(tuple(zip(flat[::2], flat[1::2], strict=True)))
    runs = [
        _run_from_snapshot(camera, run, lengths, each)
        for run, each in value.items()
        if run != CAMERA
    ]
    return lengths, None if overrides is None else CameraOverrides(*overrides), runs


def _upgraded(value: dict[str, Any]) -> dict[str, Any]:
    """Return a value in the current form.

    In the old form each run has one length ("w") for all its windows.
    """
    if CAMERA in value:
        return value
    upgraded: dict[str, Any] = {}
    lengths = [0, 60_000]
    for run, each in value.items():
        length_ms = each["w"]
        lengths = [0, length_ms]
        seconds = length_ms // 1_000
        upgraded[run] = {
            **{name: part for name, part in each.items() if name not in "ws"},
            "o": [[start_ms, length_ms, *rest] for start_ms, *rest in each["o"]],
            # "s" has window numbers, first and last in turn; "q" has the seconds that they span
            "q": [(edge + at % 2) * seconds - at % 2 for at, edge in enumerate(each["s"])],
        }
    return {**upgraded, CAMERA: {"l": lengths, "t": None}}


def _run_to_snapshot(run: RunWindows) -> dict[str, Any]:
    end = run.end
    return {
        "f": run.form and run.form.model_dump(),
        "o": [
            [
                window.start_ms,
                window.length_ms,
                window.late,
                window.touched_ms,
                window.heal_requested_ms,
                [list(fragment) for fragment in window.fragments.values()],
            ]
            for window in run.windows.values()
        ],
        "v": [[form.model_dump(), seqs] for form, seqs in _seqs_by_form(run.other_forms)],
        "j": _flat(run.joined),
        "m": _flat(run.settled),
        "q": _flat(run.sealed),
        "e": [part for pair in run.ends.items() for part in pair],
        "n": run.watermark_ms,
        "t": run.touched_ms,
        "a": run.heal_requested_ms,
        "c": run.bounded_out,
        "g": list(run.evicted),
        "x": None if end is None else [end.last_seq, end.ended_ms, end.reason, _flat(end.given_up)],
    }


def _run_from_snapshot(
    camera: str, run: str, lengths: WindowLengths, value: dict[str, Any]
) -> RunWindows:
    end = value["x"]
    windows = {}
    for start_ms, length_ms, late, touched_ms, heal_requested_ms, rows in value["o"]:
        fragments = {row[0]: OpenFragment._make(row) for row in rows}
        windows[start_ms] = Window(
            start_ms, length_ms, late, fragments, touched_ms, heal_requested_ms
        )
    return RunWindows(
        camera=camera,
        run=run,
        lengths=lengths,
        form=value["f"] and VideoForm.model_validate(value["f"]),
        other_forms={
            seq: form
            for dumped, seqs in value.get("v", ())
            for form in (VideoForm.model_validate(dumped),)
            for seq in seqs
        },
        windows=windows,
        joined=_ranges(value["j"]),
        settled=_ranges(value["m"]),
        sealed=_ranges(value["q"]),
        ends=dict(zip(value["e"][::2], value["e"][1::2], strict=True)),
        watermark_ms=value["n"],
        touched_ms=value["t"],
        heal_requested_ms=value["a"],
        bounded_out=value.get("c", False),
        evicted=Evicted(*value.get("g", ())),
        end=None if end is None else RunEnd(end[0], end[1], end[2], _ranges(end[3])),
    )


def _seqs_by_form(forms: Mapping[int, VideoForm]) -> list[tuple[VideoForm, list[int]]]:
    seqs: dict[VideoForm, list[int]] = {}
    for seq, form in forms.items():
        seqs.setdefault(form, []).append(seq)
    return list(seqs.items())


def _flat(ranges: SeqRanges) -> list[int]:
    return [edge for pair in ranges.ranges for edge in pair]


def _ranges(flat: Iterable[int]) -> SeqRanges:
    edges = list(flat)
    return SeqRanges(zip(edges[::2], edges[1::2], strict=True))

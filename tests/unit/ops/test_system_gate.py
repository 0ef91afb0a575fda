"""The gate of a new system: when it is good, by a table of what the program answers."""

import itertools
import runpy
from typing import Any

import pytest

GATE = runpy.run_path("ops/edge/roles/system_update/files/system-gate")


def report(recording: int, failing: int = 0) -> dict[str, Any]:
    states = ["recording"] * recording + ["failing"] * failing
    return {"cameras": [{"state": state} for state in states]}


CASES = [
    # what it answers, one after the other; the last one for ever; before: good, and why not
    ([report(4)], 4, True, ""),
    ([None, None, report(4)], 4, True, ""),
    ([report(2, 2)] * 20 + [report(4)], 4, True, ""),
    ([report(5)], 4, True, ""),
    ([report(0)], 0, True, ""),
    ([None], 0, False, "the program is not healthy"),
    ([report(3, 1)], 4, False, "3 cameras are recorded, 4 were before"),
    ([report(4), None] * 80, 4, False, "the program is not healthy"),
    ([{}], 1, False, "0 cameras are recorded, 1 were before"),
    ([{"cameras": "nonsense"}], 1, False, "0 cameras are recorded, 1 were before"),
]


@pytest.mark.parametrize(("answers", "before", "good", "why"), CASES)
def test_gate(answers: list[Any], before: int, good: bool, why: str) -> None:
    now_s = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now_s
        now_s += seconds

    given = itertools.chain(answers, itertools.repeat(answers[-1]))
    found = GATE["is_good"](lambda: next(given), before, steady_s=lambda: now_s, sleep=sleep)
    assert found == (good, why)
    assert now_s <= GATE["DEADLINE_S"]


@pytest.mark.parametrize(
    ("line", "slot"), [("ro rauc.slot=B panic=10", "B"), ("rauc.slot=A", "A"), ("quiet", "")]
)
def test_which_slot_runs(line: str, slot: str) -> None:
    assert GATE["booted_slot"](line) == slot

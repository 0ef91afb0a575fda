"""The domain reads no clock: a rule takes the time as an argument."""

import ast
import time
from pathlib import Path

import domain
from domain.times import utc_ms

ROOM = Path(domain.__file__).parent
CLOCKS = {"utc_ms", "now", "utcnow", "today", "time", "time_ns", "monotonic", "monotonic_ns"}


def test_utc_is_in_whole_milliseconds() -> None:
    before_s = time.time()
    now_ms = utc_ms()
    assert int(before_s * 1_000) <= now_ms <= int(time.time() * 1_000) + 1


def test_no_rule_reads_a_clock() -> None:
    readers = [
        f"{path.relative_to(ROOM)}:{node.lineno}"
        for path in sorted(ROOM.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and _called(node.func) in CLOCKS
    ]
    assert len(readers) == 1, "pass the time in as an argument"
    assert readers[0].startswith("times.py:")


def _called(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""

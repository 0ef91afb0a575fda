"""The edge's metrics: each says what it counts and in which unit, with few series each."""

import re

import edge_bridge.inference.metrics
import edge_bridge.metrics

UNITS = {
    "_seconds": r"seconds|How long",
    "_bytes": r"[Bb]ytes|memory",
    "_kbit": r"1,000 bits a second",
    "_fps": r"a second",
}
FEW = {"camera", "stream", "to", "why", "outcome", "reason", "label", "state"}
"""What series are reported apart by: cameras are at most 256, all else is a short list."""


def described() -> list[tuple[str, str, tuple[str, ...]]]:
    modules = (edge_bridge.metrics, edge_bridge.inference.metrics)
    found = [
        one for module in modules for one in vars(module).values() if hasattr(one, "_labelnames")
    ]
    return [(one._name, one._documentation, one._labelnames) for one in found]


def test_each_says_what_it_is_and_its_unit() -> None:
    found = described()
    assert len(found) > 30
    for name, words, _ in found:
        assert len(words) > 8, name
        for ending, unit in UNITS.items():
            if name.endswith(ending):
                assert re.search(unit, words), (name, words)


def test_none_has_labels_without_bound() -> None:
    assert {label for _, _, labels in described() for label in labels} <= FEW

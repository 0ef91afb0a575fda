"""Version skew N-2: devices and centre of two versions before, recorded in tests/data/contracts."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from domain.events import encode
from domain.events.examples import EXAMPLES
from domain.events.registry import parse
from domain.fleet.messages import DeviceUpdateReport, UpdateAnswer

RECORDED = sorted((Path(__file__).parents[2] / "data" / "contracts").glob("n-*.json"))
FIRST_REPORT: dict[str, Any] = {
    "format": 1,
    "agent": "0.1.0",
    "hardware": "x86-64",
    "running": {"image": None, "release": None, "system": ""},
    "update": None,
    "health": {"cameras": 2, "recording": 2, "spool_waiting": 0, "uploads": True},
}
FIRST_ANSWER: dict[str, Any] = {
    "format": 1,
    "wanted": {
        "rollout": 1,
        "attempt": 1,
        "at_once": False,
        "release": {"text": "{}", "key": "0" * 32, "signature": "AAAA"},
    },
    "window": {"days": ["mon"], "from": "02:00:00", "to": "04:00:00"},
    "zone": "Europe/Berlin",
    "lock": None,
    "poll_s": 60,
}
"""Format 1 as it was recorded when it landed. These stay as they are."""


def contracts(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_text())
    return loaded


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_the_centre_reads_what_an_older_device_sends(path: Path) -> None:
    for kind, body in contracts(path)["examples"].items():
        assert parse(json.dumps(body).encode()).type == kind


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_an_older_centre_reads_what_a_device_that_is_not_enrolled_sends(path: Path) -> None:
    """An enrolled one sends version 2 of some events, so the centre is updated before that."""
    for kind, schema in contracts(path)["schemas"].items():
        body = json.loads(encode(EXAMPLES[kind]))
        if body["version"] == 1:
            Draft202012Validator(schema).validate(body)


@pytest.mark.parametrize(
    ("model", "first"), [(DeviceUpdateReport, FIRST_REPORT), (UpdateAnswer, FIRST_ANSWER)]
)
def test_messages_of_updates_are_read_in_both_directions(
    model: type[BaseModel], first: dict[str, Any]
) -> None:
    read = model.model_validate(first)
    # A later version says more, and counts its format up; nothing that this one needs is missing.
    later = {**first, "format": 2, "later": {"more": 1}}
    assert model.model_validate(later).model_copy(update={"format": 1}) == read
    # What this version sends has all that the first one needs.
    assert set(first) <= set(json.loads(read.model_dump_json(by_alias=True)))

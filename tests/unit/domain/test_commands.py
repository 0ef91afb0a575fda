"""Rules of commands: states, bounds, whose camera."""

from typing import get_args

import pytest

from domain.commands import (
    COMMAND_RULES,
    DEVICE_PER_MINUTE,
    MAX_OPEN,
    PEOPLE_KINDS,
    PRINCIPAL_PER_MINUTE,
    CommandKind,
    CommandLoad,
    concerns_site,
    refusal,
    state_at,
)
from domain.events import EdgeCommand
from web.schemas.commands import Kind, PeopleKind


@pytest.mark.parametrize(
    ("state", "now_ms", "expected"),
    [
        ("sent", 99, "sent"),
        ("sent", 100, "expired"),
        ("answered", 100, "answered"),
        ("failed", 100, "failed"),
        ("expired", 0, "expired"),
    ],
)
def test_a_command_without_an_answer_expires_at_its_deadline(state, now_ms, expected) -> None:
    assert state_at(state, 100, now_ms) == expected


@pytest.mark.parametrize(
    ("camera", "expected"),
    [
        (None, True),
        ("acme/hq/gate", True),
        ("acme/hq-2/gate", False),
        ("globex/hq/gate", False),
    ],
)
def test_a_command_concerns_cameras_of_the_devices_site(camera, expected) -> None:
    assert concerns_site("acme/hq/box", camera) is expected


@pytest.mark.parametrize(
    ("load", "text"),
    [
        (CommandLoad(0, 0, 0), None),
        (CommandLoad(MAX_OPEN - 1, DEVICE_PER_MINUTE - 1, PRINCIPAL_PER_MINUTE - 1), None),
        (CommandLoad(MAX_OPEN, 0, 0), "wait for an answer"),
        (CommandLoad(0, DEVICE_PER_MINUTE, 0), "This device was given"),
        (CommandLoad(0, 0, PRINCIPAL_PER_MINUTE), "You gave"),
    ],
)
def test_one_command_too_many_is_refused(load, text) -> None:
    found = refusal(load)
    assert found is None if text is None else text in (found or "")


def test_the_kinds_are_the_same_everywhere() -> None:
    kinds = {kind.value for kind in CommandKind}
    assert set(COMMAND_RULES) == set(CommandKind)
    assert set(get_args(EdgeCommand.model_fields["kind"].annotation)) == kinds
    assert set(get_args(Kind)) == kinds
    assert set(get_args(PeopleKind)) == {kind.value for kind in PEOPLE_KINDS}

"""Which rule is used, what is deletable, and that a legal hold always wins."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidIdError
from domain.retention import (
    DAY_MS,
    Judgement,
    LegalHold,
    Margins,
    RetainedFootage,
    RetentionPolicy,
    RetentionRule,
    check_scope,
    covers,
)

HOUR_MS = 3_600_000
NOW_MS = 1_000 * DAY_MS
CAMERA = "acme/hq/gate"
SCOPES = ["acme", "acme/hq", "acme/hq/gate", "acme/hq/gate-2", "acme/h", "acm", "other/hq/gate"]
MARGINS = Margins(HOUR_MS, 2 * HOUR_MS)

times = st.integers(NOW_MS - 60 * DAY_MS, NOW_MS)
footages = st.builds(
    lambda start, length, revision, indexed, joined, older: RetainedFootage(
        start, start + length, revision, indexed, min(joined, revision), min(older, revision)
    ),
    *(times, st.integers(0, 2 * HOUR_MS), st.integers(0, 5), times),
    *(st.integers(0, 5), st.integers(1, 5)),
)
rules = st.lists(
    st.builds(RetentionRule, st.sampled_from(SCOPES), st.integers(1, 60)),
    unique_by=lambda r: r.scope,
)
holds = st.lists(
    st.builds(
        lambda scope, start, length: LegalHold(scope, start, length and start + length),
        *(st.sampled_from(SCOPES), times, st.none() | st.integers(1, 5 * DAY_MS)),
    ),
    max_size=4,
)


@pytest.mark.parametrize(
    ("given_rules", "days"),
    [
        ({}, None),
        ({"acme": 30}, 30),
        ({"acme": 30, "acme/hq": 7}, 7),
        ({"acme": 7, "acme/hq": 30}, 30),
        ({"acme": 30, "acme/hq": 7, "acme/hq/gate": 90}, 90),
        ({"acme/hq/gate-2": 1, "acme/h": 1, "acm": 1, "other": 1}, None),
    ],
)
def test_the_most_specific_rule_counts(given_rules: dict[str, int], days: int | None) -> None:
    policy = RetentionPolicy([RetentionRule(scope, many) for scope, many in given_rules.items()])
    assert policy.age_ms(CAMERA) == (days and days * DAY_MS)


#   chunk  [1000 .. 2000)      hold on it?
@pytest.mark.parametrize(
    ("from_ms", "to_ms", "touches"),
    [
        (0, 1_000, False),
        (0, 1_001, True),
        (1_999, 9_000, True),
        (2_000, 9_000, False),
        (1_200, 1_300, True),
        (0, None, True),
        (1_999, None, True),
        (2_000, None, False),
    ],
)
def test_a_hold_is_half_open(from_ms: int, to_ms: int | None, touches: bool) -> None:
    assert LegalHold(CAMERA, from_ms, to_ms).applies_to(CAMERA, 1_000, 2_000) is touches
    assert not LegalHold("acme/hq/other", from_ms, to_ms).applies_to(CAMERA, 1_000, 2_000)


def test_a_hold_keeps_an_instant_too() -> None:
    assert LegalHold(CAMERA, 1_000, 1_001).applies_to(CAMERA, 1_000, 1_000)


@pytest.mark.parametrize(
    ("footage", "reasons"),
    [
        # window's end, revision, indexed, fragments gone, older gone
        (RetainedFootage(0, NOW_MS - 30 * DAY_MS, 1, 0), {"age"}),
        (RetainedFootage(0, NOW_MS - 30 * DAY_MS + 1, 1, 0, 1), set()),
        (RetainedFootage(0, NOW_MS - 30 * DAY_MS, 3, 0), {"age"}),
        (RetainedFootage(0, NOW_MS, 1, NOW_MS - HOUR_MS), {"joined"}),
        (RetainedFootage(0, NOW_MS, 1, NOW_MS - HOUR_MS + 1), set()),
        (RetainedFootage(0, NOW_MS, 1, NOW_MS - HOUR_MS, 1), set()),
        (RetainedFootage(0, NOW_MS, 2, NOW_MS - HOUR_MS, 1), {"joined"}),
        (RetainedFootage(0, NOW_MS, 2, NOW_MS - 2 * HOUR_MS, 1), {"joined", "superseded"}),
        (RetainedFootage(0, NOW_MS, 2, NOW_MS - 2 * HOUR_MS, 2, 2), set()),
        (RetainedFootage(0, NOW_MS - DAY_MS), set()),
        (RetainedFootage(0, NOW_MS - 30 * DAY_MS), {"age"}),
    ],
)
def test_what_is_deletable(footage: RetainedFootage, reasons: set[str]) -> None:
    policy = RetentionPolicy([RetentionRule("acme", 30)], (), MARGINS)
    assert policy.judge(CAMERA, footage, NOW_MS) == Judgement(frozenset(reasons))


@given(rules, holds, footages)
def test_a_hold_always_wins(
    given_rules: list[RetentionRule], given_holds: list[LegalHold], footage: RetainedFootage
) -> None:
    judgement = RetentionPolicy(given_rules, given_holds, MARGINS).judge(CAMERA, footage, NOW_MS)
    free = RetentionPolicy(given_rules, (), MARGINS).judge(CAMERA, footage, NOW_MS)
    last_ms = max(footage.to_ms - 1, footage.from_ms)
    touched = any(
        covers(hold.scope, CAMERA)
        and hold.from_ms <= last_ms
        and (hold.to_ms is None or hold.to_ms > footage.from_ms)
        for hold in given_holds
    )
    if touched:
        assert not judgement.deletable
        assert judgement.held == bool(free.deletable)
    else:
        assert judgement == free


@given(rules, footages, st.integers(0, 90 * DAY_MS))
def test_what_is_deletable_for_its_age_stays_deletable(
    given_rules: list[RetentionRule], footage: RetainedFootage, later_ms: int
) -> None:
    policy = RetentionPolicy(given_rules, (), MARGINS)
    age_ms = policy.age_ms(CAMERA)
    now = policy.judge(CAMERA, footage, NOW_MS).deletable
    assert ("age" in now) == (age_ms is not None and footage.to_ms <= NOW_MS - age_ms)
    if "age" in now:
        assert policy.judge(CAMERA, footage, NOW_MS + later_ms).deletable == {"age"}


@pytest.mark.parametrize("scope", ["", "/", "acme/", "Acme", "a/b/c/d", "acme/*", "a//b", "a\n"])
def test_other_scopes_are_refused(scope: str) -> None:
    with pytest.raises(InvalidIdError):
        check_scope(scope)

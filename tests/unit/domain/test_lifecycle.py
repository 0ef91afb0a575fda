"""The bucket's lifecycle: later than retention, and never where there is a legal hold."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import ConfigError
from domain.lifecycle import SLACK_DAYS, lifecycle, unsafe_rules
from domain.retention import DAY_MS, LegalHold, RetentionPolicy, RetentionRule

CAMERAS = [f"{tenant}/{site}/gate" for tenant in ("acme", "bolt", "ac") for site in ("hq", "lab")]
SCOPES = ["acme", "bolt", "ac", "acme/hq", "bolt/lab", "ac/hq/gate", "acme/lab/gate", "bolt/hq"]


def expiring(document: dict[str, Any]) -> dict[str, int]:
    return {
        rule["Filter"]["Prefix"]: rule["Expiration"]["Days"]
        for rule in document["Rules"]
        if "Expiration" in rule
    }


def test_the_document() -> None:
    document = lifecycle(
        CAMERAS, RetentionPolicy([RetentionRule("acme", 30), RetentionRule("acme/hq", 90)])
    )
    assert json.loads(json.dumps(document)) == document
    assert expiring(document) == {
        "fragments/acme/": 90 + SLACK_DAYS,
        "chunks/acme/": 90 + SLACK_DAYS,
    }
    assert document["Rules"][0] == {
        "ID": "unfinished-uploads",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
    }


def test_a_hold_on_one_camera_stops_its_tenants_expiry() -> None:
    rules = [RetentionRule("acme", 30), RetentionRule("bolt", 7)]
    document = lifecycle(CAMERAS, RetentionPolicy(rules, [LegalHold("acme/hq/gate", 0, 1)]))
    assert set(expiring(document)) == {"fragments/bolt/", "chunks/bolt/"}


@given(
    st.dictionaries(st.sampled_from(SCOPES), st.integers(1, 400)),
    st.lists(st.sampled_from(SCOPES), max_size=2),
)
def test_nothing_expires_before_retention(rules: dict[str, int], held: list[str]) -> None:
    policy = RetentionPolicy(
        [RetentionRule(scope, days) for scope, days in rules.items()],
        [LegalHold(scope, 0) for scope in held],
    )
    days = expiring(lifecycle(CAMERAS, policy))
    for camera in CAMERAS:
        age_ms = policy.age_ms(camera)
        for prefix, after in days.items():
            if not any(f"{kind}/{camera}/".startswith(prefix) for kind in ("fragments", "chunks")):
                continue
            assert age_ms is not None, "footage without an age never expires"
            assert after * DAY_MS >= age_ms + SLACK_DAYS * DAY_MS
            assert not policy.is_held(camera, 0, 1)


def test_more_rules_than_s3_takes_are_refused() -> None:
    cameras = [f"t{number}/hq/gate" for number in range(500)]
    rules = [RetentionRule(f"t{number}", 1) for number in range(500)]
    with pytest.raises(ConfigError, match="1001"):
        lifecycle(cameras, RetentionPolicy(rules))


def test_rules_that_may_delete_footage_on_hold_are_found() -> None:
    rules = [RetentionRule("acme", 30), RetentionRule("bolt", 7)]
    before = lifecycle(CAMERAS, RetentionPolicy(rules))
    held = lifecycle(CAMERAS, RetentionPolicy(rules, [LegalHold("acme/hq/gate", 0, 1)]))
    longer = lifecycle(CAMERAS, RetentionPolicy([RetentionRule("acme", 90), *rules[1:]]))
    assert unsafe_rules(before["Rules"], before) == []
    assert unsafe_rules(longer["Rules"], before) == [], "later than needed"
    assert unsafe_rules([], held) == []
    assert unsafe_rules(before["Rules"], held) == ["fragments-acme", "chunks-acme"]
    assert unsafe_rules(before["Rules"], longer) == ["fragments-acme", "chunks-acme"]


ACME = {"Filter": {"Prefix": "chunks/acme/"}}


@pytest.mark.parametrize(
    ("rule", "is_unsafe"),
    [
        ({"Prefix": "", "Expiration": {"Days": 9_999}}, True),
        ({"Prefix": "", "Expiration": {"Days": 1}, "Status": "Disabled"}, False),
        ({"Filter": {}, "Expiration": {"Days": 9_999}}, True),
        ({"Filter": {}, "Expiration": {"ExpiredObjectDeleteMarker": True}}, False),
        (ACME | {"Expiration": {"Days": 60}}, False),
        (ACME | {"Expiration": {"Days": 59}}, True),
        (ACME | {"Expiration": {"Date": "2030-01-01T00:00:00Z"}}, True),
        ({"Filter": {"And": ACME["Filter"]}, "Expiration": {"Days": 60}}, False),
    ],
)
def test_rules_of_others(rule: dict[str, Any], is_unsafe: bool) -> None:
    expected = lifecycle(CAMERAS, RetentionPolicy([RetentionRule("acme", 30)]))
    assert bool(unsafe_rules([{"Status": "Enabled"} | rule], expected)) == is_unsafe

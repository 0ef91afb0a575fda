"""Renewals: two holders, lost answers, expired certificates."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from domain.device_renewal import GRACE_MS, IssuedGeneration, decide_renewal

NOW = 1_795_369_380_000
MINE, OTHER = "a" * 32, "b" * 32
DAY_MS = 86_400_000


def issued(generation: int = 5, **more: object) -> IssuedGeneration:
    return replace(IssuedGeneration("enrolled", generation, MINE, NOW + DAY_MS), **more)


def test_a_renewal_gets_the_next_generation() -> None:
    assert decide_renewal(issued(), 5, OTHER, NOW) == "issue"


def test_a_lost_answer_comes_again() -> None:
    assert decide_renewal(issued(), 4, MINE, NOW) == "repeat"
    # However late: its certificate has expired, but the device then knows its generation.
    assert decide_renewal(issued(), 4, MINE, NOW + 40 * DAY_MS) == "repeat"


def test_another_request_for_a_replaced_generation_locks() -> None:
    assert decide_renewal(issued(), 4, OTHER, NOW) == "lock"
    assert decide_renewal(issued(), 3, MINE, NOW) == "lock"


def test_an_expired_certificate_is_renewed_for_thirty_days() -> None:
    at = issued().expires_ms
    assert decide_renewal(issued(), 5, OTHER, at + GRACE_MS) == "issue"
    assert decide_renewal(issued(), 5, OTHER, at + GRACE_MS + 1) == "expired"


def test_what_is_locked_or_revoked_stays_so() -> None:
    for state in ("locked", "revoked"):
        for generation in (1, 4, 5, 6):
            assert decide_renewal(issued(state=state), generation, MINE, NOW) == state


def test_after_an_unlock_one_device_joins_again_whatever_its_generation() -> None:
    unlocked = issued(can_rejoin=True)
    for generation in range(1, 6):
        assert decide_renewal(unlocked, generation, OTHER, NOW) == "issue"
    assert decide_renewal(unlocked, 6, OTHER, NOW) == "unknown"


def test_a_restored_catalog_believes_the_certificate() -> None:
    assert decide_renewal(issued(), 7, OTHER, NOW) == "unknown"
    assert decide_renewal(issued(), 7, OTHER, NOW, is_proven=True) == "issue"
    assert decide_renewal(issued(), 4, OTHER, NOW, is_proven=True) == "lock"
    assert decide_renewal(issued(state="revoked"), 7, OTHER, NOW, is_proven=True) == "revoked"


@given(st.lists(st.sampled_from("AB"), min_size=2, max_size=12))
def test_two_holders_never_both_renew(turns: list[str]) -> None:
    """Devices with a copy of one disk renew in any order: the second holder locks it."""
    state = issued(1)
    known = {"A": 1, "B": 1}
    for number, who in enumerate(turns):
        renewal_id = f"{number:032x}"
        decision = decide_renewal(state, known[who], renewal_id, NOW)
        others = set(turns[:number]) - {who}
        if state.state == "locked":
            assert decision == "locked"
        elif others:
            assert decision == "lock"
            state = replace(state, state="locked")
        else:
            assert decision == "issue"
            state = replace(state, generation=state.generation + 1, renewal_id=renewal_id)
            known[who] = state.generation

"""The reel of `vigil bench join`, and what `vigil bench recovery` reads from metrics."""

from pathlib import Path

import pytest

from bench.recovery import Kill, _summed
from bench.recovery_watch import value
from harness import noise_footage as reel
from media.keyframes import index_video


@pytest.mark.parametrize("megabits", [1, 4])
def test_a_reel_has_its_bit_rate_and_is_cut_at_keyframes(tmp_path: Path, megabits: int) -> None:
    path = tmp_path / "reel.ts"
    reel.film(path, seconds=9, megabits=megabits)
    assert path.stat().st_size * 8 / 9 == pytest.approx(megabits * 1e6, rel=0.15)
    cuts = reel.cut(path)
    assert [each.seq for each in cuts] == [0, 1, 2]
    assert [each.duration_ms for each in cuts] == [4_000, 4_000, 1_000]
    assert sum(index_video(each.data, each.start_pts).frames for each in cuts) == 9 * reel.FPS
    assert b"".join(each.data for each in cuts)[0] == 0x47


def test_metrics_are_summed_over_their_labels() -> None:
    text = (
        'vigil_events_total{outcome="done",topic="a"} 3.0\n'
        'vigil_events_total{outcome="dead-letter",topic="a"} 1.0\n'
        'vigil_events_created{outcome="done",topic="a"} 9.0\n'
        "vigil_ready 1.0\n"
    )
    assert (value(text, "vigil_events_total"), value(text, "vigil_ready")) == (4, 1)
    assert value(text, "vigil_rebalances_total") == 0


def test_kills_are_summed_up_by_their_middle_and_their_slowest() -> None:
    kills = [Kill(first_event_s=each, no_lag_s=each + 1) for each in (3.0, 1.0, 2.0)]
    figures = _summed(kills)
    assert (figures["first_event_s"], figures["first_event_s_max"]) == (2.0, 3.0)
    assert "other_paused_s" not in figures, "there is no other worker"

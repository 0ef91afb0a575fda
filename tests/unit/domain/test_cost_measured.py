"""What an installation knows of its own workload, and what it says of the rest."""

from typing import get_args

from domain.cost.measured import DAY_MS, CameraRecording, measured
from domain.cost.prices import REGIONS
from domain.cost.workload import PLATFORMS, Workload
from web.schemas.cost import Environment, Region

USUAL = Workload()


def camera(name: str, *, days: int = 0, mbit_s: float = 0, share: float = 1, keep: int | None = 30):
    """Return a camera that recorded `share` of some days, in fragments of 4 s."""
    recorded_ms = round(days * DAY_MS * share)
    return CameraRecording(
        camera=name,
        days=days,
        size_bytes=round(recorded_ms * mbit_s * 1_000 / 8),
        recorded_ms=recorded_ms,
        fragments=recorded_ms // 4_000,
        retention_days=keep,
    )


def test_rates_are_those_of_the_cameras_that_recorded() -> None:
    found = measured(
        USUAL,
        [
            camera("acme/hq/gate", days=7, mbit_s=2),
            camera("acme/hq/yard", days=7, mbit_s=6, share=0.5),
            camera("acme/mill/door"),  # new, no whole day yet
        ],
        7,
    )
    assert (found.workload.sites, found.workload.cameras) == (2, 3)
    assert found.workload.cameras_per_site == 1.5
    # 7 days at 2 and 3.5 days at 6 Mbit/s, of 14 camera-days.
    assert found.workload.mbit_s == 3.333
    assert found.workload.uploaded_share == 0.75
    assert found.workload.fragment_s == 4
    assert found.workload.retention_days == 30
    assert found.sources == {
        "sites": "measured", "cameras_per_site": "measured", "mbit_s": "measured",
        "uploaded_share": "measured", "fragment_s": "measured", "retention_days": "setting",
    }  # fmt: skip
    assert "2 of 3 cameras" in found.notes[0]


def test_without_footage_rates_are_assumed_and_it_says_so() -> None:
    found = measured(USUAL, [camera("acme/hq/gate", keep=None)], 7)
    assert found.workload.mbit_s == USUAL.mbit_s
    assert set(found.sources) == {"sites", "cameras_per_site"}
    assert "assumed" in found.notes[0]
    assert "1 of 1 cameras have no retention rule" in found.notes[1]


def test_an_empty_installation_is_the_usual_one() -> None:
    found = measured(USUAL, [], 7)
    assert (found.workload, found.sources) == (USUAL, {})
    assert found.notes == ("No camera is in use yet, so all of it is assumed.",)


def test_what_no_workload_can_be_is_brought_within_its_bounds() -> None:
    odd = CameraRecording("acme/hq/gate", 1, 10, 1_000, 1_000, 30)
    found = measured(USUAL, [odd], 7)
    assert found.workload.mbit_s == 0.01
    assert found.workload.uploaded_share == 0.001
    assert found.workload.fragment_s == 2


def test_the_choices_of_the_api_are_those_of_the_tables() -> None:
    assert set(get_args(Region)) == set(REGIONS)
    assert set(get_args(Environment)) == set(PLATFORMS)

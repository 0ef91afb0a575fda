"""Series of cameras and edges: they go some hours after the last footage or heartbeat."""

from collections.abc import Iterator

import pytest

from agents.indexing import index_metrics
from agents.indexing.index_metrics import (
    FORGOTTEN_MS,
    forget_silent,
    observe_detection,
    observe_fragment,
    observe_heartbeat,
    observe_playable,
    set_site_health,
)
from domain.events import Detection, DetectionFrame, FragmentArrived, Heartbeat
from stores.catalog.site_health import SiteHealth
from streams.metrics import REGISTRY

NOW_MS = 1_790_000_000_000
CAMERA = "acme/metrics/gate"
EDGE = {"site": "acme/metrics", "edge": "one"}
RUN = "01a0c4a2-3c00-7000-8000-000000000000"


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    now = [NOW_MS]
    monkeypatch.setattr(index_metrics, "utc_ms", lambda: now[0])
    yield now
    forget_silent(NOW_MS + 10 * FORGOTTEN_MS)


def fragment(end_ms: int) -> FragmentArrived:
    return FragmentArrived.model_construct(
        type="fragment-arrived",
        camera=CAMERA,
        run=RUN,
        seq=0,
        start_ms=end_ms - 4_000,
        duration_ms=4_000,
    )


def heartbeat(sent_ms: int) -> Heartbeat:
    return Heartbeat.model_construct(
        **EDGE, sent_ms=sent_ms, spool_oldest_ms=sent_ms - 5_000, disk_free_bytes=7
    )


def value(name: str, **labels: str) -> float | None:
    for metric in REGISTRY.collect():
        for sample in metric.samples:
            if sample.name == name and sample.labels == labels:
                return sample.value
    return None


def test_the_series_go_after_hours_of_silence_and_come_back(clock: list[int]) -> None:
    observe_fragment(fragment(NOW_MS), NOW_MS)
    observe_heartbeat(heartbeat(NOW_MS), NOW_MS)
    clock[0] = NOW_MS + FORGOTTEN_MS
    assert value("vigil_camera_newest_seconds", camera=CAMERA) == NOW_MS / 1_000
    assert value("vigil_edge_heard_seconds", **EDGE) == NOW_MS / 1_000
    clock[0] += 1
    names = ("heard_seconds", "oldest_waiting_seconds", "free_bytes")
    assert value("vigil_camera_newest_seconds", camera=CAMERA) is None
    assert [value(f"vigil_edge_{name}", **EDGE) for name in names] == [None] * 3
    observe_heartbeat(heartbeat(clock[0]), clock[0])
    assert value("vigil_edge_oldest_waiting_seconds", **EDGE) == 5


def test_the_certificate_of_an_enrolled_edge(clock: list[int]) -> None:
    names = ("renew", "end")
    enrolled = {"identity_renew_ms": NOW_MS, "identity_expires_ms": NOW_MS + 9_000}
    observe_heartbeat(heartbeat(NOW_MS).model_copy(update=enrolled), NOW_MS)
    found = [value(f"vigil_edge_certificate_{name}_seconds", **EDGE) for name in names]
    assert found == [NOW_MS / 1_000, NOW_MS / 1_000 + 9]
    observe_heartbeat(heartbeat(NOW_MS + 1), NOW_MS + 1)  # it is not enrolled any more
    assert [value(f"vigil_edge_certificate_{name}_seconds", **EDGE) for name in names] == [None] * 2


def test_what_is_old_makes_no_series(clock: list[int]) -> None:
    """A worker that reads a topic again does not bring back devices that are out of use."""
    observe_fragment(fragment(NOW_MS - FORGOTTEN_MS), NOW_MS)
    observe_heartbeat(heartbeat(NOW_MS - FORGOTTEN_MS - 1), NOW_MS)
    assert value("vigil_camera_newest_seconds", camera=CAMERA) is None
    assert value("vigil_edge_heard_seconds", **EDGE) is None


def test_a_fast_clock_does_not_keep_a_series(clock: list[int]) -> None:
    observe_heartbeat(heartbeat(NOW_MS + 100 * FORGOTTEN_MS), NOW_MS)
    observe_fragment(fragment(NOW_MS + 300_000), NOW_MS)
    clock[0] = NOW_MS + FORGOTTEN_MS + 1
    assert value("vigil_edge_heard_seconds", **EDGE) is None
    assert value("vigil_camera_newest_seconds", camera=CAMERA) is None


def change(before: dict[str, float], name: str, **labels: str) -> float:
    return (value(name, **labels) or 0) - before.get(name, 0)


def test_latencies_leave_out_what_waited_at_its_site(clock: list[int]) -> None:
    names = ("vigil_playable_seconds_count", "vigil_playable_seconds_sum")
    before = {name: value(name) or 0 for name in names}
    backlog = value("vigil_backlog_events_total", type="fragment-arrived") or 0
    observe_playable(fragment(NOW_MS - 3_000), NOW_MS - 1_000, NOW_MS)
    # The cloud is slow: it counts.
    observe_playable(fragment(NOW_MS - 200_000), NOW_MS - 150_000, NOW_MS)
    # The site was cut off: it does not.
    observe_playable(fragment(NOW_MS - 200_000), NOW_MS - 1_000, NOW_MS)
    assert change(before, "vigil_playable_seconds_count") == 2
    assert change(before, "vigil_playable_seconds_sum") == 203
    assert value("vigil_backlog_events_total", type="fragment-arrived") == backlog + 1


def detection(at_ms: int, replay: int | None = None) -> Detection:
    frames = [DetectionFrame(pts=0, at_ms=at_ms, objects=[])]
    return Detection(
        camera=CAMERA, run=RUN, model="m", model_version="1", frames=frames, replay=replay
    )


def test_latencies_leave_out_replays(clock: list[int]) -> None:
    before = {"vigil_detection_seconds_count": value("vigil_detection_seconds_count") or 0}
    observe_detection(detection(NOW_MS - 2_000), NOW_MS, NOW_MS)
    observe_detection(detection(NOW_MS - 2_000, replay=1), NOW_MS, NOW_MS)
    observe_detection(detection(NOW_MS - 90_000), NOW_MS, NOW_MS)
    assert change(before, "vigil_detection_seconds_count") == 1


def test_sites_are_as_the_catalog_says_or_unknown() -> None:
    set_site_health([SiteHealth("acme/metrics", "refuse", 16, 3, 0, 0)])
    assert value("vigil_site_cameras", site="acme/metrics") == 16
    assert value("vigil_site_cameras_sending", site="acme/metrics") == 3
    assert value("vigil_site_edges", site="acme/metrics") is None, "it has none"
    set_site_health([])
    assert value("vigil_site_cameras", site="acme/metrics") is None

"""Lags in seconds, on a clock of the test's own."""

from prometheus_client import generate_latest

from domain.events import Healed, Tick
from streams.lag import LagCollector, event_time_ms
from streams.metrics import REGISTRY
from tests.integration.delivery import fragment

TOPIC = "fragment-arrived"
RUN = "01976a3b-1c2d-7e3f-8a4b-5c6d7e8f9a0b"


def test_lags_are_the_age_of_what_was_handled_while_something_is_left() -> None:
    event = fragment("test/site/cam1", 0)
    now = [event.end_ms + 9_000]
    left = {(TOPIC, 0): 5, (TOPIC, 1): 3}
    collector = LagCollector(lambda: now[0])
    collector.watch(lambda: left)
    collector.handled(TOPIC, 0, event.end_ms + 2_000, event)
    assert collector.lags_s() == {(TOPIC, 0): (5, 9.0, 7.0), (TOPIC, 1): (3, 0.0, 0.0)}
    left[TOPIC, 0] = 0
    assert collector.lags_s()[TOPIC, 0] == (0, 0.0, 0.0)


def test_older_footage_does_not_lower_what_was_reached() -> None:
    event = fragment("test/site/cam1", 50)
    older = fragment("test/site/cam1", 0)
    collector = LagCollector(lambda: event.end_ms + 1_000)
    collector.watch(lambda: {(TOPIC, 0): 1})
    collector.handled(TOPIC, 0, event.end_ms, event)
    collector.handled(TOPIC, 0, event.end_ms + 500, older)
    assert collector.lags_s()[TOPIC, 0] == (1, 1.0, 0.5)


def test_a_partition_that_moved_to_another_worker_is_forgotten() -> None:
    event = fragment("test/site/cam1", 0)
    left = {(TOPIC, 0): 1}
    collector = LagCollector(lambda: event.end_ms + 1_000)
    collector.watch(lambda: left)
    collector.handled(TOPIC, 0, event.end_ms, event)
    del left[TOPIC, 0]
    assert collector.lags_s() == {}
    left[TOPIC, 0] = 1
    assert collector.lags_s()[TOPIC, 0] == (1, 0.0, 0.0)


def test_the_clouds_own_events_have_no_event_time() -> None:
    assert event_time_ms(Tick(partition=0, at_ms=5)) is None
    assert event_time_ms(Healed(camera="a/b/c", run=RUN, window_start_ms=5, found=0)) is None


def test_the_metrics_page_names_them() -> None:
    page = generate_latest(REGISTRY).decode()
    for name in ("vigil_commit_lag", "vigil_event_lag_seconds", "vigil_log_lag_seconds"):
        assert f"# TYPE {name} gauge" in page

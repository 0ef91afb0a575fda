"""The topics as data."""

import pytest

from domain.errors import ConfigError
from domain.events import EVENTS
from streams import topics
from streams.settings import Settings
from streams.topic_admin import TopicState, check_partitions, drift_of


def test_every_event_has_exactly_one_topic() -> None:
    placed = [event for topic in topics.TOPICS for event in topic.events]
    assert sorted(placed, key=str) == sorted(EVENTS.values(), key=str)
    for event in EVENTS.values():
        assert event in topics.topic_of(event).events


def test_retention_follows_the_settings() -> None:
    settings = Settings(retention_hours=2, replication=3)
    hours_2 = str(2 * 3_600_000)
    config = topics.FRAGMENT_ARRIVED.config(settings)
    assert (config["cleanup.policy"], config["retention.ms"]) == ("delete", hours_2)
    assert config["min.insync.replicas"] == "2"
    assert topics.DEAD_LETTER.config(settings)["retention.ms"] == str(8 * 3_600_000)
    assert topics.DELETED.config(settings)["retention.ms"] == "-1"


def test_a_changelog_is_compacted_and_named_as_faust_names_it() -> None:
    spec = topics.changelog("vigil-assemble", "runs")
    assert spec.full_name == "vigil-assemble-runs-changelog"
    config = spec.config(Settings())
    assert config["cleanup.policy"] == "compact" and "retention.ms" not in config


def test_drift_is_what_differs_from_what_is_wanted() -> None:
    state = TopicState("t", 8, {"a": "1", "b": "2", "c": "3"}, frozenset())
    assert drift_of(state, {"a": "1", "b": "9", "d": "4"}) == {"b": ("2", "9"), "d": ("", "4")}


def test_another_number_of_partitions_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match="has 4 partitions, VIGIL_PARTITIONS says 8"):
        check_partitions(TopicState("t", 4, {}, frozenset()), 8)

"""A topic's name follows from the settings that are asked about, not from the process's own."""

from streams.settings import Settings
from streams.topics import FRAGMENT_ARRIVED, changelog


def test_the_prefix_is_that_of_the_settings() -> None:
    settings = Settings.model_validate({"topic_prefix": "blue-"})
    assert FRAGMENT_ARRIVED.name_for(settings) == "blue-fragment-arrived"
    assert changelog("app", "table").name_for(settings) == "app-table-changelog"

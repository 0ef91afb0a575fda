"""The settings of a worker's app."""

from pathlib import Path

import pytest

from domain.errors import ConfigError
from streams.app import App, make_app
from streams.process_exit import EXIT_FAILURE, exit_process
from streams.settings import get_settings


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    monkeypatch.setenv("VIGIL_DATA_DIR", str(tmp_path))
    get_settings.cache_clear()
    monkeypatch.setattr("streams.app._use_uvloop", lambda: None)
    yield monkeypatch
    get_settings.cache_clear()


def test_a_worker_is_a_static_member_with_a_folder_of_its_own(
    env: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    env.setenv("VIGIL_WORKER_INSTANCE", "b7")
    env.setenv("VIGIL_KAFKA_BROKERS", "k1:9092, k2:9093")
    app = make_app("assemble")
    assert app.conf.id == "vigil-assemble"
    assert app.conf.consumer_group_instance_id == "vigil-assemble-b7"
    assert app.conf.datadir == tmp_path / "workers" / "vigil-assemble-b7"
    assert [str(url) for url in app.conf.broker] == ["kafka://k1:9092", "kafka://k2:9093"]
    assert app.conf.processing_guarantee.name == "AT_LEAST_ONCE"
    assert app.conf.consumer_auto_offset_reset == "earliest"


def test_a_worker_serves_no_web_page_even_under_faust_worker(env: pytest.MonkeyPatch) -> None:
    app = make_app("assemble")
    app.conf.web_enabled = True  # what the command does
    assert list(app.boot_strategy.web_server()) == []
    web = make_app("web", web=True)
    assert list(web.boot_strategy.web_server()) != []


def test_the_changelogs_of_its_tables_are_among_the_topics_it_needs(
    env: pytest.MonkeyPatch,
) -> None:
    app = make_app("assemble")
    table = app.Table("runs")
    names = [spec.full_name for spec in app.needed_topics()]
    assert table.changelog_topic.topics[0] == "vigil-assemble-runs-changelog"
    assert "vigil-assemble-runs-changelog" in names and "fragment-arrived" in names


def test_a_wrong_setting_is_named(env: pytest.MonkeyPatch) -> None:
    env.setenv("VIGIL_SESSION_TIMEOUT_S", "1")
    with pytest.raises(ConfigError, match="VIGIL_SESSION_TIMEOUT_S"):
        make_app("assemble")


def test_it_is_not_ready_before_it_has_partitions(env: pytest.MonkeyPatch) -> None:
    app = make_app("assemble")
    assert isinstance(app, App) and app.ready is False


def test_ending_the_process_says_why_and_is_not_zero(caplog: pytest.LogCaptureFixture) -> None:
    codes: list[int] = []
    exit_process("The disk is full.", leave=codes.append)
    assert codes == [EXIT_FAILURE] and EXIT_FAILURE != 0
    assert "The disk is full." in caplog.text

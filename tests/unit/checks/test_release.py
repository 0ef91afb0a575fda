"""One version in all files, and what a tag has to fulfil."""

import shutil
from pathlib import Path

import pytest

from checks import release

ROOT = Path(__file__).parents[3]


@pytest.fixture
def project(tmp_path, monkeypatch):
    for name in ("pyproject.toml", *release._REPEATED):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_all_files_say_the_same_version():
    assert list(release.differences(release.version())) == []


def test_a_version_is_written_everywhere_and_nothing_else_changes(project):
    before = {name: (project / name).read_text() for name in release._REPEATED}
    old = release.version()
    assert release.main(["--set", "7.8.9"]) == 0
    assert release.version() == "7.8.9"
    assert list(release.differences("7.8.9")) == []
    for name, text in before.items():
        assert (project / name).read_text() != text, name
    assert release.main(["--set", old]) == 0
    assert {name: (project / name).read_text() for name in before} == before


def test_a_file_with_another_version_is_named(project):
    chart = project / "helm/vigil/Chart.yaml"
    chart.write_text(chart.read_text().replace("appVersion: ", "appVersion: 9"))
    (sentence,) = release.differences(release.version())
    assert sentence.startswith("helm/vigil/Chart.yaml says 9")


@pytest.mark.parametrize("wanted", ["", "1.2", "v1.2.3", "1.2.3; rm"])
def test_what_is_not_a_version_is_not_written(project, wanted, capsys):
    assert release.main(["--set", wanted]) == 1
    assert "is not a semantic version" in capsys.readouterr().err


def test_a_tag_needs_its_version_and_its_section_of_the_changelog():
    wanted = release.version()
    changelog = f"# Changelog\n\n## [{wanted}] - 2026-11-30\n"
    assert list(release.obstacles(f"v{wanted}", changelog)) == []
    other, missing = release.obstacles("v99.0.0", "## [Unreleased]\n")
    assert other == f"The tag is v99.0.0, pyproject.toml says {wanted}."
    assert "CHANGELOG.md has no section" in missing

"""The record of a release, its zip, and the freeze."""

import json
import zipfile
from pathlib import Path

import pytest

from deploy import announce, freeze
from deploy.provenance import builder_of, commit_of, predicate
from deploy.release import hash_of, read
from deploy.tools import DeliveryError
from tests.unit.deploy.conftest import CLOUD, COMMIT, ROOT

RECORD = Path("build/release/release.json")


def test_a_record_is_read_as_it_was_written(release):
    assert read(RECORD) == release


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"version": "1"}', '{"version": 1, "commit": "", "chart": "", "images": []}'],
)
def test_a_record_that_is_not_whole_is_refused(release, text):
    RECORD.write_text(text)
    with pytest.raises(DeliveryError, match=r"release.json is not a record of a release"):
        read(RECORD)


def test_a_tag_instead_of_a_digest_is_refused(release):
    RECORD.write_text(RECORD.read_text().replace(CLOUD, "v1.2.0"))
    with pytest.raises(DeliveryError, match="cloud has no digest"):
        read(RECORD)


def test_the_hash_of_a_chart_covers_names_and_contents(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/values").write_text("1")
    first = hash_of(tmp_path / "a")
    (tmp_path / "a/values").write_text("2")
    assert hash_of(tmp_path / "a") != first
    (tmp_path / "a/values").rename(tmp_path / "a/other")
    (tmp_path / "a/other").write_text("1")
    assert hash_of(tmp_path / "a") != first


def test_the_provenance_names_commit_builder_and_run(release):
    environment = {
        "GITHUB_REPOSITORY": "example/vigil",
        "GITHUB_REF": "refs/tags/v1.2.0",
        "GITHUB_RUN_ID": "7",
        "GITHUB_WORKFLOW_REF": "example/vigil/.github/workflows/release.yaml@refs/tags/v1.2.0",
    }
    made = predicate(release, "cloud", environment)
    assert commit_of(made) == COMMIT
    assert builder_of(made).startswith("https://github.com/example/vigil/.github/workflows/")
    invocation = made["runDetails"]["metadata"]["invocationId"]
    assert invocation == "https://github.com/example/vigil/actions/runs/7"
    assert builder_of(predicate(release, "cloud", {})) == "local"


def test_the_zip_has_what_an_installation_needs(release, programs, monkeypatch, capsys):
    Path("Makefile").write_text("deploy:\n")
    monkeypatch.setenv("BUCKET", "vigil-releases")
    assert announce.main() == 1
    assert "release.json.sig is missing: `make sign` writes it" in capsys.readouterr().err

    RECORD.with_suffix(".json.sig").write_text("{}")
    assert announce.main() == 0
    with zipfile.ZipFile(announce.ARCHIVE) as packed:
        assert set(packed.namelist()) == {
            "Makefile",
            "build/release/release.json",
            "build/release/release.json.sig",
            "deploy/environments.json",
            "helm/vigil/values-production.yaml",
        }
    first = announce.ARCHIVE.read_bytes()
    version, current = programs.calls("aws s3 cp")
    assert version.endswith("s3://vigil-releases/releases/v1.2.0.zip")
    assert current.endswith("s3://vigil-releases/releases/current.zip")
    announce.pack(RECORD, announce.ARCHIVE)
    assert announce.ARCHIVE.read_bytes() == first


def frozen(monkeypatch, command, **given):
    monkeypatch.setattr("sys.argv", ["freeze", command])
    for name in ("ENV", "REASON"):
        monkeypatch.setenv(name, given.get(name, ""))
    return freeze.main()


def test_a_freeze_closes_the_way_into_the_approval(release, programs, monkeypatch, capsys):
    assert frozen(monkeypatch, "freeze", ENV="production", REASON="Holidays") == 0
    (call,) = programs.calls("aws")
    assert "disable-stage-transition" in call
    assert "--stage-name production-approval --transition-type Inbound" in call
    assert call.endswith("--reason Holidays")
    assert frozen(monkeypatch, "unfreeze", ENV="production") == 0
    assert len(programs.calls("enable-stage-transition")) == 1


def test_a_freeze_needs_a_reason_and_a_known_environment(release, programs, monkeypatch, capsys):
    assert frozen(monkeypatch, "freeze", ENV="production") == 1
    assert "Set REASON" in capsys.readouterr().err
    assert frozen(monkeypatch, "freeze", ENV="prod", REASON="Holidays") == 1
    assert programs.calls("aws") == []


def test_environments_fit_the_values_of_the_chart():
    environments = json.loads((ROOT / "deploy/environments.json").read_text())
    for name in environments:
        assert (ROOT / f"helm/vigil/values-{name}.yaml").exists()
    assert [name for name, each in environments.items() if each["approval"]] == ["production"]

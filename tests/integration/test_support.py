"""`vigil support bundle`: it has what helps, and none of the secrets that were planted."""

import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import SecretStr

from cli import support
from cli.main import main
from domain.errors import ConfigError
from streams.settings import Settings, get_settings
from tests.conftest import Services

PLANT = "PLANTED"
LOG = f"""\
time=2026-11-30T10:00:00.000Z level=info msg=joined camera=acme/hq/gate.
time=2026-11-30T10:00:01.000Z level=error logger=stores.objects msg="failed" \
url=https://user:{PLANT}1@s3.example.com/bucket?X-Amz-Signature={PLANT}2
time=2026-11-30T10:00:02.000Z level=info msg="password={PLANT}3 token: {PLANT}4 Bearer {PLANT}5"
-----BEGIN PRIVATE KEY----- {PLANT}6
from ann.{PLANT}7@example.com at 203.0.113.77
vk_{PLANT}8{"a" * 40}
"""


def read(path: Path) -> Mapping[str, str]:
    with tarfile.open(path) as archive:
        return {
            member.name.removeprefix("vigil-support/"): file.read().decode()
            for member in archive.getmembers()
            if (file := archive.extractfile(member)) is not None
        }


def planted(name: str, info: object) -> object:
    """Return a value for a setting that has to stay out of the bundle."""
    annotation = str(getattr(info, "annotation", ""))
    if "SecretStr" in annotation:
        return SecretStr(f"{PLANT}-{name}")
    if "Path" in annotation:
        return Path(f"/run/secrets/{PLANT}-{name}")
    return f"{PLANT}-{name}"


def test_only_listed_settings_are_shown() -> None:
    """Each setting that is a text, a secret or a path is planted, except the listed ones."""
    values = {
        name: planted(name, info)
        for name, info in Settings.model_fields.items()
        if name not in support.SHOWN_SETTINGS and "int" not in str(info.annotation)
    }
    settings = Settings.model_construct(**values)  # type: ignore[arg-type]
    shown = support.shown_settings(settings)
    assert PLANT not in json.dumps(shown, default=str)
    assert set(shown) == set(Settings.model_fields), "each says whether it is set"
    assert {shown[name] for name in values} == {"set"}
    assert shown["window_ms"] == 60_000


def test_no_secret_is_on_the_list() -> None:
    for name in support.SHOWN_SETTINGS:
        info = Settings.model_fields[name]
        assert "Secret" not in str(info.annotation), name
        assert not name.endswith(("_file", "_url", "_endpoint", "_host", "_key", "_password"))


def test_a_bundle(
    services: Services, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    log = tmp_path / "join.log"
    log.write_text(LOG)
    file = tmp_path / "support.tar.gz"
    monkeypatch.setenv("VIGIL_SESSION_SECRET", f"{PLANT}-session" * 4)
    get_settings.cache_clear()
    with pytest.raises(SystemExit) as ended:
        main(["support", "bundle", str(file), "--log", str(log),
              "--program", "join=http://127.0.0.1:1"])  # fmt: skip
    get_settings.cache_clear()
    assert not ended.value.code
    assert "Read it before you send it" in capsys.readouterr().out
    assert file.stat().st_mode & 0o777 == 0o600
    files = read(file)
    everything = "".join(files.values())
    assert PLANT not in everything
    for private in ("acme/hq/gate", "203.0.113.77", "example.com", "127.0.0.1"):
        assert private not in everything, private
    assert set(json.loads(files["manifest.json"])["files"]) == set(files) - {"manifest.json"}
    assert json.loads(files["versions.json"])["packages"]["vigil"]
    assert "error" not in json.loads(files["topics.json"])
    assert "error" not in json.loads(files["lags.json"])
    assert "schema_needed" in json.loads(files["catalog.json"])
    assert files["programs/join-readyz.txt"].startswith("no answer")
    assert "level=error" in files["logs/01-join.log"].split("# log")[0]


@pytest.mark.slow
def test_what_cannot_be_reached_has_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIGIL_KAFKA_BROKERS", "127.0.0.1:1")
    monkeypatch.setenv("VIGIL_DATABASE_URL", f"postgresql://vigil:{PLANT}@127.0.0.1:1/vigil")
    get_settings.cache_clear()
    file = tmp_path / "support.tar.gz"
    with pytest.raises(SystemExit) as ended:
        main(["support", "bundle", str(file)])
    get_settings.cache_clear()
    assert not ended.value.code
    files = read(file)
    assert PLANT not in "".join(files.values())
    assert "error" in json.loads(files["catalog.json"])
    assert "error" in json.loads(files["topics.json"])


def test_names_by_choice() -> None:
    line = "camera=acme/hq/gate failed"
    assert "acme" not in support.redacted(line)
    assert "acme/hq/gate" in support.redacted(line, names=True)
    metric = 'vigil_camera_seconds{camera="acme/hq/gate",topic="t"} 4'
    assert support._metrics(metric, names=False) == 'vigil_camera_seconds{camera="…",topic="t"} 4'
    assert support._metrics(metric, names=True) == metric


def test_it_overwrites_nothing(tmp_path: Path) -> None:
    file = tmp_path / "mine.tar.gz"
    file.write_text("mine")
    with pytest.raises(SystemExit, match="exists"):
        main(["support", "bundle", str(file)])
    assert file.read_text() == "mine"
    with pytest.raises(ConfigError, match="--program"):
        support._named("join")

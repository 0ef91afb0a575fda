"""Jars are the ones listed, by their hash, or none."""

import hashlib
from pathlib import Path

import pytest

from domain.errors import VigilError
from local import java

LISTS = Path(java.__file__).parent / "jars"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIGIL_CACHE_DIR", str(tmp_path))
    return tmp_path / "maven"


def listed(monkeypatch: pytest.MonkeyPatch, sha256: str) -> None:
    monkeypatch.setattr(java, "read_list", lambda _: [("org.example:thing:1.0", sha256)])


def downloads(monkeypatch: pytest.MonkeyPatch, *contents: bytes) -> list[str]:
    asked: list[str] = []

    def download(coordinate: str, folder: Path) -> Path:
        path = folder / "thing-1.0.jar"
        if not path.exists():
            path.write_bytes(contents[len(asked)])
        asked.append(coordinate)
        return path

    monkeypatch.setattr(java, "_download", download)
    return asked


@pytest.mark.parametrize("path", sorted(LISTS.glob("*.txt")), ids=lambda path: path.stem)
def test_every_list_pins_each_jar_once(path: Path) -> None:
    entries = java.read_list(path)
    assert entries
    names = [coordinate for coordinate, _ in entries]
    assert len(set(names)) == len(names)
    for coordinate, sha256 in entries:
        assert len(coordinate.split(":")) == 3
        assert len(bytes.fromhex(sha256)) == 32


def test_a_jar_is_fetched_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed(monkeypatch, hashlib.sha256(b"jar").hexdigest())
    asked = downloads(monkeypatch, b"jar")
    reports: list[str] = []
    for _ in range(2):
        assert [path.read_bytes() for path in java.jars("thing", reports.append)] == [b"jar"]
    assert asked == ["org.example:thing:1.0"]
    assert reports == ["thing: downloading its packages (1 of 1)"]


def test_a_jar_cut_off_earlier_is_fetched_again(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed(monkeypatch, hashlib.sha256(b"jar").hexdigest())
    downloads(monkeypatch, b"j", b"jar")
    assert [path.read_bytes() for path in java.jars("thing", lambda _: None)] == [b"jar"]


def test_a_tampered_jar_is_refused(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed(monkeypatch, hashlib.sha256(b"jar").hexdigest())
    downloads(monkeypatch, b"bad", b"bad", b"bad", b"bad")
    for _ in range(2):
        with pytest.raises(VigilError, match="incomplete or was changed"):
            java.jars("thing", lambda _: None)
    assert not list(cache.glob("*.jar"))


def test_a_registry_that_is_away_gets_a_sentence(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed(monkeypatch, "0" * 64)
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with pytest.raises(VigilError, match=r"Cannot download org\.example:thing:1\.0: .*network"):
        java.jars("thing", lambda _: None)


def test_options_survive_the_arguments_file(tmp_path: Path) -> None:
    start = java.command(tmp_path / "args", ["-Da=b c", r'-Dd=e\f"g'], [Path("/x y/z.jar")])
    assert start[1] == f"@{tmp_path}/args"
    assert (tmp_path / "args").read_text().splitlines() == [
        '"-Da=b c"', '"-Dd=e\\\\f\\"g"', '"-cp"', '"/x y/z.jar"',
    ]  # fmt: skip

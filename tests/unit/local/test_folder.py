"""A data folder is ours alone, locked while in use, and wiped only when it is ours."""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from domain.errors import ConfigError, VigilError
from local import folder as folder_module
from local.folder import DataFolder


def test_a_folder_of_something_else_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="files that are not Vigil's"):
        DataFolder(tmp_path).open(fresh=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["thesis.txt"]


def test_fresh_wipes_all_but_the_downloads(tmp_path: Path) -> None:
    mine = DataFolder(tmp_path)
    mine.open()
    mine.write_json("ports.json", {"kafka": 1})
    (tmp_path / "kafka").mkdir()
    (tmp_path / "kafka" / "log").write_text("x")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "jar").write_text("x")
    mine.close()
    mine.open()
    assert mine.read_json("ports.json") == {"kafka": 1}
    mine.close()
    mine.open(fresh=True)
    assert mine.read_json("ports.json") == {}
    assert not (tmp_path / "kafka").exists()
    assert (tmp_path / "cache" / "jar").exists()
    mine.close()


def test_a_folder_in_use_is_refused_with_its_owner(tmp_path: Path) -> None:
    first, second = DataFolder(tmp_path), DataFolder(tmp_path)
    first.open()
    first.write_json("kept.json", {"a": 1})
    with pytest.raises(VigilError, match=f"in use by process {os.getpid()}"):
        second.open(fresh=True)
    assert first.read_json("kept.json") == {"a": 1}
    first.close()
    second.open()
    second.close()


def test_an_owner_that_is_just_ending_is_waited_for(tmp_path: Path) -> None:
    first, second = DataFolder(tmp_path), DataFolder(tmp_path)
    first.open()
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    (tmp_path / ".lock").write_text(str(ended.pid))  # whose lock the system takes back soon
    closing = threading.Timer(0.2, first.close)
    closing.start()
    second.open()
    second.close()
    closing.join()


def test_a_full_disk_gets_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    nearly_full = type(usage)(usage.total, usage.total, 1024**3)
    monkeypatch.setattr(folder_module.shutil, "disk_usage", lambda _: nearly_full)
    mine = DataFolder(tmp_path)
    with pytest.raises(VigilError, match=r"nearly full: 1\.0 GiB are free and 2 GiB are needed"):
        mine.open()
    monkeypatch.undo()
    mine.open()  # the lock was given back
    mine.close()


def test_the_secret_is_long_stays_and_is_private(tmp_path: Path) -> None:
    mine = DataFolder(tmp_path)
    mine.open()
    secret = mine.secret()
    mine.close()
    assert len(secret) >= 32
    assert DataFolder(tmp_path).secret() == secret
    assert (tmp_path / "session-secret").stat().st_mode & 0o077 == 0


def test_a_record_that_was_cut_off_reads_as_empty(tmp_path: Path) -> None:
    (tmp_path / "ports.json").write_text('{"kafka": 12')
    assert DataFolder(tmp_path).read_json("ports.json") == {}

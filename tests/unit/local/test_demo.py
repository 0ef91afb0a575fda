"""The file that says where the demo is holds its key: only its user reads it."""

import json
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from local.demo import _write_ready


def test_the_ready_file_is_written_through_no_link_and_read_by_no_one_else(tmp_path: Path) -> None:
    ready, other = tmp_path / "ready.json", tmp_path / "other"
    other.write_text("mine")
    (tmp_path / ".ready.json.partial").symlink_to(other)
    ready.write_text("old")
    ready.chmod(0o644)
    demo = SimpleNamespace(
        url="http://127.0.0.1/",
        key="vigil_key",
        login="demo",
        password="secret",
        camera_ids=["a/b/c"],
        edge_url="http://127.0.0.1/edge",
    )
    _write_ready(ready, cast("Any", demo))
    written = json.loads(ready.read_text())
    assert (written["api_key"], written["login"]) == ("vigil_key", "demo")
    assert written["password"] == "secret"
    assert stat.S_IMODE(ready.stat().st_mode) == 0o600
    assert other.read_text() == "mine"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["other", "ready.json"]

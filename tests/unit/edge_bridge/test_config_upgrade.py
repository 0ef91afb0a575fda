"""Configuration files of version 0.1 mean the same as before (tests/data/edge_config_0_1)."""

import json
import shutil
from pathlib import Path

from edge_bridge.config import load
from edge_bridge.remote_config.rollout import Rejection, VersionId
from edge_bridge.remote_config.store import ConfigStore

OLD = Path(__file__).parents[2] / "data" / "edge_config_0_1"


def test_every_key_is_read_as_before(tmp_path: Path) -> None:
    shutil.copy(OLD / "edge.yaml", tmp_path)
    config = load(tmp_path / "edge.yaml")
    text = json.dumps(config.model_dump(mode="json", by_alias=True))
    read = json.loads(text.replace(str(tmp_path), "FOLDER"))
    expected = json.loads((OLD / "expected.json").read_text())
    assert _common(read, expected) == expected


def _common(read: object, expected: object) -> object:
    """Return what was read without the keys that are new since then."""
    if isinstance(read, dict) and isinstance(expected, dict):
        return {key: _common(read[key], expected[key]) for key in expected}
    if isinstance(read, list) and isinstance(expected, list) and len(read) == len(expected):
        return [_common(*pair) for pair in zip(read, expected, strict=True)]
    return read


def test_the_stored_site_configuration_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    shutil.copytree(OLD / "site", folder)
    store = ConfigStore(folder)
    state = store.load()
    assert state.accepted is not None
    assert state.previous is not None
    assert (state.accepted.version, state.previous.version) == (2, 1)
    assert isinstance(state.on_trial, VersionId)
    assert (state.on_trial.version, state.attempts) == (3, 1)
    assert isinstance(state.rejected, Rejection)
    assert state.rejected.id.version == 4
    store.save(state)
    for name in ("good.json", "before.json", "notes.json"):
        assert json.loads((folder / name).read_text()) == json.loads(
            (OLD / "site" / name).read_text()
        )

"""The configuration lints itself."""

import shutil
from pathlib import Path

import pytest
import yaml

from domain.errors import ConfigError
from edge_bridge.config import load

EXAMPLE = Path(__file__).parents[3] / "edge.example.yaml"

MINIMAL = {
    "site": "acme/berlin",
    "edge": "e1",
    "cloud": {"bucket": "vigil", "queue_url": "http://127.0.0.1/queue"},
    "spool": {"dir": "spool"},
    "cameras": [{"id": "gate", "url": "rtsp://192.0.2.1/stream"}],
}


def changed(tmp_path: Path, **changes: object) -> Path:
    path = tmp_path / "edge.yaml"
    path.write_text(yaml.safe_dump({**MINIMAL, **changes}))
    return path


def camera(**changes: object) -> list[dict[str, object]]:
    return [{**MINIMAL["cameras"][0], **changes}]  # type: ignore[index, dict-item]


def test_the_example_is_a_valid_configuration(tmp_path: Path) -> None:
    shutil.copy(EXAMPLE, tmp_path / "edge.yaml")
    config = load(tmp_path / "edge.yaml")
    assert config.site == "acme/berlin"
    assert config.spool.dir == tmp_path / "spool"
    assert config.spool.max_bytes == 50 << 30
    assert config.cameras[0].password_file == tmp_path / "gate.password"
    assert config.camera_id(config.cameras[0]) == "acme/berlin/gate"
    assert config.inference.enabled


def test_privacy_masks_go_by_the_whole_id_and_engines_to_the_spool(tmp_path: Path) -> None:
    corner = [[0, 0], [0.5, 0], [0, 0.5]]
    config = load(changed(tmp_path, cameras=camera(privacy_masks=[corner])))
    [(name, masks)] = config.privacy_masks().items()
    assert name == config.camera_id(config.cameras[0])
    assert masks == [[(0.0, 0.0), (0.5, 0.0), (0.0, 0.5)]]
    assert config.inference.gpu.engine_cache == config.spool.dir / "engines"


def test_defaults_are_those_of_the_design(tmp_path: Path) -> None:
    config = load(changed(tmp_path, http={"port": 0}))
    assert config.http is not None
    assert config.http.host == "127.0.0.1"
    assert config.fragment_s == 4
    assert config.cameras[0].transport == "tcp"
    assert not config.inference.enabled


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"camera": []}, r"unknown key `camera`: did you mean `cameras`\?"),
        ({"cameras": camera(trasport="udp")}, r"`cameras.0.trasport`: did you mean `transport`\?"),
        ({"spool": {"dir": "s", "max_byte": 1}}, r"`spool.max_byte`: did you mean `max_bytes`\?"),
        ({"inference": {"modle": "hog"}}, r"`inference.modle`: did you mean `model`\?"),
        ({"http": {"zzz": 1, "port": 0}}, r"`http.zzz`: known keys: certificate_file, host"),
        ({"spool": {}}, r"`spool.dir` is missing"),
        (
            {"cameras": camera(privacy_masks=[[[0, 0], [1, 1], [0, 1.5]]])},
            r"cameras.0.privacy_masks.0.2.1`: .*less than or equal to 1",
        ),
        (
            {"cameras": camera(privacy_masks=[[[0, 0], [0.5, 0.5], [1, 1]]])},
            r"cameras.0.privacy_masks.0`: a mask must have an area",
        ),
        (
            {"inference": {"motion": {"masks": {"yard": [[[0, 0], [1, 0], [1, 1]]]}}}},
            r"motion.masks names yard, which is not a camera in this file",
        ),
        ({"spool": {"dir": "s", "max_bytes": "12 GB"}}, r"spool.max_bytes.*KiB, MiB, GiB or TiB"),
        ({"site": "Acme"}, r"`site`"),
        ({"fragment_s": 11}, r"`fragment_s`.*10"),
        ({"cameras": camera(url="http://192.0.2.1/x")}, r"url`: must begin with rtsp://"),
        ({"cameras": camera(url="rtsp://u:secret@192.0.2.1/x")}, r"contains a password: remove it"),
        ({"cameras": camera(password_env="P")}, r"a password needs a `username`"),
        ({"cameras": camera() + camera(url="rtsp://192.0.2.2/x")}, "two cameras have the id gate"),
        ({"cameras": camera() + camera(id="b")}, "two cameras have the url"),
        (
            {
                "cameras": camera(url="rtsp://CAM.example/x")
                + camera(id="b", url="rtsp://cam.example:554/x")
            },
            "two cameras have the url rtsp://cam.example:554/x: gate and b",
        ),
        (
            {
                "cameras": camera(url="rtsp://192.0.2.1/1", sub_url="rtsp://192.0.2.1/2")
                + camera(id="b", url="rtsp://192.0.2.1/2")
            },
            "two cameras have the url",
        ),
        (
            {"cameras": camera(url="rtsp://192.0.2.1/1", sub_url="rtsp://192.0.2.1:554/1")},
            "sub_url is the same as url; use the smaller stream",
        ),
        (
            {"cameras": camera(sub_url="rtsp://u:secret@192.0.2.1/2")},
            r"sub_url`: contains a password",
        ),
        ({"cameras": camera(sub_url="http://192.0.2.1/2")}, r"sub_url`: must begin with rtsp://"),
        (
            {"cameras": camera(sub_url="rtsp://192.0.2.1/2", stream="sub")},
            "sub_url has no effect if `stream` is sub",
        ),
        ({"cameras": camera(url="rtsp://192.0.2.1:77777/x")}, r"url`: the port must be a number"),
    ],
)
def test_a_wrong_key_or_value_gets_one_sentence(
    changes: dict[str, object], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=sentence) as caught:
        load(changed(tmp_path, **changes))
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("site: [", r"is not valid YAML \(line"),
        ("just words", "contains no settings"),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_file_without_a_valid_configuration(
    text: str | None, sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / "edge.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=sentence):
        load(path)


def test_passwords_come_from_file_or_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("p@ss:word\n")
    path = changed(tmp_path, cameras=camera(username="u", password_file="secret"))
    found = load(path).cameras[0].password()
    assert found is not None and found.get_secret_value() == "p@ss:word"
    by_env = load(changed(tmp_path, cameras=camera(username="u", password_env="GATE_P")))
    monkeypatch.delenv("GATE_P", raising=False)
    with pytest.raises(ConfigError, match="the environment variable GATE_P is missing"):
        by_env.cameras[0].password()
    monkeypatch.setenv("GATE_P", "x")
    assert by_env.cameras[0].password() is not None
    assert "p@ss" not in repr(load(path))


@pytest.mark.parametrize(
    ("endpoint", "is_safe"),
    [
        (None, True),
        ("https://s3.example.com", True),
        ("http://127.0.0.1:9000", True),
        ("http://10.0.0.5:9000", True),
        ("http://minio:9000", True),
        ("http://store.local", True),
        ("http://s3.example.com", False),
        ("http://9.9.9.9", False),
    ],
)
def test_clear_text_that_leaves_the_local_network_is_reported(
    endpoint: str | None, is_safe: bool, tmp_path: Path
) -> None:
    cloud = {**MINIMAL["cloud"], "s3_endpoint": endpoint}  # type: ignore[dict-item]
    config = load(changed(tmp_path, cloud=cloud))
    assert [("s3_endpoint" in each) for each in config.cloud.warnings()] == [True] * (not is_safe)


PRINT = "AB:" * 31 + "cd"
RTSPS = "rtsps://192.0.2.1/stream"


def test_a_certificate_is_named_by_its_hash(tmp_path: Path) -> None:
    config = load(changed(tmp_path, cameras=camera(url=RTSPS, tls_fingerprint=PRINT)))
    assert config.cameras[0].tls_fingerprint == "ab" * 31 + "cd"
    assert config.cameras[0].needs_own_reader
    assert not load(changed(tmp_path)).cameras[0].needs_own_reader


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"url": RTSPS, "tls_fingerprint": "ab"}, "64 hex digits"),
        ({"tls_fingerprint": PRINT}, "needs an rtsps:// url"),
        (
            {"url": RTSPS, "sub_url": "rtsp://192.0.2.1/sub", "tls_fingerprint": PRINT},
            "needs an rtsps:// url",
        ),
        ({"allow_basic": False, "reader": "ffmpeg"}, "need reader: auto"),
        ({"allow_basic": False, "transport": "udp"}, "need reader: auto"),
        ({"url": "rtsp://192.0.2.1/x\r\nX: y"}, "control character"),
        ({"username": "u\r\nX: y"}, "control character"),
    ],
)
def test_what_a_camera_cannot_have(wrong: dict[str, object], says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=says):
        load(changed(tmp_path, cameras=camera(**wrong)))

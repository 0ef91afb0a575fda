"""The site's configuration at the edge: the rollout, the store, what a document may contain."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import ConfigError
from domain.site_config import MAX_BYTES, SiteVersion, canonical, check_secrets, digest_of
from edge_bridge.config import EdgeConfig, load
from edge_bridge.config.remote import CentralConfig
from edge_bridge.remote_config.merge import merge
from edge_bridge.remote_config.rollout import (
    MAX_ATTEMPTS,
    Rejection,
    RolloutState,
    Trial,
    VersionId,
)
from edge_bridge.remote_config.store import ConfigStore
from tests.unit.edge_bridge.test_config import MINIMAL, changed

CENTRAL = {"url": "https://vigil.example", "key_file": "central.key"}
CAMERA = {"id": "gate", "url": "rtsp://192.0.2.9/x"}


def version(number: int, content: int | None = None) -> SiteVersion:
    content = number if content is None else content
    text = canonical({"cameras": [CAMERA], "no_data_s": 10 + content})
    return SiteVersion(number, digest_of(text), text)


# Any order of events: a version is offered, and its trial passes, fails or is interrupted.
STEPS = st.lists(
    st.tuples(st.integers(1, 5), st.sampled_from(["passed", "failed", "killed", "stopped"])),
    max_size=40,
)


@given(STEPS)
def test_any_order_of_offers_verdicts_and_ends(steps: list[tuple[int, str]]) -> None:
    state = RolloutState()
    accepted: set[VersionId] = set()
    cut_short: dict[VersionId, int] = {}
    for number, outcome in steps:
        offer = version(number, number % 3)  # some differ by their number alone
        name = VersionId.of(offer)
        if not state.should_try(offer):
            known = {state.accepted and VersionId.of(state.accepted)}
            known |= {state.rejected and state.rejected.id}
            assert name in known
            continue
        was = state.accepted
        started = state.start_trial(offer)
        assert 1 <= started.attempts <= MAX_ATTEMPTS
        assert started.accepted == was  # a crash at any time boots what was in force
        match outcome:
            case "passed":
                state = started.accept(offer)
                accepted.add(name)
                assert state.accepted == offer
                assert state.previous is None or state.previous.digest != offer.digest or was
            case "failed":
                state = started.reject(offer, "no picture")
                assert not state.should_try(offer)
            case "stopped":
                state = started.abort()
                assert state.should_try(offer)
            case "killed":
                cut_short[name] = started.attempts
                state = started.on_restart()
                assert state.should_try(offer) == (started.attempts < MAX_ATTEMPTS)
        if outcome != "passed":
            assert state.accepted == was
        assert state.accepted is None or VersionId.of(state.accepted) in accepted
        assert state.previous is None or VersionId.of(state.previous) in accepted


#        0    4    8    12   16   20   24 s      until 20, steady 5
CASES = {
    "healthy from the start": (["", "", "", ""], ["pending", "pending", "passed"]),
    "healthy late": (["x", "x", "x", "", "", ""], ["pending"] * 5 + ["passed"]),
    "never healthy": (["x"] * 8, ["pending"] * 5 + ["failed"]),
    "flaps": (["", "x", "", "x", "", "x"], ["pending"] * 5 + ["failed"]),
    "healthy just in time, and given the time to prove it": (
        ["x"] * 5 + [""] * 3,
        ["pending"] * 7 + ["passed"],
    ),
}


@pytest.mark.parametrize(("faults", "verdicts"), CASES.values(), ids=CASES.keys())
def test_a_trial(faults: list[str], verdicts: list[str]) -> None:
    trial, seen = Trial(until_s=20, healthy_for_s=5), []
    for step, fault in enumerate(faults):
        trial, verdict, why = trial.judge(step * 4, {"gate": "no route"} if fault else {})
        seen.append(verdict)
        assert bool(why) == bool(fault)
        if verdict != "pending":
            break
    assert seen == verdicts


def test_a_model_has_more_time_but_a_camera_has_not() -> None:
    trial = Trial(until_s=20, healthy_for_s=5, inference_extra_s=100)
    assert trial.judge(119, {"inference": "loading"})[1] == "pending"
    assert trial.judge(120, {"inference": "loading"})[1] == "failed"
    assert trial.judge(20, {"inference": "loading", "gate": "no route"})[1] == "failed"


def test_a_fatal_fault_ends_a_trial_at_once() -> None:
    assert Trial(20, 5).judge(0, {}, "no model")[1:] == ("failed", "no model")


def test_a_stored_state_is_read_again(tmp_path: Path) -> None:
    store = ConfigStore(tmp_path / "central")
    assert store.load() == RolloutState()
    state = RolloutState().start_trial(version(1)).accept(version(1)).accept(version(2))
    for each in (
        state, state.start_trial(version(3)), state.reject(version(3), "ö\n\"'"),
    ):  # fmt: skip
        store.save(each)
        assert store.load() == each
    assert not list((tmp_path / "central").glob("*.new"))


def test_the_files_keep_their_format(tmp_path: Path) -> None:
    """An older program wrote them, and a newer one may have to be replaced by it."""
    text = canonical({"cameras": [CAMERA]})
    first, second = (SiteVersion(number, digest_of(text), text) for number in (1, 2))
    name = {"version": 3, "digest": "3d"}
    files = {
        "good.json": {"version": 2, "digest": first.digest, "text": text},
        "before.json": {"version": 1, "digest": first.digest, "text": text},
        "notes.json": {
            "trying": name, "tries": 1, "refused": {"what": {**name, "version": 4}, "why": "x"},
        },
    }  # fmt: skip
    for file, content in files.items():
        (tmp_path / file).write_text(json.dumps(content))
    state = ConfigStore(tmp_path).load()
    assert (state.accepted, state.previous) == (second, first)
    assert (state.on_trial, state.attempts) == (VersionId(3, "3d"), 1)
    assert state.rejected == Rejection(VersionId(4, "3d"), "x")
    ConfigStore(tmp_path / "again").save(state)
    for file, content in files.items():
        assert json.loads((tmp_path / "again" / file).read_text()) == content


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b"null", b'{"version": 2}', b"\xff", b"[" * 90_000]
)
def test_a_damaged_file_falls_back(damage: bytes, tmp_path: Path) -> None:
    store = ConfigStore(tmp_path)
    store.save(RolloutState().accept(version(1)).accept(version(2)).reject(version(3), "x"))
    (tmp_path / "notes.json").write_bytes(damage)
    loaded = store.load()
    assert (loaded.accepted, loaded.previous) == (version(2), version(1))
    (tmp_path / "good.json").write_bytes(damage)
    assert store.load().accepted == version(1)
    (tmp_path / "before.json").write_bytes(damage)
    assert store.load().accepted is None


def test_a_changed_byte_is_detected(tmp_path: Path) -> None:
    store = ConfigStore(tmp_path)
    store.save(RolloutState().accept(version(1)).accept(version(2)))
    fields = json.loads((tmp_path / "good.json").read_text())
    fields["text"] = fields["text"].replace("192.0.2.9", "192.0.2.8")
    (tmp_path / "good.json").write_text(json.dumps(fields))
    assert store.load().accepted == version(1)


def own(tmp_path: Path) -> EdgeConfig:
    without = {name: value for name, value in MINIMAL.items() if name != "cameras"}
    path = changed(tmp_path, central=CENTRAL)
    path.write_text(json.dumps({**without, "central": CENTRAL, "fragment_s": 6, "no_data_s": 7}))
    return load(path)


def test_a_document_is_merged_into_the_own_file(tmp_path: Path) -> None:
    mine = own(tmp_path)
    assert mine.cameras == []
    camera = {**CAMERA, "username": "u", "password_file": "a/gate.pw", "priority": 8}
    document = {"cameras": [camera], "fragment_s": 3, "inference": {"model": "m/card.yaml"}}
    config = merge(mine, document, "version 1")
    assert (config.fragment_s, config.no_data_s) == (3, 7)
    assert config.cameras[0].password_file == tmp_path / "site" / "a" / "gate.pw"
    assert config.inference.model == str(tmp_path / "site" / "m" / "card.yaml")
    assert config.spool == mine.spool
    assert config.spool_limits().priority("acme/berlin/gate") == 8
    assert merge(mine, document, "version 1") == config


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({}, "`cameras` is missing"),
        ({"cameras": [CAMERA], "spool": {"dir": "/"}}, "`spool` is not kept in the catalog"),
        ({"cameras": [CAMERA], "central": CENTRAL}, "`central` is not kept in the catalog"),
        ({"cameras": [CAMERA], "fragment_s": 99}, "`fragment_s`"),
        ({"cameras": [{**CAMERA, "trasport": "udp"}]}, "did you mean `transport`"),
        ({"cameras": [CAMERA, CAMERA]}, "two cameras"),
        ({"cameras": 5}, "`cameras`"),
        ({"cameras": [{**CAMERA, "url": "rtsp://a/x&pwd=b"}]}, "contains a password"),
        (
            {"cameras": [{**CAMERA, "sub_url": "rtsp://a/x?pwd=b"}]},
            "its sub_url contains a password",
        ),
        ({"cameras": [{**CAMERA, "username": "u", "password_file": "/x"}]}, "path inside"),
        ({"cameras": [{**CAMERA, "username": "u", "password_file": "../x"}]}, "path inside"),
        ({"cameras": [{**CAMERA, "username": "u", "password_env": "PATH"}]}, "begin with CAMERA_"),
        ({"cameras": [{**CAMERA, "username": "u", "password_file": "out/x"}]}, "leads out of"),
    ],
)
def test_a_document_that_is_not_valid_is_rejected_in_a_sentence(
    document: dict[str, object], sentence: str, tmp_path: Path
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "out").symlink_to("/etc")
    with pytest.raises(ConfigError, match=sentence) as caught:
        merge(own(tmp_path), document, "version 1")
    assert str(caught.value).startswith("version 1: ")
    assert "\n" not in str(caught.value)


@given(st.recursive(st.none() | st.text() | st.integers() | st.floats(), lambda inner: (
    st.lists(inner) | st.dictionaries(st.sampled_from(["cameras", "id", "url", "x"]), inner)
)))  # fmt: skip
def test_whatever_a_document_holds_it_is_a_sentence(cameras: object) -> None:
    try:
        check_secrets({"cameras": cameras})
        SiteVersion(1, digest_of(canonical({"x": cameras})), canonical({"x": cameras})).document()
    except ConfigError:
        pass


def test_documents_have_a_maximum_size() -> None:
    with pytest.raises(ConfigError, match="KiB"):
        canonical({"x": "y" * MAX_BYTES})


@pytest.mark.parametrize(
    ("central", "sentence"),
    [
        ({"url": "http://vigil.example"}, "https://"),
        ({"url": "https://u:p@vigil.example"}, "write https://host"),
        ({"url": "vigil.example"}, "write https://host"),
        ({"key_env": "K"}, "one of the two"),
        ({"key_file": None}, "one of the two"),
        ({"every": 5}, "did you mean `every_s`"),
    ],
)
def test_how_the_catalog_is_reached(
    central: dict[str, object], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        load(changed(tmp_path, central={**CENTRAL, **central}))


def test_the_key_is_read_again_each_time(tmp_path: Path) -> None:
    config = load(changed(tmp_path, central={**CENTRAL, "url": "http://127.0.0.1:1/"})).central
    assert isinstance(config, CentralConfig)
    assert config.url == "http://127.0.0.1:1"
    with pytest.raises(ConfigError, match=r"central\.key cannot be read"):
        config.key()
    for key in ("vigil_a", "vigil_b"):
        (tmp_path / "central.key").write_text(f"{key}\n")
        assert config.key().get_secret_value() == key


def test_the_configuration_key_is_hex(tmp_path: Path) -> None:
    config = load(changed(tmp_path, central={**CENTRAL, "config_key_file": "config.key"})).central
    assert config is not None
    (tmp_path / "config.key").write_text(f"{'AB' * 32}\n")
    assert config.config_key() == b"\xab" * 32
    (tmp_path / "config.key").write_text("AB")
    with pytest.raises(ConfigError, match="vigil config-key list"):
        config.config_key()


def confined(tmp_path: Path, document: dict[str, object], **central: object) -> EdgeConfig:
    own = load(changed(tmp_path, central={**CENTRAL, **central}))
    return merge(own, {"cameras": [CAMERA], **document}, "version 1")


@pytest.mark.parametrize(
    "url",
    [
        "file:///var/lib/vigil/spool/fragments/a/b/c/1.ts?loop=1",
        "rtsp://127.0.0.1:9500/",
        "rtsp://localhost/x",
        "rtsp://[::1]/x",
        "rtsp://169.254.169.254:80/latest",
        "rtsp://[fe80::1]/x",
        "rtsp://0.0.0.0/x",
    ],
)
def test_the_catalog_cannot_point_a_camera_at_the_device(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match="version 1: camera gate"):
        confined(tmp_path, {"cameras": [{**CAMERA, "url": url}]})
    with pytest.raises(ConfigError, match="version 1: camera gate"):
        confined(tmp_path, {"cameras": [{**CAMERA, "sub_url": url}]})


def test_cameras_of_the_catalog_stay_in_the_networks_of_the_device(tmp_path: Path) -> None:
    hosts = ["192.0.2.0/24", "2001:db8::/32", "gate.example"]
    for host in ("192.0.2.7", "[2001:db8::7]", "gate.example"):
        confined(tmp_path, {"cameras": [{**CAMERA, "url": f"rtsp://{host}/x"}]}, hosts=hosts)
    for host in ("192.0.3.7", "[2001:db9::7]", "evil.example", "192.0.2.7.evil.example"):
        with pytest.raises(ConfigError, match=r"not in central\.hosts"):
            confined(tmp_path, {"cameras": [{**CAMERA, "url": f"rtsp://{host}/x"}]}, hosts=hosts)


@pytest.mark.parametrize("path", ["/elsewhere/evil.yaml", "../evil.yaml", "a/../../evil.yaml"])
def test_models_and_engines_come_from_the_folder_of_the_site(tmp_path: Path, path: str) -> None:
    with pytest.raises(ConfigError, match="must be inside"):
        confined(tmp_path, {"inference": {"model": path}})
    with pytest.raises(ConfigError, match="must be inside"):
        confined(tmp_path, {"inference": {"gpu": {"engine_cache": path}}})
    assert confined(tmp_path, {"inference": {"model": "people.yaml"}})


def test_a_configuration_that_was_accepted_before_still_records(tmp_path: Path) -> None:
    own = load(changed(tmp_path, central=CENTRAL))
    document = {"cameras": [{**CAMERA, "url": "rtsp://127.0.0.1/x"}]}
    assert merge(own, document, "version 1", confined=False).cameras

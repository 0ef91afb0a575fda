"""The site's configuration at the edge: which version counts, what is kept, what may be in it."""

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
from edge_bridge.remote_config.rollout import MOST_TRIES, RolloutState, Trial, VersionId
from edge_bridge.remote_config.store import ConfigStore
from tests.unit.edge_bridge.test_config import MINIMAL, changed

CENTRAL = {"url": "https://vigil.example", "key_file": "central.key"}
CAMERA = {"id": "gate", "url": "rtsp://192.0.2.9/x"}


def version(number: int, content: int | None = None) -> SiteVersion:
    said = number if content is None else content
    text = canonical({"cameras": [CAMERA], "no_data_s": 10 + said})
    return SiteVersion(number, digest_of(text), text)


# What may come, in any order: a version is offered and does well, badly, or the program ends.
STEPS = st.lists(
    st.tuples(st.integers(1, 5), st.sampled_from(["well", "badly", "killed", "stopped"])),
    max_size=40,
)


@given(STEPS)
def test_any_order_of_offers_verdicts_and_ends(steps: list[tuple[int, str]]) -> None:
    standing = RolloutState()
    accepted: set[VersionId] = set()
    cut_short: dict[VersionId, int] = {}
    for number, outcome in steps:
        offer = version(number, number % 3)  # some differ by their number alone
        name = VersionId.of(offer)
        if not standing.wants(offer):
            known = {standing.good and VersionId.of(standing.good)}
            known |= {standing.refused and standing.refused.what}
            assert name in known
            continue
        was = standing.good
        begun = standing.begins(offer)
        assert 1 <= begun.tries <= MOST_TRIES
        assert begun.good == was  # a crash at any time boots what was in force
        match outcome:
            case "well":
                standing = begun.accepts(offer)
                accepted.add(name)
                assert standing.good == offer
                assert standing.before is None or standing.before.digest != offer.digest or was
            case "badly":
                standing = begun.refuses(offer, "no picture")
                assert not standing.wants(offer)
            case "stopped":
                standing = begun.leaves_off()
                assert standing.wants(offer)
            case "killed":
                cut_short[name] = begun.tries
                standing = begun.wakes()
                assert standing.wants(offer) == (begun.tries < MOST_TRIES)
        if outcome != "well":
            assert standing.good == was
        assert standing.good is None or VersionId.of(standing.good) in accepted
        assert standing.before is None or VersionId.of(standing.before) in accepted


#        0    4    8    12   16   20   24 s      until 20, steady 5
CASES = {
    "well from the start": (["", "", "", ""], ["waiting", "waiting", "good"]),
    "comes late": (["x", "x", "x", "", "", ""], ["waiting"] * 5 + ["good"]),
    "never comes": (["x"] * 8, ["waiting"] * 5 + ["bad"]),
    "flaps": (["", "x", "", "x", "", "x"], ["waiting"] * 5 + ["bad"]),
    "well at last, and given the time to prove it": (
        ["x"] * 5 + [""] * 3,
        ["waiting"] * 7 + ["good"],
    ),
}


@pytest.mark.parametrize(("ails", "verdicts"), CASES.values(), ids=CASES.keys())
def test_a_trial(ails: list[str], verdicts: list[str]) -> None:
    trial, said = Trial(until_s=20, steady_s=5), []
    for step, ail in enumerate(ails):
        trial, verdict, why = trial.judge(step * 4, {"gate": "no route"} if ail else {})
        said.append(verdict)
        assert bool(why) == bool(ail)
        if verdict != "waiting":
            break
    assert said == verdicts


def test_a_model_has_longer_but_a_camera_has_not() -> None:
    trial = Trial(until_s=20, steady_s=5, longer_s=100)
    assert trial.judge(119, {"inference": "loading"})[1] == "waiting"
    assert trial.judge(120, {"inference": "loading"})[1] == "bad"
    assert trial.judge(20, {"inference": "loading", "gate": "no route"})[1] == "bad"


def test_a_hopeless_trial_ends_at_once() -> None:
    assert Trial(20, 5).judge(0, {}, "no model")[1:] == ("bad", "no model")


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    kept = ConfigStore(tmp_path / "central")
    assert kept.load() == RolloutState()
    standing = RolloutState().begins(version(1)).accepts(version(1)).accepts(version(2))
    for each in (
        standing, standing.begins(version(3)), standing.refuses(version(3), "ö\n\"'"),
    ):  # fmt: skip
        kept.save(each)
        assert kept.load() == each
    assert not list((tmp_path / "central").glob("*.new"))


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b"null", b'{"version": 2}', b"\xff", b"[" * 90_000]
)
def test_what_is_damaged_falls_back(damage: bytes, tmp_path: Path) -> None:
    kept = ConfigStore(tmp_path)
    kept.save(RolloutState().accepts(version(1)).accepts(version(2)).refuses(version(3), "x"))
    (tmp_path / "notes.json").write_bytes(damage)
    loaded = kept.load()
    assert (loaded.good, loaded.before) == (version(2), version(1))
    (tmp_path / "good.json").write_bytes(damage)
    assert kept.load().good == version(1)
    (tmp_path / "before.json").write_bytes(damage)
    assert kept.load().good is None


def test_a_byte_that_turned_is_noticed(tmp_path: Path) -> None:
    kept = ConfigStore(tmp_path)
    kept.save(RolloutState().accepts(version(1)).accepts(version(2)))
    said = json.loads((tmp_path / "good.json").read_text())
    said["text"] = said["text"].replace("192.0.2.9", "192.0.2.8")
    (tmp_path / "good.json").write_text(json.dumps(said))
    assert kept.load().good == version(1)


def own(tmp_path: Path) -> EdgeConfig:
    without = {name: value for name, value in MINIMAL.items() if name != "cameras"}
    path = changed(tmp_path, central=CENTRAL)
    path.write_text(json.dumps({**without, "central": CENTRAL, "fragment_s": 6, "no_data_s": 7}))
    return load(path)


def test_a_document_lies_over_the_device_s_own_file(tmp_path: Path) -> None:
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
        ({"cameras": [{**CAMERA, "url": "rtsp://a/x&pwd=b"}]}, "holds a password"),
        ({"cameras": [{**CAMERA, "sub_url": "rtsp://a/x?pwd=b"}]}, "its sub_url holds a password"),
        ({"cameras": [{**CAMERA, "username": "u", "password_file": "/x"}]}, "path inside"),
        ({"cameras": [{**CAMERA, "username": "u", "password_file": "../x"}]}, "path inside"),
        ({"cameras": [{**CAMERA, "username": "u", "password_env": "PATH"}]}, "begin with CAMERA_"),
        ({"cameras": [{**CAMERA, "username": "u", "password_file": "out/x"}]}, "leads out of"),
    ],
)
def test_a_document_that_does_not_do_is_refused_in_a_sentence(
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
def test_whatever_a_document_holds_it_is_a_sentence(said: object) -> None:
    try:
        check_secrets({"cameras": said})
        SiteVersion(1, digest_of(canonical({"x": said})), canonical({"x": said})).document()
    except ConfigError:
        pass


def test_documents_have_a_bound() -> None:
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


def test_the_key_is_read_anew_each_time(tmp_path: Path) -> None:
    config = load(changed(tmp_path, central={**CENTRAL, "url": "http://127.0.0.1:1/"})).central
    assert isinstance(config, CentralConfig)
    assert config.url == "http://127.0.0.1:1"
    with pytest.raises(ConfigError, match=r"central\.key cannot be read"):
        config.key()
    for key in ("vigil_a", "vigil_b"):
        (tmp_path / "central.key").write_text(f"{key}\n")
        assert config.key().get_secret_value() == key

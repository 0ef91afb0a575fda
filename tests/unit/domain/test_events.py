"""The events: what is one, what is none and why, and what they carry through S3."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidEventError
from domain.events import (
    EVENTS,
    ChunkComplete,
    ChunkDue,
    Event,
    FragmentArrived,
    RunEnded,
    VideoForm,
    encode,
    parse,
)
from domain.events.examples import EXAMPLES
from tests.unit.domain.footage import CAMERA, RUN, fragment

EACH = pytest.mark.parametrize("name", list(EVENTS))


def refused(message: dict[str, Any] | bytes) -> str:
    data = message if isinstance(message, bytes) else json.dumps(message).encode()
    with pytest.raises(InvalidEventError) as caught:
        parse(data)
    sentence = str(caught.value)
    assert len(sentence) <= 480, "it fits into a dead letter"
    assert "\n" not in sentence
    return sentence


def message(name: str, **changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(encode(EXAMPLES[name]))
    return fields | changes


TWO_VERSIONS = {"fragment-arrived", "chunk-due", "chunk-complete", "heartbeat"}


@EACH
class TestEachEvent:
    def test_has_an_example_that_reads_back(self, name: str) -> None:
        example = EXAMPLES[name]
        assert type(example) is EVENTS[name]
        assert parse(encode(example)) == example

    def test_names_its_key(self, name: str) -> None:
        example = EXAMPLES[name]
        if name == "tick":
            with pytest.raises(TypeError, match="no key"):
                _ = example.key
        else:
            others = {"heartbeat": "acme/berlin", "dead-letter-marked": "3@17",
                      "edge-command": "acme/berlin/edge-1"}  # fmt: skip
            assert example.key == others.get(name, CAMERA)

    def test_other_versions_are_refused(self, name: str) -> None:
        known = "1 or 2" if name in TWO_VERSIONS else "1"
        for version in (0, 3 if "2" in known else 2, "1", 1.5, None):
            text = refused(message(name, version=version))
            assert text == (
                f"{name}.version: version {version} is not known, "
                f"this program reads version {known}"
            )

    def test_unknown_fields_are_refused(self, name: str) -> None:
        text = refused(message(name, colour="red"))
        assert text == f"{name}.colour: no such field in this event and version"

    def test_every_needed_field_is_missed(self, name: str) -> None:
        for field in EVENTS[name].model_json_schema()["required"]:
            fields = message(name)
            del fields[field]
            text = refused(fields)
            assert text.startswith(
                "type: it is missing" if field == "type" else f"{name}.{field}: "
            )

    def test_is_immutable(self, name: str) -> None:
        with pytest.raises(ValueError, match="frozen"):
            EXAMPLES[name].version = 1

    def test_every_field_says_what_it_means_and_is_bounded(self, name: str) -> None:
        schema = EVENTS[name].model_json_schema()
        for part in (schema, *schema.get("$defs", {}).values()):
            assert part["additionalProperties"] is False
            for field, of in part["properties"].items():
                assert of.get("description"), field
                for each in of.get("anyOf", [of]):
                    check_bounded(field, each)
                if field.endswith(("_ms", "_bytes", "pts", "offset")) and not name.startswith(
                    "dead-letter"
                ):
                    units = {each.get("unit") for each in (of, *of.get("anyOf", []))} - {None}
                    assert len(units) == 1, f"{field} has a unit"


def check_bounded(field: str, of: dict[str, Any]) -> None:
    if "$ref" in of or "const" in of or "enum" in of or of["type"] == "null":
        return
    match of["type"]:
        case "integer" | "number":
            assert of.keys() & {"minimum"}, field
            assert of.keys() & {"maximum", "exclusiveMaximum"}, field
        case "string":
            assert "maxLength" in of or of["pattern"].endswith(("}$", "*$")), field
        case "array":
            assert "maxItems" in of, field
            for each in of.get("prefixItems", [of.get("items")]):
                check_bounded(field, each)
        case other:
            raise AssertionError(f"{field}: {other}")


LARGEST_MS, LARGEST_SEQ = (1 << 48) - 1, 99_999_999
BOUNDS = [
    # event, field, values that pass, values that do not
    ("fragment-arrived", "seq", [0, LARGEST_SEQ], [-1, LARGEST_SEQ + 1, "7", 1.5, True, None]),
    ("fragment-arrived", "start_ms", [0, LARGEST_MS], [-1, LARGEST_MS + 1, "0"]),
    ("fragment-arrived", "duration_ms", [0, 3_600_000], [-1, 3_600_001]),
    ("fragment-arrived", "start_pts", [-(1 << 62), (1 << 62) - 1], [-(1 << 62) - 1, 1 << 62]),
    ("fragment-arrived", "frames", [1, 1_000_000], [0, 1_000_001]),
    ("fragment-arrived", "size_bytes", [188, 1 << 32], [0, 187, (1 << 32) + 1]),
    ("fragment-arrived", "sha256", ["0" * 64], ["", "0" * 63, "0" * 65, "G" * 64, "A" * 64]),
    ("fragment-arrived", "video_codec", ["h264", "hevc"], ["H264", "av1", None]),
    ("fragment-arrived", "audio_codec", ["aac", "opus", None], ["g711", ""]),
    ("fragment-arrived", "width", [1, 16_384], [0, 16_385]),
    ("fragment-arrived", "camera", ["a/b/c"], ["a/b", "A/b/c", "a/b/c\n", "a/b/c/d", 7]),
    ("fragment-arrived", "run", [RUN], [RUN.upper(), RUN[1:], RUN + "\n"]),
    ("run-ended", "last_seq", [3, LARGEST_SEQ], [-2, LARGEST_SEQ + 1]),
    ("run-ended", "given_up", [[], [[0, 3]], [[0, 0], [2, 3]]], [
        [[3, 2]], [[2, 3], [0, 0]], [[0, 2], [2, 3]], [[0, 4]], [[0]], [0]]),
    ("run-ended", "reason", ["x", "x" * 500], ["", "x" * 501]),
    ("heal-requested", "after_seq", [-1, 0], [-2]),
    ("tick", "partition", [0, 10_000], [-1, 10_001]),
    ("chunk-due", "reason", ["complete", "run-ended", "grace", "idle", "late"], ["why not"]),
    ("chunk-due", "window_ms", [1_000, 3_600_000], [999, 3_600_001]),
    ("chunk-due", "fragments", [], [[], None]),
    ("chunk-complete", "revision", [1, 1_000_000], [0, 1_000_001]),
    ("chunk-complete", "digest", ["0" * 32], ["0" * 31, "0" * 33, "X" * 32]),
    ("detection", "frames", [], [[]]),
    ("detection", "model", ["people", "yolox-s"], ["", "People", "x" * 101, "a b"]),
    ("heartbeat", "site", ["a/b"], ["a", "a/b/c", "A/b"]),
    ("heartbeat", "spool_bytes", [0, 1 << 50], [-1]),
    ("heartbeat", "clock_state", ["synchronised", "unsynchronised", "unknown", None], ["", "ntp"]),
    ("heartbeat", "identity_state", ["enrolled", "locked", "damaged", None], ["", "none"]),
    ("heartbeat", "identity_generation", [1, None], [0, -1]),
    ("heartbeat", "clock_trust", ["agreed", "wrong", "unconfirmed", None], ["", "right"]),
    ("heartbeat", "version", [2], [0, 3]),
    ("heartbeat", "clock_error_ms", [0, 16_000, None], [-1, 3_600_001]),
    ("deleted", "what", ["fragments", "chunk"], ["camera"]),
    ("dead-letter", "source", ["x"], ["", "x" * 251]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "field", "passes", "fails"), BOUNDS)
def test_bounds(name: str, field: str, passes: list[Any], fails: list[Any]) -> None:
    for value in passes:
        assert parse(json.dumps(message(name, **{field: value})).encode()).type == name
    for value in fails:
        assert refused(message(name, **{field: value})).startswith(
            (f"{name}.{field}", f"{name}: {field}")
        )


@pytest.mark.parametrize(
    ("score", "box"),
    [
        (-0.1, [0, 0, 1, 1]),
        (1.1, [0, 0, 1, 1]),
        (float("nan"), [0, 0, 1, 1]),
        (float("inf"), [0, 0, 1, 1]),
        (0.5, [0, 0, 1]),
        (0.5, [0, 0, 1, 2]),
        (0.5, [0, 0, float("nan"), 1]),
    ],
)
def test_scores_and_boxes_are_fractions(score: float, box: list[float]) -> None:
    found = {"label": "person", "score": score, "box": box}
    frame = {"pts": 0, "at_ms": 0, "objects": [found]}
    assert "frames.0.objects.0." in refused(message("detection", frames=[frame]))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "message: Invalid JSON: EOF while parsing a value at line 1 column 0"),
        (b"\xff\xfe", "message: Invalid JSON: expected value at line 1 column 1"),
        (b"[]", "message: Input should be an object"),
        (b"null", "message: Input should be an object"),
        (b"{}", "type: it is missing; every event needs one"),
        (b'{"type": "lost"}', "type: 'lost' is not an event that this program knows"),
        (b'{"type": null}', "type: 'None' is not an event that this program knows"),
        (b'{"type": "healed"', "message: Invalid JSON: EOF while parsing an object at line 1"),
    ],
)
def test_an_invalid_message_is_rejected_in_one_sentence(data: bytes, sentence: str) -> None:
    assert refused(data).startswith(sentence)


@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda t: json.dumps(t).encode()))
def test_any_bytes_are_an_event_or_refused(data: bytes) -> None:
    refused(data)


@given(st.data(), st.sampled_from(list(EVENTS)))
def test_any_value_in_any_field_is_taken_or_refused(data: st.DataObject, name: str) -> None:
    field = data.draw(st.sampled_from(list(EVENTS[name].model_fields)))
    simple = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    value = data.draw(simple | st.lists(simple, max_size=3) | st.dictionaries(st.text(), simple))
    try:
        event: Event = parse(json.dumps(message(name, **{field: value})).encode())
    except InvalidEventError:
        return
    assert parse(encode(event)) == event


class TestMetadata:
    @given(
        st.integers(0, LARGEST_SEQ),
        st.integers(0, LARGEST_MS - 5_000),
        st.integers(-(1 << 62), (1 << 62) - 1),
        st.sampled_from(["aac", "opus", None]),
    )
    def test_there_and_back(self, seq: int, at_ms: int, pts: int, audio: str | None) -> None:
        event = fragment(seq % 1_000, start_ms=at_ms, start_pts=pts, audio_codec=audio)
        metadata = event.metadata()
        assert FragmentArrived.from_metadata(metadata) == event
        assert sum(len(k) + len(v) for k, v in metadata.items()) < 2_048, "S3's bound"
        assert all(k == k.lower() and k.isascii() and v.isascii() for k, v in metadata.items())

    def test_all_but_type_and_keyframes(self) -> None:
        event = EXAMPLES["fragment-arrived"]
        assert isinstance(event, FragmentArrived)
        names = {name.replace("-", "_") for name in event.metadata()}
        assert names == set(FragmentArrived.model_fields) - {
            "type",
            "keyframes",
            "prev_sha256",
        }
        assert FragmentArrived.from_metadata(event.metadata()) == event.model_copy(
            update={"keyframes": None}
        )

    @pytest.mark.parametrize(
        "change", [{"version": "3"}, {"seq": "x"}, {"sha256": ""}, {"colour": "red"}, {"seq": "-1"}]
    )
    def test_what_does_not_fit_is_refused(self, change: dict[str, str]) -> None:
        with pytest.raises(ValueError, match=next(iter(change))):
            FragmentArrived.from_metadata(fragment(0).metadata() | change)

    def test_what_a_device_signs_is_rebuilt_from_them(self) -> None:
        example = EXAMPLES["fragment-arrived"]
        assert isinstance(example, FragmentArrived)
        for event in (example, example.with_previous("0" * 64)):
            assert event.keyframes
            signed = encode(event.without_keyframes)
            assert encode(FragmentArrived.from_metadata(event.metadata())) == signed

    def test_a_missing_name_is_refused(self) -> None:
        for name in fragment(0).metadata():
            if name == "version":
                continue
            metadata = fragment(0).metadata()
            del metadata[name]
            with pytest.raises(ValueError, match="Field required"):
                FragmentArrived.from_metadata(metadata)


def test_a_run_without_fragments_can_end() -> None:
    end = RunEnded(camera=CAMERA, run=RUN, ended_ms=0, last_seq=-1, reason="nothing came")
    assert parse(encode(end)) == end


def test_only_version_2_names_the_fragment_before() -> None:
    fields = message("fragment-arrived", prev_sha256="0" * 64)
    assert refused(fields) == "fragment-arrived: prev_sha256 needs version 2"
    event = parse(json.dumps(fields | {"version": 2}).encode())
    assert isinstance(event, FragmentArrived)
    assert parse(encode(event)) == event
    assert event.with_previous(None) == parse(json.dumps(message("fragment-arrived")).encode())
    assert event.with_previous(None).with_previous("0" * 64) == event


@pytest.mark.parametrize("name", ["chunk-due", "chunk-complete"])
def test_only_version_2_names_the_form_of_a_fragment(name: str) -> None:
    fields = message(name)
    fields["fragments"][0]["form"] = {"video_codec": "hevc", "width": 640, "height": 360}
    assert refused(fields) == f"{name}: a fragment names its form: that needs version 2"
    event = parse(json.dumps(fields | {"version": 2}).encode())
    assert isinstance(event, ChunkDue | ChunkComplete)
    assert event.fragments[0].form == VideoForm(video_codec="hevc", width=640, height=360)
    assert parse(encode(event)) == event

"""The audit log's entries: one canonical form, bounded, without personal data."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.audit import (
    GENESIS,
    MAX_ENTRY_BYTES,
    MAX_VALUE_BYTES,
    AuditOrigin,
    PersonalData,
    bounded,
    canonical,
    chain_hash,
    commitment,
    numbered,
    tenant_of,
)
from domain.errors import InvalidEventError

ORIGIN = AuditOrigin(
    actor="user:1", session="s1", request="r1", name="Ann", address="192.0.2.7", agent="curl"
)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=30,
)


def test_the_canonical_form_is_fixed() -> None:
    entry = ORIGIN.entry(
        1_795_369_380_000,
        "camera:rename",
        "acme/hq/gate",
        before={"name": "a"},
        after={"name": "Tür"},
    )
    text = numbered(canonical(entry.body({"user:1": "ab"})), 7)
    assert text == (
        '{"action":"camera:rename","actor":"user:1","actor_session":"s1","after":{"name":"Tür"},'
        '"at_ms":1795369380000,"before":{"name":"a"},"chain":"acme","format":1,"on_behalf_of":null,'
        '"outcome":"done","personal":[{"sha256":"ab","subject":"user:1"}],"request":"r1",'
        '"resource":"acme/hq/gate","seq":7}'
    )
    assert text == canonical(json.loads(text))
    first = chain_hash(GENESIS, text)
    assert first == hashlib.sha256(b"\x01" + bytes(32) + text.encode()).digest()
    assert chain_hash(first, text) != first


@given(before=ANY_JSON, after=ANY_JSON, texts=st.text())
def test_any_input_is_bounded_and_read_back_the_same(before, after, texts) -> None:
    origin = AuditOrigin(actor="user:1", name=texts, address=texts, agent=texts * 300)
    about = PersonalData("user:2", {"login": texts})
    entry = origin.entry(1, "user:change", "user:2", before=before, after=after, about=about)
    text = numbered(canonical(entry.body({each.subject: "0" * 64 for each in entry.personal})), 1)
    assert len(text.encode()) <= MAX_ENTRY_BYTES
    assert "\0" not in text
    assert canonical(json.loads(text)) == text
    assert all(len(value) <= 1_000 for each in entry.personal for value in each.fields.values())


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (1.5, "1.5"),
        (1 << 60, str(1 << 60)),
        ("a\0b\ud800", "a\ufffdb\ufffd"),
        ({"ü": {1: (True, None)}}, {"?": {"1": [True, None]}}),
        ({"b", "a"}, ["a", "b"]),
    ],
)
def test_what_json_does_not_keep_becomes_text(value: object, stored: object) -> None:
    assert bounded(value) == stored


def test_a_large_value_is_replaced_by_its_hash() -> None:
    found = bounded(["x" * 900] * 10)
    assert isinstance(found, dict)
    assert found["too_large_bytes"] == len(canonical(["x" * 900] * 10)) > MAX_VALUE_BYTES


def test_the_entry_fixes_personal_data_without_containing_it() -> None:
    entry = ORIGIN.because("case 5").entry(1, "hold:add", "hold:3", tenant="acme")
    assert {each.subject: dict(each.fields) for each in entry.personal} == {
        "text": {"reason": "case 5"},
        "user:1": {"name": "Ann", "address": "192.0.2.7", "agent": "curl"},
    }
    text = canonical(entry.body({}))
    assert not [each for each in ("Ann", "192.0.2.7", "curl", "case 5") if each in text]
    fields = {"name": "Ann"}
    assert commitment(b"1" * 16, fields) != commitment(b"2" * 16, fields)
    assert commitment(b"1" * 16, fields) != commitment(b"1" * 16, {"name": "Bob"})


@pytest.mark.parametrize(
    ("scopes", "tenant"),
    [
        (["acme/hq/gate"], "acme"),
        (["acme", "acme/hq"], "acme"),
        (["acme", "globex"], "*"),
        (["*"], "*"),
        (["user:1"], "*"),
        ([], "*"),
    ],
)
def test_the_chain_is_the_one_tenant_of_all_scopes(scopes: list[str], tenant: str) -> None:
    assert tenant_of(scopes) == tenant


@pytest.mark.parametrize(
    ("action", "resource"),
    [("Delete", "acme"), ("key:", "acme"), ("key:create", "a b"), ("key:create", "")],
)
def test_a_malformed_entry_is_refused(action: str, resource: str) -> None:
    with pytest.raises(InvalidEventError):
        ORIGIN.entry(1, action, resource)

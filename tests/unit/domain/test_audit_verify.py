"""Each kind of tampering with an export is found, and the entries are named."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.audit import GENESIS, AuditOrigin, canonical, chain_hash, commitment, numbered
from domain.audit_verify import (
    AuditHead,
    ExportHeader,
    end_line,
    entry_line,
    parse_head,
    verify_export,
)
from domain.errors import InvalidEventError

ANN = AuditOrigin(actor="user:1", name="Ann")
SALT = b"s" * 16
COUNT = 10
NEVER_MS = 1 << 47

Stored = list[tuple[str, bytes]]
"""Canonical form and hash of each entry."""


def chain(count: int = COUNT, previous: bytes = GENESIS, first: int = 1) -> Stored:
    stored: Stored = []
    for seq in range(first, first + count):
        entry = ANN.entry(1_000 * seq, "camera:rename", "acme/hq/gate", after={"name": f"n{seq}"})
        body = canonical(entry.body({"user:1": commitment(SALT, {"name": "Ann"})}))
        text = numbered(body, seq)
        previous = chain_hash(previous, text)
        stored.append((text, previous))
    return stored


def lines_of(stored: Stored, *, to_ms: int = NEVER_MS, first: int = 1, previous: bytes = GENESIS):
    personal = [{"subject": "user:1", "fields": {"name": "Ann"}, "salt": SALT.hex()}]
    lines = [ExportHeader("acme", first, previous, to_ms).line()]
    lines += [entry_line(text, digest, personal) for text, digest in stored]
    lines.append(end_line(len(stored), json.loads(stored[-1][0])["seq"] if stored else 0))
    return lines


def head_of(stored: Stored, seq: int) -> AuditHead:
    return AuditHead("acme", seq, stored[seq - 1][1], 1_000 * seq, "k1")


HEADS = [head_of(chain(), seq) for seq in (4, 8, 10)]


def found(lines: list[str], heads: list[AuditHead] = HEADS) -> list[tuple[str, int, int]]:
    return [
        (each.kind, each.first_seq, each.last_seq) for each in verify_export(lines, heads).findings
    ]


def renumbered(text: str, by: int) -> str:
    fields = json.loads(text)
    fields["seq"] += by
    return canonical(fields)


def changed(text: str) -> str:
    return text.replace('"name":"n', '"name":"X')


def rehashed(stored: Stored) -> Stored:
    """Return the entries with hashes computed again, as someone does who knows how."""
    previous, again = GENESIS, []
    for text, _ in stored:
        previous = chain_hash(previous, text)
        again.append((text, previous))
    return again


def test_an_unchanged_export_is_right() -> None:
    report = verify_export(lines_of(chain()), HEADS)
    assert (report.findings, report.first_seq, report.last_seq) == ((), 1, 10)
    assert report.newest_head == HEADS[-1]


def test_a_part_of_a_chain_is_right() -> None:
    stored = chain()
    part = lines_of(stored[3:7], first=4, previous=stored[2][1], to_ms=7_500)
    assert found(part) == []


@pytest.mark.parametrize("seq", range(1, COUNT + 1))
def test_a_changed_entry_is_named(seq: int) -> None:
    stored = chain()
    text, digest = stored[seq - 1]
    stored[seq - 1] = changed(text), digest
    assert found(lines_of(stored)) == [("changed", seq, seq)]


def test_a_changed_entry_with_a_hash_of_its_own_is_between_two() -> None:
    stored = chain()
    text = changed(stored[4][0])
    stored[4] = text, chain_hash(stored[3][1], text)
    findings = verify_export(lines_of(stored), HEADS).findings
    assert [(each.kind, each.last_seq) for each in findings] == [("changed", 6)]
    assert "entry 5 was" in findings[0].text


def test_a_chain_that_was_computed_again_does_not_fit_the_heads() -> None:
    stored = chain()
    stored[5] = changed(stored[5][0]), b""
    assert found(lines_of(rehashed(stored))) == [("rewritten", 5, 8)]
    assert found(lines_of(rehashed(stored)), heads=[]) == []  # nothing else can show it


@pytest.mark.parametrize("seq", range(1, COUNT))
def test_a_dropped_entry_is_named(seq: int) -> None:
    stored = chain()
    del stored[seq - 1]
    assert found(lines_of(stored)) == [("dropped", seq, seq)]


@pytest.mark.parametrize("seq", range(2, COUNT - 1))
def test_a_dropped_entry_is_found_where_the_later_ones_are_renumbered(seq: int) -> None:
    stored = chain()
    stored[seq - 1 :] = [(renumbered(text, -1), digest) for text, digest in stored[seq:]]
    assert ("dropped", seq, seq) in found(lines_of(stored))


@pytest.mark.parametrize(("left", "right"), [(1, 2), (5, 6), (2, 9), (9, 10)])
def test_swapped_lines_are_named(left: int, right: int) -> None:
    stored = chain()
    stored[left - 1], stored[right - 1] = stored[right - 1], stored[left - 1]
    lines = lines_of(stored)
    lines[-1] = end_line(COUNT, COUNT)  # a forger corrects the last line
    if right == COUNT:
        lines[-1] = end_line(COUNT, left)
    assert found(lines) == [("swapped", left, right)]


@pytest.mark.parametrize("with_hash", [False, True])
@pytest.mark.parametrize(("left", "right"), [(1, 2), (5, 6), (2, 9), (9, 10)])
def test_swapped_contents_are_named(left: int, right: int, with_hash: bool) -> None:
    stored = chain()
    (one, first), (two, second) = stored[left - 1], stored[right - 1]
    by = right - left
    stored[left - 1] = renumbered(two, -by), second if with_hash else first
    stored[right - 1] = renumbered(one, by), first if with_hash else second
    assert found(lines_of(stored)) == [("swapped", left, right)]


@pytest.mark.parametrize("seq", range(1, COUNT + 1))
@pytest.mark.parametrize("fits", [False, True])
def test_an_inserted_entry_with_a_number_twice_is_named(seq: int, fits: bool) -> None:
    stored = chain()
    text = changed(stored[seq - 1][0])
    before = stored[seq - 2][1] if seq > 1 else GENESIS
    stored.insert(seq - 1, (text, chain_hash(before, text) if fits else bytes(32)))
    kinds = found(lines_of(stored))
    assert kinds == [("inserted", seq, seq)]


@pytest.mark.parametrize("seq", range(1, COUNT + 1))
def test_an_inserted_entry_is_found_where_the_later_ones_are_renumbered(seq: int) -> None:
    stored = chain()
    text = changed(stored[seq - 1][0])
    later = [(renumbered(each, 1), digest) for each, digest in stored[seq - 1 :]]
    stored[seq - 1 :] = [(text, bytes(32)), *later]
    assert ("inserted", seq, seq) in found(lines_of(stored), heads=[])


def test_an_end_that_is_cut_off_is_found_by_the_heads() -> None:
    stored = chain()[:7]
    assert found(lines_of(stored)) == [("cut-off", 8, 10)]
    assert found(lines_of(stored), heads=[]) == []  # nothing else can show it
    assert found(lines_of(stored, to_ms=7_000)) == []  # it was asked for up to here


def test_a_file_without_its_last_line_was_cut_off() -> None:
    assert found(lines_of(chain())[:-1], heads=[]) == [("cut-off", 11, 11)]
    assert found(lines_of(chain())[:-4]) == [("cut-off", 8, 10)]


def test_other_lines_are_named() -> None:
    for forged in ("", "{}", "[]", '{"entry":1,"hash":"","personal":[]}', "[" * 100_000, "\ud800"):
        lines = lines_of(chain())
        lines[5] = forged
        assert found(lines)[:1] == [("unreadable", 5, 5)]
        assert ("dropped", 5, 5) in found(lines)
    twice = lines_of(chain())
    twice[5] = twice[5].replace('"actor":', '"actor":"user:9","actor":', 1)
    assert found(twice)[:1] == [("unreadable", 5, 5)]


def test_personal_data_is_confirmed_and_may_be_missing() -> None:
    stored = chain()
    lines = lines_of(stored)
    lines[3] = lines[3].replace('"fields":{"name":"Ann"}', '"fields":{"name":"Bob"}')
    assert found(lines) == [("personal", 3, 3)]
    lines[3] = entry_line(*stored[2], [])
    assert found(lines) == []


@pytest.mark.parametrize("line", ["", "{}", "[]", "x", '{"vigil_audit":2}'])
def test_what_is_not_an_export_is_refused(line: str) -> None:
    with pytest.raises(InvalidEventError):
        verify_export([line], [])


@given(st.data())
def test_no_change_of_one_character_is_missed(data: st.DataObject) -> None:
    lines = lines_of(chain(4))
    number = data.draw(st.integers(0, len(lines) - 1))
    at = data.draw(st.integers(0, len(lines[number]) - 1))
    character = data.draw(st.sampled_from('0a"{}, 9xz') | st.characters())
    before = lines[number]
    lines[number] = before[:at] + character + before[at + 1 :]
    heads = [head_of(chain(4), 4)]
    try:
        report = verify_export(lines, heads)
    except InvalidEventError:
        return
    same_range = (report.chain, report.first_seq, report.to_ms) == ("acme", 1, NEVER_MS)
    assert bool(report.findings) == (lines[number] != before) or not same_range


def test_a_head_is_read_back() -> None:
    head = HEADS[0]
    assert parse_head(json.loads(head.statement())) == head
    broken: Callable[[str], dict] = lambda name: {  # noqa: E731
        key: value for key, value in json.loads(head.statement()).items() if key != name
    }
    for name in ("chain", "seq", "hash", "format"):
        with pytest.raises(InvalidEventError):
            parse_head(broken(name))


def forked(to: int, *, lost_to: int = COUNT) -> Stored:
    """Return a log that was restored to entry `to`, says so, and has more entries."""
    stored = chain(to)
    previous = stored[-1][1]
    for seq in range(to + 1, to + 4):
        origin = AuditOrigin(actor="cli:ann")
        after = {"restored_to": to, "lost_to": lost_to}
        entry = origin.entry(20_000 + seq, "catalog:restore", "acme", tenant="acme", after=after)
        if seq > to + 1:
            entry = ANN.entry(20_000 + seq, "camera:rename", "acme/hq/gate", after={"name": "x"})
        text = numbered(canonical(entry.body({})), seq)
        previous = chain_hash(previous, text)
        stored.append((text, previous))
    return stored


def plain_lines(stored: Stored) -> list[str]:
    lines = [ExportHeader("acme", 1, GENESIS, NEVER_MS).line()]
    lines += [entry_line(text, digest, []) for text, digest in stored]
    return [*lines, end_line(len(stored), len(stored))]


def test_a_restore_explains_the_heads_of_lost_entries() -> None:
    stored = forked(6)
    later = AuditHead("acme", 8, stored[7][1], 30_000, "k1")
    report = verify_export(plain_lines(stored), [*HEADS, later])
    assert report.findings == ()
    assert report.newest_head == later
    assert report.notes == (
        "Entry 7 says: the database was restored, and the entries 7 to 10 of before are lost. "
        "2 of the given heads are of them.",
    )


def test_a_restore_explains_no_more_than_it_says() -> None:
    """Heads above what is lost, or signed after the restore, count as always."""
    assert found(plain_lines(forked(6, lost_to=9))) == [("cut-off", 10, 10)]
    stored = forked(6)
    wrong = AuditHead("acme", 8, b"x" * 32, 30_000, "k1")
    assert [kind for kind, *_ in found(plain_lines(stored), [*HEADS, wrong])] == ["rewritten"]
    before = AuditHead("acme", 4, b"x" * 32, 4_000, "k1")
    assert [kind for kind, *_ in found(plain_lines(stored), [before])] == ["rewritten"]


def test_without_its_entry_a_restore_is_a_rewritten_log() -> None:
    assert [kind for kind, *_ in found(plain_lines(forked(6)[:6]))] == ["cut-off"]

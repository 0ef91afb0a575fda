"""Verifies an export of the audit log: names what was changed, dropped, swapped or inserted.

    stored     1 ── 2 ── 3 ── 4 ── 5 ── 6      head of 6, signed
    exported   1 ── 2 ── 4 ── 3 ── X           3 and 4 swapped, 5 changed, 6 cut off

The hashes show what was done inside. Heads that were signed before, and are kept elsewhere, show
what the hashes cannot: a chain that was computed again, and an end that is missing.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from domain.audit import FORMAT, GENESIS, canonical, chain_hash, commitment
from domain.errors import InvalidEventError

RESTORE_ACTION = "catalog:restore"
"""An entry that says which entries were lost, because the database was restored."""
MAX_SHIFT = 64
"""How many dropped entries are found where the later ones were numbered again."""
MAX_PAIRS = 200
"""Of so many entries that do not fit, all pairs are tried as swapped."""

FindingKind = Literal[
    "changed", "dropped", "swapped", "inserted", "cut-off", "rewritten", "personal", "unreadable"
]


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """What is wrong with an export: which entries, and a sentence."""

    kind: FindingKind
    first_seq: int
    last_seq: int
    text: str


@dataclass(frozen=True, slots=True)
class AuditHead:
    """The state of a chain at a time, as it was signed."""

    chain: str
    seq: int
    hash: bytes
    at_ms: int
    key: str
    """Id of the key that signed it."""

    def statement(self) -> str:
        """Return what is signed: canonical JSON."""
        return canonical(
            {
                "at_ms": self.at_ms,
                "chain": self.chain,
                "format": FORMAT,
                "hash": self.hash.hex(),
                "key": self.key,
                "seq": self.seq,
            }
        )


def parse_head(statement: Mapping[str, Any]) -> AuditHead:
    """Return the head of a statement; raise InvalidEventError."""
    try:
        head = AuditHead(
            str(statement["chain"]),
            int(statement["seq"]),
            bytes.fromhex(statement["hash"]),
            int(statement["at_ms"]),
            str(statement["key"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidEventError(f"This is not a head of the audit log: {error}.") from None
    if statement.get("format") != FORMAT:
        raise InvalidEventError("This head has a format that this program does not know.")
    return head


@dataclass(frozen=True, slots=True)
class ExportHeader:
    """The first line of an export."""

    chain: str
    first_seq: int
    previous: bytes
    """The hash before the first entry."""
    to_ms: int
    """The export has the entries up to this time (UTC ms)."""

    def line(self) -> str:
        """Return the line."""
        return canonical(
            {
                "vigil_audit": FORMAT,
                "chain": self.chain,
                "first_seq": self.first_seq,
                "previous": self.previous.hex(),
                "to_ms": self.to_ms,
            }
        )


@dataclass(frozen=True, slots=True)
class ExportedEntry:
    """One line of an export."""

    seq: int
    hash: bytes
    canonical: str

    def with_seq(self, seq: int) -> "ExportedEntry":
        """Return it as if it had another number."""
        if seq == self.seq:
            return self
        head = self.canonical[: self.canonical.rindex('"seq":')]
        return replace(self, seq=seq, canonical=f'{head}"seq":{seq}}}')

    def fits(self, previous: bytes) -> bool:
        """Return whether its hash follows from its content and the hash before."""
        return chain_hash(previous, self.canonical) == self.hash


def entry_line(entry: str, digest: bytes, personal: Iterable[Mapping[str, Any]]) -> str:
    """Return an export's line of an entry in canonical form, with its personal data, if any."""
    return (
        f'{{"entry":{entry},"hash":"{digest.hex()}","personal":'
        f"{canonical([dict(each) for each in personal])}}}"
    )


def end_line(count: int, last_seq: int) -> str:
    """Return the last line of an export."""
    return canonical({"end": {"count": count, "last_seq": last_seq}})


@dataclass(frozen=True, slots=True)
class AuditReport:
    """The outcome of `verify_export`."""

    chain: str
    first_seq: int
    last_seq: int
    to_ms: int
    findings: tuple[AuditFinding, ...]
    newest_head: AuditHead | None
    """The newest head that the export agrees with."""
    notes: tuple[str, ...] = ()
    """What is explained by the log itself: entries that a restore of the database lost."""


def verify_export(lines: Iterable[str], heads: Sequence[AuditHead]) -> AuditReport:
    """Return what is wrong with an export; `heads`: those with valid signatures.

    Raises InvalidEventError where the first line is not the one of an export.
    """
    found: list[AuditFinding] = []
    numbered = enumerate((line.rstrip("\n") for line in lines), 1)
    header = _header(next(numbered, (1, ""))[1])
    entries = list(_entries(numbered, found))
    entries = _in_order(entries, header, found)
    entries = _single(entries, header, found)
    found += _check_links(entries, header)
    mine = sorted((head for head in heads if head.chain == header.chain), key=lambda each: each.seq)
    forks = _forks(entries)
    lost = [head for head in mine if any(fork.explains(head) for fork in forks)]
    mine = [head for head in mine if head not in lost]
    agreed, by_heads = _check_heads(entries, header, mine, broken=bool(found))
    if any(each.kind == "cut-off" for each in by_heads):  # they say how much is missing
        found = [each for each in found if each.kind != "cut-off"]
    last = entries[-1].seq if entries else header.first_seq - 1
    return AuditReport(
        header.chain, header.first_seq, last, header.to_ms, (*found, *by_heads), agreed,
        tuple(fork.note(lost) for fork in forks),
    )  # fmt: skip


def _header(line: str) -> ExportHeader:
    try:
        fields = json.loads(line)
        if fields.pop("vigil_audit") != FORMAT:
            raise InvalidEventError("This export has a format that this program does not know.")
        previous = bytes.fromhex(fields.pop("previous"))
        header = ExportHeader(previous=previous, **fields)
        if header.line() == line and header.first_seq >= 1:
            return header
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    raise InvalidEventError(
        "The first line is not the one of an export. Make it again with `vigil audit export`."
    )


def _entries(
    lines: Iterator[tuple[int, str]], found: list[AuditFinding]
) -> Iterator[ExportedEntry]:
    """Yield the entries; note what cannot be read, and whether the last line is missing."""
    last_seq = count = 0
    for number, line in lines:
        try:
            fields = json.loads(line)
            if canonical(fields) != line:
                raise ValueError("not canonical")
            if "end" in fields:
                if fields["end"] != {"count": count, "last_seq": last_seq}:
                    text = f"The last line counts {fields['end']}, the file has {count} entries."
                    found.append(AuditFinding("cut-off", last_seq, last_seq, text))
                return
            entry, digest = fields["entry"], bytes.fromhex(fields["hash"])
            one = ExportedEntry(entry["seq"], digest, canonical(entry))
            if type(one.seq) is not int or len(digest) != len(GENESIS):
                raise ValueError("not an entry")
            personal = list(_personal_faults(entry, fields["personal"]))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            found.append(
                AuditFinding(
                    "unreadable", last_seq + 1, last_seq + 1, f"Line {number} was changed: it is "
                    f"not one that `vigil audit export` writes. It is after entry {last_seq}."
                )
            )  # fmt: skip
            continue
        found += personal
        last_seq, count = one.seq, count + 1
        yield one
    text = f"The file ends after entry {last_seq} without its last line: it was cut off."
    found.append(AuditFinding("cut-off", last_seq + 1, last_seq + 1, text))


def _personal_faults(
    entry: Mapping[str, Any], personal: Iterable[Mapping[str, Any]]
) -> Iterator[AuditFinding]:
    """Yield the personal data that the entry's hashes do not confirm. Erased data is not there."""
    fixed = {each["subject"]: each["sha256"] for each in entry["personal"]}
    for each in personal:
        digest = commitment(bytes.fromhex(each["salt"]), each["fields"])
        if fixed.get(each["subject"]) != digest:
            seq = int(entry["seq"])
            text = f"Personal data of {each['subject']} in entry {seq} was changed."
            yield AuditFinding("personal", seq, seq, text)


def _in_order(
    entries: list[ExportedEntry], header: ExportHeader, found: list[AuditFinding]
) -> list[ExportedEntry]:
    """Return the entries by number; note those that are at another place in the file."""
    by_seq = sorted(entries, key=lambda each: each.seq)
    moved = [
        right.seq for left, right in zip(entries, by_seq, strict=True) if left.seq != right.seq
    ]
    if len(moved) == 2:
        text = f"Entries {moved[0]} and {moved[1]} are swapped."
        found.append(AuditFinding("swapped", moved[0], moved[1], text))
    elif moved:
        text = f"Entries {moved[0]} to {moved[-1]} are not in their order."
        found.append(AuditFinding("swapped", moved[0], moved[-1], text))
    early = [each.seq for each in by_seq if each.seq < header.first_seq]
    if early:
        text = f"Entries {early[0]} to {early[-1]} are before the first that the export has."
        found.append(AuditFinding("inserted", early[0], early[-1], text))
    return by_seq[len(early) :]


def _single(
    entries: list[ExportedEntry], header: ExportHeader, found: list[AuditFinding]
) -> list[ExportedEntry]:
    """Return each number once: the entry that fits. The others were inserted."""
    single: list[ExportedEntry] = []
    at = 0
    while at < len(entries):
        end = at + 1
        while end < len(entries) and entries[end].seq == entries[at].seq:
            end += 1
        same = entries[at:end]
        best = same[0]
        if len(same) > 1:
            previous = single[-1].hash if single else header.previous
            after = entries[end] if end < len(entries) else None
            best = max(
                same,
                key=lambda each: (after is not None and after.fits(each.hash), each.fits(previous)),
            )
            text = f"There are {len(same)} entries {best.seq}: {len(same) - 1} were inserted."
            found.append(AuditFinding("inserted", best.seq, best.seq, text))
        single.append(best)
        at = end
    return single


def _check_links(entries: list[ExportedEntry], header: ExportHeader) -> list[AuditFinding]:
    """Check each entry against the hash of the one before."""
    found: list[AuditFinding] = []
    previous: bytes | None = header.previous
    expected, shift = header.first_seq, 0
    swapped = _swapped_pairs(entries, header)
    for at, written in enumerate(entries):
        seq = written.seq
        entry = written.with_seq(seq + shift)
        if seq > expected:
            text = f"{_entries_text(expected, seq - 1, 'missing')} The next cannot be checked."
            found.append(AuditFinding("dropped", expected, seq - 1, text))
            previous = None
        expected = seq + 1
        if previous is None or entry.fits(previous):
            previous = entry.hash
            continue
        after = entries[at + 1] if at + 1 < len(entries) else None
        if (pair := swapped.get(seq)) is not None:
            if pair > seq:
                text = f"Entries {seq} and {pair} are swapped."
                found.append(AuditFinding("swapped", seq, pair, text))
        elif after is not None and after.with_seq(after.seq + shift - 1).fits(previous):
            shift -= 1
            text = f"Entry {seq} was inserted: the later ones have one number too much."
            found.append(AuditFinding("inserted", seq, seq, text))
            continue  # the next one follows the entry before
        elif after is not None and (more := _dropped_before(entry, after, shift)):
            text = f"{more} entries before entry {seq} were dropped, and the later ones renumbered."
            found.append(AuditFinding("dropped", seq, seq, text))
            shift += more
        else:
            text = f"Entry {seq} was changed"
            if (found and found[-1].last_seq == seq - 1) or at == 0:
                text += "."
            else:
                text += f", or entry {seq - 1} was, and its hash with it."
            found.append(AuditFinding("changed", seq, seq, text))
        previous = entry.hash
    return found


def _dropped_before(entry: ExportedEntry, after: ExportedEntry, shift: int) -> int:
    """Return how many entries are missing before `entry`, if the next one says so; else 0."""
    for more in range(1, MAX_SHIFT + 1):
        if after.with_seq(after.seq + shift + more).fits(entry.hash):
            return more
    return 0


def _swapped_pairs(entries: list[ExportedEntry], header: ExportHeader) -> dict[int, int]:
    """Return the entries that fit when their contents are exchanged: the other's number."""
    befores = [header.previous, *(each.hash for each in entries[:-1])]
    wrong = [at for at, each in enumerate(entries) if not each.fits(befores[at])]
    pairs: dict[int, int] = {}
    for place, left in enumerate(wrong[:MAX_PAIRS]):
        for right in wrong[place + 1 : MAX_PAIRS]:
            if _fit_exchanged(entries, befores, left, right):
                pairs[entries[left].seq] = entries[right].seq
                pairs[entries[right].seq] = entries[left].seq
                # Where their hashes were exchanged too, the entries after them do not fit either.
                for after in (left + 1, right + 1):
                    if after in wrong:
                        pairs.setdefault(entries[after].seq, 0)
    return pairs


def _fit_exchanged(
    entries: Sequence[ExportedEntry], befores: Sequence[bytes], left: int, right: int
) -> bool:
    """Return whether two entries fit where each has the other's content, with or without hash."""
    hashes = {entries[left].hash, entries[right].hash}
    first = entries[right].with_seq(entries[left].seq).canonical
    digest = chain_hash(befores[left], first)
    if digest not in hashes:
        return False
    before = digest if right == left + 1 else befores[right]
    second = entries[left].with_seq(entries[right].seq).canonical
    return chain_hash(before, second) in hashes - {digest}


def _check_heads(
    entries: Sequence[ExportedEntry],
    header: ExportHeader,
    heads: Sequence[AuditHead],
    *,
    broken: bool,
) -> tuple[AuditHead | None, list[AuditFinding]]:
    """Compare with the signed heads; return the newest that agrees, and what is wrong."""
    hashes = {each.seq: each.hash for each in entries}
    last = entries[-1].seq if entries else header.first_seq - 1
    agreed: AuditHead | None = None
    found: list[AuditFinding] = []
    for head in heads:
        if head.seq < header.first_seq:
            continue
        when = f"the head of {head.at_ms} ms that was signed for entry {head.seq}"
        if head.seq > last:
            if head.at_ms <= header.to_ms:
                text = (
                    f"{_entries_text(last + 1, head.seq, 'cut off at the end')} It shows by {when}."
                )
                found = [each for each in found if each.kind != "cut-off"]  # the newest says most
                found.append(AuditFinding("cut-off", last + 1, head.seq, text))
        elif hashes.get(head.seq) == head.hash:
            agreed = head
        elif head.seq in hashes and not broken and not found:
            first = agreed.seq + 1 if agreed is not None else header.first_seq
            text = (
                f"Entries {first} to {head.seq} were rewritten. "
                f"They fit each other, but not {when}."
            )
            found.append(AuditFinding("rewritten", first, head.seq, text))
    return agreed, found


@dataclass(frozen=True, slots=True)
class _Fork:
    """An entry that says that the database was restored to the entry before it."""

    seq: int
    at_ms: int
    lost_to: int

    def explains(self, head: AuditHead) -> bool:
        """Return whether a head was signed for an entry that is lost."""
        return self.seq <= head.seq <= self.lost_to and head.at_ms < self.at_ms

    def note(self, lost: Iterable[AuditHead]) -> str:
        """Return the sentence for people."""
        count = sum(self.explains(head) for head in lost)
        return (
            f"Entry {self.seq} says: the database was restored, and the entries {self.seq} to "
            f"{self.lost_to} of before are lost. {count} of the given heads are of them."
        )


def _forks(entries: Iterable[ExportedEntry]) -> list[_Fork]:
    """Return the restores that the log has."""
    forks = []
    for each in entries:
        if f'"action":"{RESTORE_ACTION}"' not in each.canonical:
            continue
        entry = json.loads(each.canonical)
        after = entry.get("after")
        if entry.get("action") == RESTORE_ACTION and isinstance(after, dict):
            lost_to = after.get("lost_to")
            if isinstance(lost_to, int):
                forks.append(_Fork(each.seq, int(entry["at_ms"]), lost_to))
    return forks


def _entries_text(first: int, last: int, what: str) -> str:
    return (
        f"Entry {first} is {what}." if first == last else f"Entries {first} to {last} are {what}."
    )

"""The audit log's entries: who did what to what, when; their canonical form and hash chain.

    entry 1         entry 2         entry 3
    h1 = H(0, 1) ─► h2 = H(h1, 2) ─► h3 = H(h2, 3) ─► signed head, outside the database

There is one chain for each tenant, and one (`*`) for the installation. An entry contains no name,
address or free text of people: the chain has only a salted hash of them. The texts are encrypted
elsewhere, with a key for each subject. Once the key is destroyed they are gone, and the chain still
verifies. See docs/design/audit.md.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from domain.access import INSTALLATION
from domain.errors import InvalidEventError
from domain.printable import printable
from domain.times import format_ms

FORMAT = 1
"""Version of the canonical form. A reader rejects forms that it does not know."""
GENESIS = bytes(32)
"""The hash before a chain's first entry."""
MAX_ENTRY_BYTES = 16_384
MAX_VALUE_BYTES = 4_096
"""Of `before` and of `after` each, in canonical form. What is longer is replaced by its hash."""
MAX_TEXT = 1_000
"""Characters of one text in an entry."""
MAX_DEPTH = 6
MAX_INT = (1 << 53) - 1
"""Whole numbers that every JSON reader keeps exactly."""
ANONYMOUS = "anonymous"
SYSTEM = "system"
TEXT_SUBJECT = "text"
"""The subject of free texts, such as reasons: they are erased with the tenant."""

Outcome = Literal["done", "refused"]
Json = None | bool | int | str | list["Json"] | dict[str, "Json"]

_ACTION = re.compile(r"[a-z][a-z-]{0,30}(?::[a-z][a-z-]{0,30}){1,2}")
_REFERENCE = re.compile(r"[!-~]{1,200}")
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class PersonalData:
    """Texts about one person, which can be erased. `subject`: whose, such as user:17."""

    subject: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One act. Raises InvalidEventError where an action or a reference is malformed."""

    at_ms: int
    chain: str
    """The tenant, or `*` for the installation."""
    actor: str
    """user:17, key:3, cli:NAME of the operating system's user, system or anonymous."""
    session: str | None = None
    """The session that the actor used: a pseudonym, never the cookie."""
    on_behalf_of: str | None = None
    """The one for which the actor acted, such as the user who owns an API key."""
    action: str
    """Such as key:create; docs/reference/audit.md lists them."""
    resource: str
    """On what: a scope such as acme/hq/gate, or user:17, key:3, hold:5."""
    before: Any = None
    """What it was: JSON without floats, no personal data."""
    after: Any = None
    """What it is now."""
    outcome: Outcome = "done"
    request: str | None = None
    """Id of the HTTP request; its response and the access log have it too."""
    personal: tuple[PersonalData, ...] = ()

    def __post_init__(self) -> None:
        if not _ACTION.fullmatch(self.action):
            raise InvalidEventError(f"{self.action!r} is not an action of the audit log.")
        for text in (self.chain, self.actor, self.resource, self.session, self.request):
            if text is not None and not _REFERENCE.fullmatch(text):
                raise InvalidEventError(f"{text[:80]!r} is not a reference of the audit log.")

    def body(self, personal_hashes: Mapping[str, str]) -> dict[str, Json]:
        """Return the entry without its number; `personal_hashes`: by subject, see `commitment`."""
        return {
            "action": self.action,
            "actor": self.actor,
            "actor_session": self.session,
            "after": bounded(self.after),
            "at_ms": self.at_ms,
            "before": bounded(self.before),
            "chain": self.chain,
            "format": FORMAT,
            "on_behalf_of": self.on_behalf_of,
            "outcome": self.outcome,
            "personal": [
                {"sha256": digest, "subject": subject}
                for subject, digest in sorted(personal_hashes.items())
            ],
            "request": self.request,
            "resource": self.resource,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditOrigin:
    """Who acts, from where: what all entries of one request or one command have in common."""

    actor: str
    session: str | None = None
    on_behalf_of: str | None = None
    request: str | None = None
    name: str = ""
    """What people call the actor. Personal data."""
    address: str = ""
    """The client's network address. Personal data."""
    agent: str = ""
    """The client's program. Personal data."""
    reason: str = ""
    """Why, in the actor's own words. Personal data."""

    def entry(
        self,
        at_ms: int,
        action: str,
        resource: str,
        *,
        tenant: str | None = None,
        before: Any = None,
        after: Any = None,
        outcome: Outcome = "done",
        reason: str = "",
        about: PersonalData | None = None,
    ) -> AuditEntry:
        """Return the entry of one act; `about`: personal data of the resource.

        Without `tenant` it is the resource's, or the installation's where the resource has none.
        """
        mine = {"name": self.name, "address": self.address, "agent": self.agent}
        why = {"reason": reason or self.reason}
        # Strangers of one month are one subject: their addresses can be erased by age.
        subject = f"{ANONYMOUS}:{format_ms(at_ms)[:7]}" if self.actor == ANONYMOUS else self.actor
        given = [PersonalData(subject, mine), PersonalData(TEXT_SUBJECT, why)]
        if about is not None:
            given.append(about)
        return AuditEntry(
            at_ms=at_ms,
            chain=tenant or tenant_of([resource]),
            actor=self.actor,
            session=self.session,
            on_behalf_of=self.on_behalf_of,
            action=action,
            resource=resource,
            before=before,
            after=after,
            outcome=outcome,
            request=self.request,
            personal=_merged(given),
        )

    def because(self, reason: str) -> "AuditOrigin":
        """Return the origin with a reason."""
        return replace(self, reason=reason)


BY_SYSTEM = AuditOrigin(actor=SYSTEM)
"""Vigil itself acts: for no person, key or command."""


@dataclass(frozen=True, slots=True)
class SealedEntry:
    """An entry in its chain: its number, its hash, and its canonical form."""

    seq: int
    hash: bytes
    canonical: str


def tenant_of(scopes: Iterable[str]) -> str:
    """Return the one tenant that all scopes are in; `*` where there is none, or more than one."""
    tenants = {
        INSTALLATION if ":" in scope or not scope else scope.split("/", 1)[0] for scope in scopes
    }
    return tenants.pop() if len(tenants) == 1 else INSTALLATION


def canonical(value: Json) -> str:
    """Return JSON as RFC 8785 has it: sorted keys, no spaces. Numbers are whole, keys are ASCII.

    So the same value has one form only, also after it was parsed again.
    """
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def numbered(body: str, seq: int) -> str:
    """Return the canonical form of an entry with its number; `body`: its form without.

    `seq` is the last of an entry's keys, so the database can add it too, under the chain's lock.
    """
    return f'{body[:-1]},"seq":{seq}}}'


def chain_hash(previous: bytes, entry: str) -> bytes:
    """Return h_n of h_(n-1) and the canonical form of entry n."""
    return hashlib.sha256(b"\x01" + previous + entry.encode()).digest()


def commitment(salt: bytes, fields: Mapping[str, str]) -> str:
    """Return the hash by which the chain fixes personal data without containing it.

    The salt (16 random bytes) is erased with the data: without it no one can try names.
    """
    return hashlib.sha256(b"\x02" + salt + canonical(dict(fields)).encode()).hexdigest()


def bounded(value: Any) -> Json:
    """Return a value as an entry may hold it: JSON, whole numbers, limited in size and depth.

    A text that is too long is cut. A value that is too large is replaced by its hash and size, so
    no input can make an act fail because it must be audited.
    """
    clean = _clean(value, MAX_DEPTH)
    text = canonical(clean)
    size = len(text.encode())
    if size <= MAX_VALUE_BYTES:
        return clean
    return {"too_large_bytes": size, "sha256": hashlib.sha256(text.encode()).hexdigest()}


def _clean(value: Any, depth: int) -> Json:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) <= MAX_INT else str(value)
    if isinstance(value, str):
        return _text(value)
    if depth and isinstance(value, Mapping):
        return {
            printable(str(key), 64).encode("ascii", "replace").decode(): _clean(each, depth - 1)
            for key, each in value.items()
        }
    if depth and isinstance(value, list | tuple | set | frozenset):
        items = sorted(map(str, value)) if isinstance(value, set | frozenset) else value
        return [_clean(each, depth - 1) for each in items]
    return _text(str(value))


def _text(text: str) -> str:
    clean = _UNSTORABLE.sub("\ufffd", text)
    return clean if len(clean) <= MAX_TEXT else clean[: MAX_TEXT - 1] + "…"


def _merged(given: Iterable[PersonalData]) -> tuple[PersonalData, ...]:
    """Return personal data with each subject once, without empty texts."""
    merged: dict[str, dict[str, str]] = {}
    for each in given:
        fields = {
            key: printable(_text(text), MAX_TEXT) for key, text in each.fields.items() if text
        }
        if fields:
            merged.setdefault(each.subject, {}).update(fields)
    return tuple(PersonalData(subject, fields) for subject, fields in sorted(merged.items()))

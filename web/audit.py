"""The audit log's entries of requests: who, from which address, by which key or session.

A view that changes something passes `origin_of(request)` to the function of stores/catalog that
does it. The function writes the entry in the transaction of the change.
"""

from dataclasses import replace

from aiohttp import web

from domain.access import INSTALLATION, Permission
from domain.audit import ANONYMOUS, AuditOrigin, tenant_of
from web.principal import PRINCIPAL
from web.request_id import request_id
from web.services import SERVICES

MAX_AGENT = 200


def origin_of(request: web.Request, reason: str = "") -> AuditOrigin:
    """Return who sends a request, from where; `reason`: why, in the sender's words.

    Before the sign-in, no one is known: the actor is `anonymous`.
    """
    origin = AuditOrigin(
        actor=ANONYMOUS,
        request=request_id(request),
        address=request.app[SERVICES].proxies.client_of(request),
        agent=request.headers.get("User-Agent", "")[:MAX_AGENT],
        reason=reason,
    )
    caller = request.get(PRINCIPAL)
    if caller is None:
        return origin
    return replace(
        origin,
        actor=caller.id,
        session=caller.session,
        on_behalf_of=None if caller.owner is None else f"user:{caller.owner}",
        name=caller.name,
    )


# -- what changes nothing: read, searched, refused

READS = frozenset({Permission.FOOTAGE_READ, Permission.DETECTIONS_READ, Permission.AUDIT_READ})
"""Permissions whose use is an entry: what was watched, searched and audited."""
FRAGMENTS_PER_NOTE = 900
"""About an hour of footage."""
HOUR_MS = 3_600_000
_TIME_KEYS = ("from", "to", "at")


def note_read(request: web.Request, permission: Permission, resource: str) -> None:
    """Note that a request read footage, detections or the audit log: one entry a minute.

    `resource`: the camera, or the scope that a list shows. The entry says which hours were read.
    """
    request.app[SERVICES].audit_reads.note(
        origin_of(request),
        str(permission),
        resource,
        chain=tenant_of([resource]),
        details=_read_details(request),
    )


def note_refusal(request: web.Request, action: str, resource: str, status: int) -> None:
    """Note that a request was refused: one entry a minute for each actor, act and resource.

    It is in the tenant's chain only if the caller has a grant in that tenant. So strangers can
    neither write to a tenant's log nor start one.
    """
    caller = request.get(PRINCIPAL)
    tenant = tenant_of([resource])
    known = caller is not None and caller.tenants is not None and tenant in caller.tenants
    request.app[SERVICES].audit_reads.note(
        origin_of(request),
        action,
        resource,
        chain=tenant if known else INSTALLATION,
        details={"method": request.method, "status": int(status)},
        outcome="refused",
    )


def _read_details(request: web.Request) -> dict[str, object] | None:
    """Return which part of the footage a request reads, to the hour, and what it searches."""
    path, query = request.match_info, request.query
    details: dict[str, object] = {}
    if "window_start_ms" in path and path["window_start_ms"].isdigit():
        details["hour_ms"] = _hour(int(path["window_start_ms"]))
    elif "run" in path:
        details["run"] = path["run"]
        if path.get("seq", "").isdigit():
            first = int(path["seq"]) // FRAGMENTS_PER_NOTE * FRAGMENTS_PER_NOTE
            details["fragments_from"] = first
    for name in _TIME_KEYS:
        if (text := query.get(name)) is not None:
            details[name] = _hour(int(text)) if text.isdigit() else text[:13]
    for name in ("label", "model", "min_score", "actor", "action", "resource"):
        if found := query.getall(name, []):
            details[name] = sorted(text[:100] for text in found[:20])
    return details or None


def _hour(at_ms: int) -> int:
    return at_ms - at_ms % HOUR_MS

"""The audit log's entries of requests: who, from which address, by which key or session.

A view that changes something passes `origin_of(request)` to the function of stores/catalog that
does it. The function writes the entry in the transaction of the change.
"""

import secrets
from dataclasses import replace

from aiohttp import web

from domain.audit import ANONYMOUS, AuditOrigin
from web.middleware import PRINCIPAL
from web.services import SERVICES

REQUEST_ID: web.RequestKey[str] = web.RequestKey("request_id", str)
MAX_AGENT = 200


def request_id(request: web.Request) -> str:
    """Return the request's id: 64 random bits, the same at each call."""
    found = request.get(REQUEST_ID)
    if found is None:
        found = request[REQUEST_ID] = secrets.token_hex(8)
    return found


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
    is_users_key = caller.key is not None and caller.user is not None
    return replace(
        origin,
        actor=caller.id,
        session=caller.session,
        on_behalf_of=f"user:{caller.user}" if is_users_key else None,
        name=caller.name,
    )

"""What every change over the API has in common: its audit entry, its kept answer, its ETag."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from domain.audit import AuditEntry, PersonalData
from stores.catalog.audit import write_audit
from stores.catalog.pool import Connection
from stores.catalog.web_catalog import all_tenants
from web.audit import origin_of
from web.bodies import NO_STORE
from web.conditional import etag_of
from web.idempotency import keep_answer
from web.middleware import PRINCIPAL
from web.services import SERVICES

IF_MATCH = {"If-Match": "The `ETag` of what you read: where it was changed since, 412."}
ETAG = {"ETag": "Of what can be changed. Send it as `If-Match`."}
LOCATION = {"Location": "The address of what was created."}
MAX_WHO = 100


def with_etag(tag: str, *, location: str | None = None) -> dict[str, str]:
    """Return the headers of an answer with an ETag; `location`: of what was created."""
    headers = {**NO_STORE, "ETag": etag_of(tag)}
    return headers if location is None else {**headers, "Location": location}


def who(request: web.Request) -> str:
    """Return the caller as the columns "who did it" have it: his name, which people read."""
    return request[PRINCIPAL].name[:MAX_WHO] or request[PRINCIPAL].id


def entry_of(
    request: web.Request,
    action: str,
    resource: str,
    *,
    tenant: str | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    reason: str = "",
    about: PersonalData | None = None,
) -> AuditEntry:
    """Return the audit log's entry of a change."""
    return origin_of(request).entry(
        request.app[SERVICES].clock_ms(),
        action,
        resource,
        tenant=tenant,
        before=before,
        after=after,
        reason=reason,
        about=about,
    )


@asynccontextmanager
async def rights_transaction(request: web.Request) -> AsyncIterator[Connection]:
    """Yield the transaction of a change of users' rights. Then this worker reads all rights again.

    Rights may reach over tenants, so all are visible: domain/access.py decides what is allowed.
    """
    services = request.app[SERVICES]
    with all_tenants():
        async with (await services.catalog.get()).transaction() as connection:
            yield connection
    services.sessions.forget()


async def finish(
    connection: Connection, request: web.Request, response: web.Response, entry: AuditEntry
) -> web.Response:
    """Keep the answer for its Idempotency-Key and write the audit log, in the open transaction.

    It is the last step of a change: the audit log's chain is locked until the transaction ends.
    """
    await keep_answer(connection, request, response)
    await write_audit(connection, entry)
    return response

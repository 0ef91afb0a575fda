"""/api/v1/audit: the audit log, for auditors."""

from aiohttp import web
from faust.web import View

from domain.access import Permission, check_scope, covers, scopes_with
from domain.errors import InvalidIdError
from stores.catalog.audit_log import (
    FOREVER_MS,
    NEWEST,
    AuditFilter,
    StoredEntry,
    export_lines,
    find_entries,
)
from web.access import in_list
from web.bodies import json_answer, parse_query
from web.middleware import PRINCIPAL
from web.operations import MediaBody, Operation, describe
from web.pagination import page_of, parse_cursor
from web.problems import bad_request, not_found
from web.schemas.audit import AuditExportQuery, AuditItem, AuditPage, AuditQuery
from web.services import SERVICES

JSON_LINES = "application/x-ndjson"
LINES_AT_ONCE = 200
_TAG = "Audit log"
_ACCESS = in_list(Permission.AUDIT_READ)


def _scopes(request: web.Request) -> tuple[str, ...]:
    return scopes_with(request[PRINCIPAL].principal, Permission.AUDIT_READ)


class AuditLogView(View):
    """Entries of all chains that the caller may read."""

    view_path = "/api/v1/audit"
    access = _ACCESS
    operations = describe(
        get=Operation(
            "Read the audit log",
            description="Newest first. An auditor of a site or a camera sees what was done there; "
            "the chain `*` takes the role auditor on `*`. What is read is an entry itself.",
            answer=AuditPage,
            query=AuditQuery,
            tag=_TAG,
        )
    )

    async def get(self, request: web.Request) -> web.Response:
        """Return a page."""
        query = parse_query(request, AuditQuery)
        from_ms, to_ms = _range(query.from_, query.to, FOREVER_MS)
        wanted = AuditFilter(
            from_ms,
            to_ms,
            query.actor,
            query.action,
            query.resource,
            query.outcome,
            query.tenant,
        )
        place = parse_cursor(request, query, int, str, int)
        before = NEWEST if place is None else (int(place[0]), str(place[1]), int(place[2]))
        found = await find_entries(
            await request.app[SERVICES].catalog.get(),
            _scopes(request),
            wanted,
            before=before,
            limit=query.limit + 1,
        )
        page, following = page_of(request, query, found, lambda each: each.position)
        return json_answer(AuditPage(entries=[_item(each) for each in page], next=following))


class AuditExportView(View):
    """A chain in the form that `vigil audit verify` reads."""

    view_path = "/api/v1/audit/export"
    access = _ACCESS
    operations = describe(
        get=Operation(
            "Export a chain of the audit log",
            description="For `vigil audit verify`, which needs no database. The first line has the "
            "hash before the first entry, the last line the number of the last one. It takes the "
            "role auditor on the whole tenant.",
            answer=MediaBody(JSON_LINES, "JSON lines.", is_text=True),
            query=AuditExportQuery,
            problems={404: "The caller is not an auditor of the whole tenant."},
            tag=_TAG,
        )
    )

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Send the lines as they are read."""
        query = parse_query(request, AuditExportQuery)
        services = request.app[SERVICES]
        from_ms, to_ms = _range(query.from_, query.to, services.clock_ms())
        try:
            chain = check_scope(query.tenant)
        except InvalidIdError as error:
            raise bad_request(f"tenant: {error}") from None
        scopes = _scopes(request)
        if "/" in chain or not any(covers(scope, chain) for scope in scopes):
            raise not_found(f"There is no audit log of {chain} that you may export.")
        response = web.StreamResponse(
            headers={
                "Content-Type": JSON_LINES,
                "Cache-Control": "no-store",
                "Content-Disposition": 'attachment; filename="audit.jsonl"',
            }
        )
        catalog = await services.catalog.get()
        lines: list[str] = []
        async for line in export_lines(catalog, chain, from_ms, to_ms):
            lines.append(line + "\n")
            if len(lines) >= LINES_AT_ONCE:
                if not response.prepared:
                    await response.prepare(request)
                await response.write("".join(lines).encode())
                lines.clear()
        if not response.prepared:
            await response.prepare(request)
        await response.write("".join(lines).encode())
        await response.write_eof()
        return response


def _range(from_ms: int | None, to_ms: int | None, latest_ms: int) -> tuple[int, int]:
    first, last = from_ms or 0, latest_ms if to_ms is None else to_ms
    if first >= last:
        raise bad_request(f"from ({first}) must be before to ({last}).")
    return first, last


def _item(entry: StoredEntry) -> AuditItem:
    fields = entry.shown()
    del fields["format"]
    return AuditItem(**fields)

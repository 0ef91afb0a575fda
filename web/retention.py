"""/api/v1/retention: how long footage is kept. A change is previewed, then confirmed.

preview   POST scope, days ──► what it would delete; an ETag over that, the rules and the holds
confirm   PUT or DELETE of the rule, If-Match: that ETag ──► 412: anything else would be deleted
"""

import asyncio
import re
from http import HTTPStatus
from types import MappingProxyType

from aiohttp import web
from faust.web import View

from domain.access import Permission, is_visible, scopes_with
from domain.retention import Margins, RetentionRule
from stores.catalog import Catalog, retention_rules
from stores.catalog.retention_preview import (
    Footage,
    RetentionPreview,
    is_unchanged,
    preview_rule,
)
from web.access import in_list, require_permission
from web.bodies import NO_STORE, json_answer, parse_query, read_json
from web.conditional import etag_of, expected_version
from web.edits import entry_of, finish, who
from web.middleware import PRINCIPAL
from web.operations import Operation, describe
from web.pagination import page_of, parse_cursor
from web.problems import ProblemError, not_found
from web.schemas.retention import (
    FootageAmount,
    PreviewAnswer,
    PreviewRequest,
    RuleChange,
    RuleItem,
    Rules,
    RulesQuery,
    ScopeQuery,
    ScopeRule,
)
from web.services import SERVICES

CONFIRM_WITHIN_MS = 15 * 60_000
CLOCKS_DIFFER_MS = 60_000
"""The clocks of two workers may differ by this much."""
PREVIEW_S = 30.0
SHOWN_CAMERAS = 100
_TAG = "Retention"
_ACCESS = in_list(Permission.RETENTION_MANAGE)
_ETAG = re.compile(r"(\d{1,15})-([0-9a-f]{32})", re.ASCII)
_IF_MATCH = {"If-Match": "The `etag` of a preview of this change, at most 15 minutes old."}
_STALE = {412: "Anything else would be deleted than the preview shows, or it is too old."}


class RulesView(View):
    """The rules of what the caller may manage."""

    view_path = "/api/v1/retention/rules"
    access = _ACCESS
    operations = describe(
        get=Operation("List the retention rules", answer=Rules, query=RulesQuery, tag=_TAG)
    )

    async def get(self, request: web.Request) -> web.Response:
        """Return a page of the rules, by scope."""
        query = parse_query(request, RulesQuery)
        after = parse_cursor(request, query, str)
        scopes = scopes_with(request[PRINCIPAL].principal, Permission.RETENTION_MANAGE)
        stored = await retention_rules.list_rules(await request.app[SERVICES].catalog.get())
        found = [
            RuleItem(
                scope=each.rule.scope, days=each.rule.days, set_by=each.set_by, set_ms=each.set_ms
            )
            for each in stored
            if is_visible(scopes, each.rule.scope) and (after is None or (each.rule.scope,) > after)
        ]
        found.sort(key=lambda rule: rule.scope)
        page, following = page_of(request, query, found, lambda rule: (rule.scope,))
        return json_answer(Rules(rules=list(page), next=following))


class RuleView(View):
    """The rule of one scope."""

    view_path = "/api/v1/retention/rule"
    access = _ACCESS
    operations = describe(
        get=Operation(
            "Get the retention rule of a scope",
            answer=ScopeRule,
            query=ScopeQuery,
            problems={404: "Your grants do not cover the scope."},
            tag=_TAG,
        ),
        put=Operation(
            "Set the retention rule of a scope",
            description="Preview the change first. The next pass of retention obeys the rule. "
            "Footage that becomes old enough later is deleted then.",
            query=ScopeQuery,
            body=RuleChange,
            answer=ScopeRule,
            headers=_IF_MATCH,
            problems=_STALE,
            tag=_TAG,
        ),
        delete=Operation(
            "Remove the retention rule of a scope",
            description="The scope then follows a wider rule, which may be shorter, or none. "
            "Preview the change first, with `days` null.",
            query=ScopeQuery,
            answer=ScopeRule,
            headers=_IF_MATCH,
            problems=_STALE,
            tag=_TAG,
        ),
    )

    async def get(self, request: web.Request) -> web.Response:
        """Return its own rule, and the rule that it follows."""
        scope = _scope(request)
        catalog = await request.app[SERVICES].catalog.get()
        return json_answer(await _scope_rule(catalog, scope))

    async def put(self, request: web.Request) -> web.Response:
        """Set it as it was previewed."""
        scope = _scope(request)
        expected = _previewed(request)
        given = await read_json(request, RuleChange)
        return await _confirm(request, scope, given.days, expected)

    async def delete(self, request: web.Request) -> web.Response:
        """Remove it as it was previewed."""
        scope = _scope(request)
        return await _confirm(request, scope, None, _previewed(request))


class RetentionPreviewView(View):
    """What a change of a rule would delete."""

    view_path = "/api/v1/retention/preview"
    access = MappingProxyType({"POST": _ACCESS})
    operations = describe(
        post=Operation(
            "Preview a change of a retention rule",
            description="It changes nothing. Confirm it with `PUT` or `DELETE` of the rule, with "
            "`If-Match`.",
            body=PreviewRequest,
            answer=PreviewAnswer,
            answer_headers={"ETag": "The same as `etag`."},
            tag=_TAG,
        )
    )

    async def post(self, request: web.Request) -> web.Response:
        """Count, and return the ETag with which it can be confirmed."""
        given = await read_json(request, PreviewRequest)
        principal = request[PRINCIPAL].principal
        require_permission(principal, Permission.RETENTION_MANAGE, given.scope)
        now_ms = request.app[SERVICES].clock_ms()
        preview, digest = await _preview(request, given.scope, given.days, now_ms)
        catalog = await request.app[SERVICES].catalog.get()
        seen = {
            hold.id
            for hold in await retention_rules.holds_of(
                catalog, scopes_with(principal, Permission.HOLD_MANAGE)
            )
        }
        answer = PreviewAnswer(
            scope=preview.scope,
            days=preview.days,
            days_before=preview.days_before,
            at_ms=now_ms,
            until_ms=now_ms + CONFIRM_WITHIN_MS,
            etag=etag_of(f"{now_ms}-{digest}"),
            deleted=_amount(preview.deleted),
            due=_amount(preview.due),
            held=_amount(preview.held),
            cameras=len(preview.cameras),
            camera_ids=list(preview.cameras[:SHOWN_CAMERAS]),
            oldest_ms=preview.oldest_ms,
            newest_ms=preview.newest_ms,
            holds=[number for number in preview.holds if number in seen],
        )
        return json_answer(answer, headers={**NO_STORE, "ETag": answer.etag})


def _amount(footage: Footage) -> FootageAmount:
    return FootageAmount(
        chunks=footage.chunks, fragments=footage.fragments, size_bytes=footage.size_bytes
    )


def _scope(request: web.Request) -> str:
    """Return the scope of the query; 404: it is a foreign one."""
    scope = parse_query(request, ScopeQuery).scope
    require_permission(request[PRINCIPAL].principal, Permission.RETENTION_MANAGE, scope)
    return scope


async def _preview(
    request: web.Request, scope: str, days: int | None, at_ms: int
) -> tuple[RetentionPreview, str]:
    """Return the preview and its digest; 404: there is no such scope, 503: it takes too long."""
    services = request.app[SERVICES]
    catalog = await services.catalog.get()
    async with catalog.transaction() as connection:
        if not await retention_rules.scope_exists(connection, scope):
            raise not_found(f"There is no {scope}, or your grants do not cover it.")
    try:
        async with asyncio.timeout(PREVIEW_S), services.previews:
            return await preview_rule(catalog, scope, days, at_ms=at_ms)
    except TimeoutError:
        raise ProblemError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"Counting took longer than {PREVIEW_S:.0f} s. Try again, or preview one site or "
            "camera after the other.",
            {"Retry-After": "30"},
        ) from None


def _previewed(request: web.Request) -> tuple[int, str]:
    """Return time and digest of the preview that If-Match names; 412, 428: it names none."""
    tags = expected_version(request).tags
    if tags is None:
        raise ProblemError(
            HTTPStatus.PRECONDITION_REQUIRED,
            "Preview the change, and send the ETag of the preview as If-Match.",
        )
    found = [match for match in map(_ETAG.fullmatch, sorted(tags)) if match is not None]
    if len(found) != 1:
        raise _stale("If-Match is not the ETag of a preview.")
    at_ms = int(found[0][1])
    now_ms = request.app[SERVICES].clock_ms()
    if not now_ms - CONFIRM_WITHIN_MS <= at_ms <= now_ms + CLOCKS_DIFFER_MS:
        raise _stale("The preview is too old.")
    return at_ms, found[0][2]


def _stale(reason: str) -> ProblemError:
    return ProblemError(
        HTTPStatus.PRECONDITION_FAILED, f"{reason} Preview the change again, then confirm it."
    )


async def _confirm(
    request: web.Request, scope: str, days: int | None, expected: tuple[int, str]
) -> web.Response:
    """Set or remove a rule if that deletes exactly what the preview has shown."""
    at_ms, wanted = expected
    preview, digest = await _preview(request, scope, days, at_ms)
    changed = _stale("Footage, rules or holds have changed since the preview.")
    if digest != wanted:
        raise changed
    services = request.app[SERVICES]
    catalog = await services.catalog.get()
    async with catalog.transaction() as connection:
        # No rule, hold or deletion changes anything from here to the commit.
        await retention_rules.lock_rules(connection)
        if not await is_unchanged(connection, preview, digest):
            raise changed
        if days is None:
            await retention_rules.delete_rule(connection, scope)
        else:
            rule = RetentionRule(scope, days)
            await retention_rules.store_rule(
                connection,
                rule,
                who(request),
                services.clock_ms(),
                principal=request[PRINCIPAL].id,
            )
        policy = await retention_rules.read_policy(connection, Margins(0, 0))
        followed = policy.rule_for(scope)
        response = json_answer(_answer(scope, days, followed))
        entry = entry_of(
            request,
            "retention:clear" if days is None else "retention:set",
            scope,
            before={"days": preview.days_before},
            after={
                "days": days,
                "deletes_chunks": preview.deleted.chunks,
                "deletes_fragments": preview.deleted.fragments,
                "deletes_bytes": preview.deleted.size_bytes,
            },
        )
        return await finish(connection, request, response, entry)


async def _scope_rule(catalog: Catalog, scope: str) -> ScopeRule:
    policy = await retention_rules.load_policy(catalog, Margins(0, 0))
    own = {rule.scope: rule.days for rule in policy.rules}.get(scope)
    return _answer(scope, own, policy.rule_for(scope))


def _answer(scope: str, days: int | None, followed: RetentionRule | None) -> ScopeRule:
    return ScopeRule(
        scope=scope,
        days=days,
        followed_scope=None if followed is None else followed.scope,
        followed_days=None if followed is None else followed.days,
    )

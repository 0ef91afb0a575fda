"""/api/v1/second-factor: where people need one whose roles change, delete or export something."""

from http import HTTPStatus
from types import MappingProxyType

from aiohttp import web
from faust.web import View

from domain.access import Permission, is_visible, overlaps, scopes_with
from domain.audit import tenant_of
from stores.catalog.second_factor import (
    SecondFactorRule,
    list_second_factor_rules,
    release_second_factor,
    require_second_factor,
)
from stores.catalog.web_catalog import all_tenants
from web.access import in_list, require_permission
from web.bodies import NO_STORE, json_answer, parse_query
from web.edits import entry_of, finish, rights_transaction, who
from web.middleware import PRINCIPAL
from web.operations import Operation, describe
from web.pagination import page_of, parse_cursor
from web.schemas.second_factor import (
    SecondFactorItem,
    SecondFactorQuery,
    SecondFactorRules,
    SecondFactorRulesQuery,
)
from web.services import SERVICES

_TAG = "Users"
_ACCESS = in_list(Permission.USERS_MANAGE)


class SecondFactorRulesView(View):
    """Where it is required."""

    view_path = "/api/v1/second-factor/rules"
    access = _ACCESS
    operations = describe(
        get=Operation(
            "List where a second factor is required",
            description="The rule of the installation, and those of tenants that you manage.",
            answer=SecondFactorRules,
            query=SecondFactorRulesQuery,
            tag=_TAG,
        )
    )

    async def get(self, request: web.Request) -> web.Response:
        """Return the rules."""
        query = parse_query(request, SecondFactorRulesQuery)
        after = parse_cursor(request, query, str)
        scopes = scopes_with(request[PRINCIPAL].principal, Permission.USERS_MANAGE)
        with all_tenants():
            found = await list_second_factor_rules(await request.app[SERVICES].catalog.get())
        shown = [
            SecondFactorItem(scope=rule.scope, set_by=_by(rule, scopes), set_ms=rule.set_ms)
            for rule in found
            if overlaps(scopes, rule.scope) and (after is None or (rule.scope,) > after)
        ]
        shown.sort(key=lambda rule: rule.scope)
        page, following = page_of(request, query, shown, lambda rule: (rule.scope,))
        return json_answer(SecondFactorRules(rules=list(page), next=following))


class SecondFactorRuleView(View):
    """The rule of one scope."""

    view_path = "/api/v1/second-factor/rule"
    access = MappingProxyType({"PUT": _ACCESS, "DELETE": _ACCESS})
    operations = describe(
        put=Operation(
            "Require a second factor",
            description="Of users whose roles there change, delete or export something. Who has "
            "none may set one up, and do nothing else: within 5 s in all workers. Viewers need "
            "none, nor do API keys. Of people who sign in by an OpenID provider, it asks for it "
            "itself.",
            query=SecondFactorQuery,
            tag=_TAG,
        ),
        delete=Operation(
            "Require a second factor no more",
            description="A tenant stays bound by the rule of the installation.",
            query=SecondFactorQuery,
            tag=_TAG,
        ),
    )

    async def put(self, request: web.Request) -> web.Response:
        """Require it."""
        return await _set(request, required=True)

    async def delete(self, request: web.Request) -> web.Response:
        """Require it no more."""
        return await _set(request, required=False)


async def _set(request: web.Request, *, required: bool) -> web.Response:
    scope = parse_query(request, SecondFactorQuery).scope
    caller = request[PRINCIPAL]
    require_permission(caller.principal, Permission.USERS_MANAGE, scope)
    now_ms = request.app[SERVICES].clock_ms()
    response = web.Response(status=HTTPStatus.NO_CONTENT, headers=NO_STORE)
    async with rights_transaction(request) as connection:
        if required:
            changed = await require_second_factor(
                connection, scope, who(request), now_ms, principal=caller.id
            )
        else:
            changed = await release_second_factor(connection, scope)
        if changed:
            entry = entry_of(
                request,
                "second-factor:require" if required else "second-factor:release",
                scope,
                tenant=tenant_of([scope]),
                before={"required": not required},
                after={"required": required},
            )
            await finish(connection, request, response, entry)
    return response


def _by(rule: SecondFactorRule, scopes: tuple[str, ...]) -> str:
    """Return who set a rule; not to those who do not see the users of its scope."""
    return rule.set_by if is_visible(scopes, rule.scope) else ""

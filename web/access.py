"""Which permission each route needs. One place asks domain/access.py for every request.

view      declares `access`: a RouteAccess, or one for each method
serve     makes the table of all views; a view without a declaration does not start
request   route, method ──► RouteAccess ──► decide ──► handler, 401, 403 or 404
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

from aiohttp import web

from domain.access import (
    INSTALLATION,
    AccessDecision,
    Permission,
    Principal,
    decide,
    lacks,
    scopes_with,
    tenants_of,
)
from domain.caller import Caller
from domain.errors import ConfigError, InvalidIdError
from domain.identity import check_site, check_tenant
from web.problems import ProblemError, not_found
from web.query import parse_camera_id


@dataclass(frozen=True, slots=True)
class RouteAccess:
    """Who may call a route.

    `on` is what the permission is needed for: the camera or the site of the path, the installation,
    or anything at all ("list": the handler shows only what is below `scopes_with`).
    """

    permission: Permission | None
    """None: no permission. Then `on` says whether the caller must be authenticated."""
    on: Literal[
        "nothing",
        "enrolling",
        "signed-in",
        "camera",
        "site",
        "known-site",
        "tenant",
        "installation",
        "list",
    ]


PUBLIC = RouteAccess(None, "nothing")
SIGNED_IN = RouteAccess(None, "signed-in")
ENROLLING = RouteAccess(None, "enrolling")
"""As SIGNED_IN, and for people too who must set up a second factor before anything else."""

_NOUNS = {"camera": "camera", "known-site": "site", "tenant": "tenant"}
"""What answers 404 where it is foreign."""

AccessTable = Mapping[str, RouteAccess | Mapping[str, RouteAccess]]
"""By the pattern of the path."""


def on_camera(permission: Permission) -> RouteAccess:
    """Return the access of a route with {tenant}/{site}/{camera} in its path."""
    return RouteAccess(permission, "camera")


def on_site(permission: Permission) -> RouteAccess:
    """Return the access of a route with {tenant}/{site} in its path."""
    return RouteAccess(permission, "site")


def on_known_site(permission: Permission) -> RouteAccess:
    """Return the access of a route as `on_site`, but a foreign site answers 404.

    Only devices need the other one.
    """
    return RouteAccess(permission, "known-site")


def on_tenant(permission: Permission) -> RouteAccess:
    """Return the access of a route with {tenant} in its path."""
    return RouteAccess(permission, "tenant")


def on_installation(permission: Permission) -> RouteAccess:
    """Return the access of a route about the whole installation."""
    return RouteAccess(permission, "installation")


def in_list(permission: Permission) -> RouteAccess:
    """Return the access of a route whose handler filters a list."""
    return RouteAccess(permission, "list")


def access_table(views: Iterable[type[Any]]) -> AccessTable:
    """Return who may call each view; raise ConfigError where a view does not declare it."""
    table: dict[str, RouteAccess | Mapping[str, RouteAccess]] = {}
    for view in views:
        declared = vars(view).get("access")
        if declared is None:
            raise ConfigError(
                f"The view {view.__name__} ({view.view_path}) declares no access. "
                "Name its permission, or PUBLIC."
            )
        table[canonical(view.view_path)] = declared
    return table


def canonical(view_path: str) -> str:
    """Return a pattern as aiohttp names it: {path:.*} becomes {path}."""
    return re.sub(r"\{(\w+):[^}]*\}", r"{\1}", view_path)


def access_of(table: AccessTable, pattern: str, method: str) -> RouteAccess:
    """Return who may call a route; `pattern`: as aiohttp names it.

    A method that a view does not name needs a sign-in.
    """
    declared = table.get(pattern, SIGNED_IN)
    if isinstance(declared, RouteAccess):
        return declared
    return declared.get(method, SIGNED_IN)


def authorize(principal: Principal, access: RouteAccess, request: web.Request) -> None:
    """Raise ProblemError (403, 404) where a principal may not do what a route is for."""
    permission = access.permission
    if permission is None:
        return
    if access.on == "list":
        if not scopes_with(principal, permission):
            raise ProblemError(HTTPStatus.FORBIDDEN, lacks(permission))
        return
    resource = _resource(access, request)
    decision = decide(principal, permission, resource)
    if decision.outcome == "unknown" and access.on in _NOUNS:
        # The same for one that exists and for one that does not.
        raise not_found(f"There is no {_NOUNS[access.on]} {resource}.")
    if not decision:
        # A site too answers 403, for every foreign one alike: an edge with the key of another site
        # must not take the answer for "no configuration is set".
        raise ProblemError(HTTPStatus.FORBIDDEN, decision.reason or lacks(permission))


def require_second_factor(caller: Caller, access: RouteAccess) -> None:
    """Raise ProblemError (403) where a person must set up a second factor first."""
    if caller.must_enrol and access != ENROLLING:
        raise ProblemError(
            HTTPStatus.FORBIDDEN,
            "Your roles need a second factor. Set up an authenticator app first.",
            kind="second-factor-required",
        )


def tenants_for(principal: Principal, access: RouteAccess) -> tuple[str, ...]:
    """Return the tenants whose rows PostgreSQL shows to a request; `*`: all.

    Those in which the principal has the route's permission. A route without one: all his tenants.
    """
    if access.permission is None:
        return tenants_of(grant.scope for grant in principal.grants)
    return tenants_of(scopes_with(principal, access.permission))


def require_permission(principal: Principal, permission: Permission, scope: str) -> None:
    """Raise ProblemError (403, 404) where a principal may not do something with a scope.

    For what the body of a request names: the route's own access cannot see it.
    """
    require(decide(principal, permission, scope), scope)


def require(decision: AccessDecision, scope: str) -> None:
    """Raise ProblemError (403, 404) where a decision on a scope is not "allowed"."""
    if decision.outcome == "unknown":
        raise not_found(f"There is no {scope}, or your grants do not cover it.")
    if not decision:
        raise ProblemError(HTTPStatus.FORBIDDEN, decision.reason)


def path_resource(access: RouteAccess, request: web.Request) -> str:
    """Return what a request is about, for the audit log: `*` where its path names nothing."""
    try:
        return _resource(access, request)
    except ProblemError:
        return INSTALLATION


def _resource(access: RouteAccess, request: web.Request) -> str:
    if access.on == "camera":
        return parse_camera_id(request.match_info)
    pattern = {"site": "{tenant}/{site}", "known-site": "{tenant}/{site}", "tenant": "{tenant}"}
    if access.on not in pattern:
        return INSTALLATION
    scope = pattern[access.on].format(**request.match_info)
    try:
        return check_tenant(scope) if access.on == "tenant" else check_site(scope)
    except InvalidIdError as error:
        raise not_found(str(error)) from None

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
    Permission,
    Principal,
    decide,
    lacks,
    scopes_with,
    tenants_of,
)
from domain.errors import ConfigError, InvalidIdError
from domain.identity import check_site
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
    on: Literal["nothing", "signed-in", "camera", "site", "installation", "list"]


PUBLIC = RouteAccess(None, "nothing")
SIGNED_IN = RouteAccess(None, "signed-in")

AccessTable = Mapping[str, RouteAccess | Mapping[str, RouteAccess]]
"""By the pattern of the path."""


def on_camera(permission: Permission) -> RouteAccess:
    """Return the access of a route with {tenant}/{site}/{camera} in its path."""
    return RouteAccess(permission, "camera")


def on_site(permission: Permission) -> RouteAccess:
    """Return the access of a route with {tenant}/{site} in its path."""
    return RouteAccess(permission, "site")


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
    if decision.outcome == "unknown" and access.on == "camera":
        # The same for a camera that exists and for one that does not.
        raise not_found(f"There is no camera {resource}.")
    if not decision:
        # A site too answers 403, for every foreign one alike: an edge with the key of another site
        # must not take the answer for "no configuration is set".
        raise ProblemError(HTTPStatus.FORBIDDEN, decision.reason or lacks(permission))


def tenants_for(principal: Principal, access: RouteAccess) -> tuple[str, ...]:
    """Return the tenants whose rows PostgreSQL shows to a request; `*`: all.

    Those in which the principal has the route's permission. A route without one: all his tenants.
    """
    if access.permission is None:
        return tenants_of(grant.scope for grant in principal.grants)
    return tenants_of(scopes_with(principal, access.permission))


def _resource(access: RouteAccess, request: web.Request) -> str:
    if access.on == "camera":
        return parse_camera_id(request.match_info)
    if access.on == "site":
        try:
            return check_site("{tenant}/{site}".format(**request.match_info))
        except InvalidIdError as error:
            raise not_found(str(error)) from None
    return INSTALLATION

"""Access control: which principal may do what with which resource. One pure decision.

    scope       *  ⊃  tenant  ⊃  tenant/site  ⊃  tenant/site/camera
    grant       a role on a scope; it holds for everything below the scope
    decision    allowed │ forbidden (403: says what is missing) │ unknown (404)

Who has any permission on a resource, above it or below it, may know that it exists. For everybody
else it does not exist: "unknown" must not differ from a resource that really does not exist.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from domain.errors import InvalidIdError
from domain.identity import SLUG

INSTALLATION = "*"
"""The scope of the whole installation: all tenants, and what belongs to none."""
_SCOPE = re.compile(rf"\*|{SLUG}(?:/{SLUG}){{0,2}}")


class Permission(StrEnum):
    """What can be allowed. The text is public: the API and the audit log show it."""

    CAMERA_VIEW = "camera:view"
    FOOTAGE_READ = "footage:read"
    FOOTAGE_EXPORT = "footage:export"
    DETECTIONS_READ = "detections:read"
    SITE_CONFIGURE = "site:configure"
    SITE_CONFIG_READ = "site:config:read"
    HOLD_MANAGE = "hold:manage"
    RETENTION_MANAGE = "retention:manage"
    KEYS_MANAGE = "keys:manage"
    USERS_MANAGE = "users:manage"
    AUDIT_READ = "audit:read"
    METRICS_READ = "metrics:read"


class Role(StrEnum):
    """A named set of permissions; docs/reference/access.md has the table for people."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"
    AUDITOR = "auditor"
    MONITOR = "monitor"
    """A program that reads metrics, such as Prometheus."""
    EDGE = "edge"
    """A device: it reads the configuration of its site. It is never given to people."""


_VIEWER = frozenset({Permission.CAMERA_VIEW, Permission.FOOTAGE_READ, Permission.DETECTIONS_READ})
_OPERATOR = _VIEWER | {Permission.FOOTAGE_EXPORT, Permission.HOLD_MANAGE}
_ADMIN = _OPERATOR | {
    Permission.SITE_CONFIGURE,
    Permission.RETENTION_MANAGE,
    Permission.KEYS_MANAGE,
    Permission.USERS_MANAGE,
    Permission.METRICS_READ,
}
PERMISSIONS: Mapping[Role, frozenset[Permission]] = {
    Role.VIEWER: _VIEWER,
    Role.OPERATOR: _OPERATOR,
    Role.ADMIN: _ADMIN,
    # An auditor reads what others did, and no footage: reading it would have to be audited too.
    Role.AUDITOR: frozenset({Permission.AUDIT_READ}),
    Role.MONITOR: frozenset({Permission.METRICS_READ}),
    Role.EDGE: frozenset({Permission.SITE_CONFIG_READ}),
}


FACTOR_PERMISSIONS = frozenset(
    {
        Permission.FOOTAGE_EXPORT,
        Permission.SITE_CONFIGURE,
        Permission.HOLD_MANAGE,
        Permission.RETENTION_MANAGE,
        Permission.KEYS_MANAGE,
        Permission.USERS_MANAGE,
        Permission.AUDIT_READ,
    }
)
"""What changes, deletes or exports something. Where it is required, such a role needs a second
factor. An auditor exports the log."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A role on a scope. Raises InvalidIdError where the scope is not one."""

    role: Role
    scope: str
    """`*`, tenant, tenant/site or tenant/site/camera."""

    def __post_init__(self) -> None:
        check_scope(self.scope)

    def __str__(self) -> str:
        return f"{self.role}:{self.scope}"


def parse_grant(text: str) -> Grant:
    """Return the grant written as ROLE:SCOPE, such as viewer:acme/hq; raise InvalidIdError."""
    role, _, scope = text.partition(":")
    try:
        return Grant(Role(role), scope)
    except ValueError as error:
        if isinstance(error, InvalidIdError):
            raise
        roles = ", ".join(Role)
        raise InvalidIdError(f"{role!r} is not a role: choose one of {roles}.") from None


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who was authenticated: a user, an API key or a device."""

    id: str
    grants: tuple[Grant, ...]


@dataclass(frozen=True, slots=True)
class AccessDecision:
    """The outcome of `decide`, and the reason for the caller."""

    outcome: Literal["allowed", "forbidden", "unknown"]
    reason: str = ""
    """For "forbidden": which permission is missing, and which roles have it."""

    def __bool__(self) -> bool:
        return self.outcome == "allowed"


ALLOWED = AccessDecision("allowed")
UNKNOWN = AccessDecision("unknown")


def check_scope(scope: str) -> str:
    """Return `scope` if it is one; raise InvalidIdError otherwise."""
    if not _SCOPE.fullmatch(scope):
        raise InvalidIdError(
            f"{scope!r} is not a scope: write *, a tenant, tenant/site or tenant/site/camera."
        )
    return scope


def covers(scope: str, resource: str) -> bool:
    """Return whether a scope contains a resource, or is the resource."""
    return scope in (INSTALLATION, resource) or resource.startswith(f"{scope}/")


def decide(principal: Principal, permission: Permission, resource: str) -> AccessDecision:
    """Decide whether a principal may do something with a resource (a scope in its form).

    Raises InvalidIdError where the resource is not in the form of a scope.
    """
    check_scope(resource)
    is_known = False
    for grant in principal.grants:
        if covers(grant.scope, resource):
            if permission in PERMISSIONS[grant.role]:
                return ALLOWED
            is_known = True
        elif covers(resource, grant.scope):
            is_known = True  # a site is known to who sees one of its cameras
    if not is_known:
        return UNKNOWN
    return AccessDecision("forbidden", lacks(permission))


def lacks(permission: Permission) -> str:
    """Return the sentence that says which permission is missing, and which roles have it."""
    roles = ", ".join(role for role, allowed in PERMISSIONS.items() if permission in allowed)
    return f"This needs the permission {permission} (roles: {roles})."


def scopes_with(principal: Principal, permission: Permission) -> tuple[str, ...]:
    """Return the scopes below which a list shows everything: sorted, none within another.

    An empty tuple: the list is empty.
    """
    scopes = {grant.scope for grant in principal.grants if permission in PERMISSIONS[grant.role]}
    if INSTALLATION in scopes:
        return (INSTALLATION,)
    return tuple(
        sorted(
            scope
            for scope in scopes
            if not any(other != scope and covers(other, scope) for other in scopes)
        )
    )


def tenants_of(scopes: Iterable[str]) -> tuple[str, ...]:
    """Return the tenants in which scopes are, sorted; only `*` where one is the installation."""
    tenants = {scope.partition("/")[0] for scope in scopes}
    return (INSTALLATION,) if INSTALLATION in tenants else tuple(sorted(tenants))


def is_visible(scopes: Iterable[str], resource: str) -> bool:
    """Return whether a list filtered by `scopes_with` shows a resource."""
    return any(covers(scope, resource) for scope in scopes)


def overlaps(scopes: Iterable[str], resource: str) -> bool:
    """Return whether any scope contains a resource, or is within it.

    A tenant and a site have a name and a zone, which everyone may read who may read something of
    them.
    """
    return any(covers(scope, resource) or covers(resource, scope) for scope in scopes)


def may_grant(
    giver: Principal, grant: Grant, permission: Permission = Permission.USERS_MANAGE
) -> AccessDecision:
    """Decide whether a principal may give a role to another one, or take it away.

    No one gives what he does not have: he needs every permission of the role on its scope.
    `permission`: what it takes to give roles to a principal of this kind.
    """
    decision = decide(giver, permission, grant.scope)
    if not decision:
        return decision
    missing = sorted(
        permission
        for permission in PERMISSIONS[grant.role]
        if not decide(giver, permission, grant.scope)
    )
    if missing:
        return AccessDecision(
            "forbidden",
            f"The role {grant.role} has permissions that you do not have here: "
            f"{', '.join(missing)}.",
        )
    return ALLOWED


def may_manage_user(manager: Principal, scope: str, grants: Iterable[Grant]) -> AccessDecision:
    """Decide whether a principal may rename and disable a user or a group with these grants.

    It takes `users:manage` on the scope that it belongs to, and on the scope of each grant.
    """
    for each in sorted({scope, *(grant.scope for grant in grants)}):
        decision = decide(manager, Permission.USERS_MANAGE, each)
        if not decision:
            return decision
    return ALLOWED


def may_act_for_user(manager: Principal, scope: str, grants: Iterable[Grant]) -> AccessDecision:
    """Decide whether a principal may reset a user's password, or add a member to a group.

    Who does that gives, or gets, what the user or the group has. So he could give each grant.
    """
    decision = decide(manager, Permission.USERS_MANAGE, scope)
    for grant in grants:
        if not decision:
            break
        decision = may_grant(manager, grant)
    return decision


def key_tenant(grants: Iterable[Grant]) -> str:
    """Return the one tenant that all grants of an API key are in, else `*`."""
    tenants = {grant.scope.partition("/")[0] for grant in grants}
    return tenants.pop() if len(tenants) == 1 else INSTALLATION


def may_create_key(giver: Principal, grants: Sequence[Grant]) -> AccessDecision:
    """Decide whether a principal may create an API key with these grants.

    A device reads the configuration of its site: who may write that may let a device read it. A
    key for several tenants belongs to the installation.
    """
    tenant = key_tenant(grants)
    if tenant == INSTALLATION:
        decision = decide(giver, Permission.KEYS_MANAGE, INSTALLATION)
        if not decision:
            return decision
    for grant in grants:
        decision = (
            may_manage_key(giver, [grant.scope], Permission.SITE_CONFIGURE)
            if grant.role is Role.EDGE
            else may_grant(giver, grant, Permission.KEYS_MANAGE)
        )
        if not decision:
            return decision
    return ALLOWED


def may_manage_key(
    principal: Principal, scopes: Iterable[str], *more: Permission
) -> AccessDecision:
    """Decide whether a principal may see and revoke an API key with grants on these scopes.

    It takes `keys:manage`, and the permissions in `more`, on each of them.
    """
    for scope in sorted(set(scopes)) or (INSTALLATION,):
        for permission in (Permission.KEYS_MANAGE, *more):
            decision = decide(principal, permission, scope)
            if not decision:
                return decision
    return ALLOWED


def scopes_without_admin(going: Iterable[Grant], others: Iterable[str]) -> tuple[str, ...]:
    """Return the scopes that lose their last admin with these grants, sorted.

    `others`: the scopes on which somebody else is an admin.
    """
    left = tuple(others)
    scopes = {grant.scope for grant in going if grant.role is Role.ADMIN}
    return tuple(sorted(scope for scope in scopes if not is_visible(left, scope)))


def needs_second_factor(grants: Iterable[Grant], required_in: Iterable[str]) -> bool:
    """Return whether a person with these grants needs a second factor.

    `required_in`: the scopes (`*`, tenants) that require it of those who can change, delete or
    export something there.
    """
    required = tuple(required_in)
    return any(
        PERMISSIONS[grant.role] & FACTOR_PERMISSIONS and overlaps(required, grant.scope)
        for grant in grants
    )


def common_grants(grants: Iterable[Grant], others: Iterable[Grant]) -> tuple[Grant, ...]:
    """Return what both of two principals may do: of a person's key, and of the person.

    The roles that two roles have in common always exist: one contains the other, or they have
    nothing in common.
    """
    both = tuple(others)
    found = {
        Grant(role, one.scope if covers(other.scope, one.scope) else other.scope)
        for one in grants
        for other in both
        if covers(other.scope, one.scope) or covers(one.scope, other.scope)
        for role in _widest(PERMISSIONS[one.role] & PERMISSIONS[other.role])
    }
    return tuple(sorted(found, key=lambda grant: (grant.scope, grant.role)))


def _widest(permissions: frozenset[Permission]) -> list[Role]:
    """Return the roles that have no other permissions, without those that another contains."""
    fitting = [role for role, allowed in PERMISSIONS.items() if allowed <= permissions]
    return [
        role
        for role in fitting
        if not any(PERMISSIONS[role] < PERMISSIONS[other] for other in fitting)
    ]

"""Access: the decision against a naive table, over generated worlds."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.access import (
    INSTALLATION,
    PERMISSIONS,
    Grant,
    Permission,
    Principal,
    Role,
    check_scope,
    common_grants,
    decide,
    is_visible,
    key_tenant,
    may_create_key,
    may_grant,
    may_manage_key,
    needs_second_factor,
    overlaps,
    parse_grant,
    scopes_with,
    scopes_without_admin,
)
from domain.errors import InvalidIdError

# `a` and `ab`, `a/b` and `ab`: names that begin alike must not be taken for one another.
TENANTS = ("a", "ab", "b")
SITES = tuple(f"{tenant}/{site}" for tenant, site in product(TENANTS, ("a", "ab")))
CAMERAS = tuple(f"{site}/{camera}" for site, camera in product(SITES, ("a", "ab")))
SCOPES = (INSTALLATION, *TENANTS, *SITES, *CAMERAS)
GRANTS = st.builds(Grant, st.sampled_from(Role), st.sampled_from(SCOPES))
PRINCIPALS = st.builds(Principal, st.just("user:1"), st.lists(GRANTS, max_size=4).map(tuple))


def parents(resource: str) -> list[str]:
    """Return a resource and everything that contains it, written out by hand."""
    if resource == INSTALLATION:
        return [INSTALLATION]
    parts = resource.split("/")
    return [INSTALLATION, *("/".join(parts[:count]) for count in range(1, len(parts) + 1))]


def expected(principal: Principal, permission: Permission, resource: str) -> str:
    """Decide by walking all grants and all scopes."""
    above = [grant for grant in principal.grants if grant.scope in parents(resource)]
    if any(permission in PERMISSIONS[grant.role] for grant in above):
        return "allowed"
    below = [grant for grant in principal.grants if resource in parents(grant.scope)]
    return "forbidden" if above or below else "unknown"


@given(PRINCIPALS, st.sampled_from(Permission), st.sampled_from(SCOPES))
def test_the_decision_is_that_of_the_naive_table(
    principal: Principal, permission: Permission, resource: str
) -> None:
    assert decide(principal, permission, resource).outcome == expected(
        principal, permission, resource
    )


@given(PRINCIPALS, st.sampled_from(Permission))
def test_lists_show_exactly_what_the_decision_allows(
    principal: Principal, permission: Permission
) -> None:
    scopes = scopes_with(principal, permission)
    for resource in SCOPES:
        allowed = bool(decide(principal, permission, resource))
        assert is_visible(scopes, resource) == allowed
    for one, other in product(scopes, scopes):
        assert one == other or one not in parents(other)


@given(PRINCIPALS, GRANTS)
def test_no_one_gives_what_he_does_not_have(giver: Principal, grant: Grant) -> None:
    if may_grant(giver, grant):
        receiver = Principal("user:2", (grant,))
        for permission, resource in product(Permission, SCOPES):
            if decide(receiver, permission, resource):
                assert decide(giver, permission, resource)


@given(PRINCIPALS, st.lists(GRANTS, min_size=1, max_size=3))
def test_no_one_makes_a_key_that_may_more_than_he_may(
    giver: Principal, grants: list[Grant]
) -> None:
    if not may_create_key(giver, grants):
        return
    assert may_manage_key(giver, [grant.scope for grant in grants])
    assert may_manage_key(giver, [key_tenant(grants)]) or key_tenant(grants) != INSTALLATION
    key = Principal("key:2", tuple(grants))
    for permission, resource in product(Permission, SCOPES):
        if decide(key, permission, resource) and permission is not Permission.SITE_CONFIG_READ:
            assert decide(giver, permission, resource)
    for resource in SCOPES:
        if decide(key, Permission.SITE_CONFIG_READ, resource):
            assert any(
                decide(giver, permission, resource)
                for permission in (Permission.SITE_CONFIGURE, Permission.SITE_CONFIG_READ)
            )


@given(PRINCIPALS, st.lists(GRANTS, max_size=3))
def test_a_key_is_managed_where_all_its_scopes_are(
    principal: Principal, grants: list[Grant]
) -> None:
    scopes = {grant.scope for grant in grants} or {INSTALLATION}
    assert bool(may_manage_key(principal, (grant.scope for grant in grants))) == all(
        decide(principal, Permission.KEYS_MANAGE, scope) for scope in scopes
    )


@given(PRINCIPALS, st.sampled_from(Permission), st.sampled_from(SCOPES))
def test_a_part_overlaps_where_a_camera_of_it_is_allowed(
    principal: Principal, permission: Permission, resource: str
) -> None:
    scopes = scopes_with(principal, permission)
    allowed = [grant.scope for grant in principal.grants if permission in PERMISSIONS[grant.role]]
    expected = any(scope in parents(resource) or resource in parents(scope) for scope in allowed)
    assert overlaps(scopes, resource) == expected


def test_the_last_admin_of_a_scope_is_found() -> None:
    going = (Grant(Role.ADMIN, "a"), Grant(Role.ADMIN, "b/a"), Grant(Role.VIEWER, "ab"))
    assert scopes_without_admin(going, []) == ("a", "b/a")
    assert scopes_without_admin(going, ["b"]) == ("a",)
    assert scopes_without_admin(going, ["a/a", "b/a"]) == ("a",)
    assert scopes_without_admin(going, [INSTALLATION]) == ()


def test_a_viewer_of_one_camera_knows_its_site_and_no_other() -> None:
    viewer = Principal("user:1", (Grant(Role.VIEWER, "acme/hq/gate"),))
    assert decide(viewer, Permission.FOOTAGE_READ, "acme/hq/gate")
    assert decide(viewer, Permission.CAMERA_VIEW, "acme/hq").outcome == "forbidden"
    assert decide(viewer, Permission.FOOTAGE_READ, "acme/hq/gate-2").outcome == "unknown"
    assert decide(viewer, Permission.FOOTAGE_READ, "acme/lab").outcome == "unknown"
    assert decide(viewer, Permission.FOOTAGE_READ, "acm").outcome == "unknown"


def test_what_is_forbidden_says_which_roles_may() -> None:
    viewer = Principal("user:1", (Grant(Role.VIEWER, "acme"),))
    decision = decide(viewer, Permission.HOLD_MANAGE, "acme/hq/gate")
    assert decision.reason == ("This needs the permission hold:manage (roles: operator, admin).")


def test_an_admin_makes_no_auditor() -> None:
    admin = Principal("user:1", (Grant(Role.ADMIN, "acme"),))
    assert may_grant(admin, Grant(Role.OPERATOR, "acme/hq"))
    refused = may_grant(admin, Grant(Role.AUDITOR, "acme"))
    assert refused.outcome == "forbidden"
    assert "audit:read" in refused.reason
    assert may_grant(admin, Grant(Role.VIEWER, "other")).outcome == "unknown"
    assert may_grant(admin, Grant(Role.VIEWER, INSTALLATION)).outcome == "forbidden"


@pytest.mark.parametrize(
    "scope",
    ["", "/", "acme/", "/acme", "acme/hq/gate/x", "Acme", "*/hq", "acme/*", "a b", "acme\n"],
)
def test_what_is_not_a_scope_is_refused(scope: str) -> None:
    with pytest.raises(InvalidIdError):
        check_scope(scope)
    with pytest.raises(InvalidIdError):
        Grant(Role.VIEWER, scope)


@given(PRINCIPALS, PRINCIPALS, st.sampled_from(Permission), st.sampled_from(SCOPES))
def test_a_persons_key_may_do_what_both_the_key_and_the_person_may(
    key: Principal, person: Principal, permission: Permission, resource: str
) -> None:
    both = Principal("key:1", common_grants(key.grants, person.grants))
    may = all(decide(each, permission, resource) for each in (key, person))
    assert bool(decide(both, permission, resource)) == may
    shown = [
        is_visible(scopes_with(each, permission), resource) for each in (both, key, person)
    ]  # what a list shows
    assert shown[0] == (shown[1] and shown[2])


SECOND_FACTOR = [
    ("admin:a", ["*"], True),
    ("admin:a", ["a"], True),
    ("admin:*", ["a"], True),  # he may change something in that tenant
    ("admin:ab", ["a"], False),
    ("operator:a/a/a", ["a"], True),
    ("auditor:a", ["a"], True),
    ("viewer:a", ["*"], False),
    ("monitor:*", ["*"], False),
    ("admin:a", [], False),
]


@pytest.mark.parametrize(("grant", "required", "expected_answer"), SECOND_FACTOR)
def test_who_changes_or_exports_something_needs_a_second_factor_where_it_is_required(
    grant: str, required: list[str], expected_answer: bool
) -> None:
    assert needs_second_factor([parse_grant(grant)], required) == expected_answer

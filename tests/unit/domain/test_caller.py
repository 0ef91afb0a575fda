import pytest

from domain.access import Grant, Principal, Role
from domain.caller import Caller


@pytest.mark.parametrize(
    ("scopes", "tenants"),
    [
        ((), frozenset()),
        (("acme",), {"acme"}),
        (("acme/hq/gate", "acme/lab", "globex/plant"), {"acme", "globex"}),
        (("acme", "*"), None),
    ],
)
def test_a_callers_tenants_are_those_of_its_grants(scopes, tenants) -> None:
    grants = tuple(Grant(Role.VIEWER, scope) for scope in scopes)
    caller = Caller(Principal("user:1", grants), "Ann", user="1")
    assert caller.tenants == tenants
    assert (caller.id, caller.grants) == ("user:1", grants)

"""Who sends a request: the principal, its name, and the session or key that it used."""

from dataclasses import dataclass

from domain.access import INSTALLATION, Grant, Principal


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated sender of a request. Users, API keys and devices all fit it.

    The rules of access need `principal` only. The rest is for people and for the audit log.
    """

    principal: Principal
    """Its id is user:ID or key:NUMBER."""
    name: str
    """As lists and logs show it."""
    session: str | None = None
    """Id of the session's row; it opens nothing. None: the key came with the request."""
    key: int | None = None
    """Number of the API key, given directly or by its session. None: a user signed in."""
    user: str | None = None
    """Id of the user. None: an API key."""
    owner: str | None = None
    """Id of the user whose API key it is. None: no key, or a service's."""
    must_enrol: bool = False
    """His roles need a second factor, and he has none: he may set one up, and nothing else."""

    @property
    def id(self) -> str:
        """The principal's id."""
        return self.principal.id

    @property
    def grants(self) -> tuple[Grant, ...]:
        """The principal's grants."""
        return self.principal.grants

    @property
    def tenants(self) -> frozenset[str] | None:
        """The tenants that any grant is on, or on a part of. None: all of them."""
        tenants = {grant.scope.partition("/")[0] for grant in self.grants}
        return None if INSTALLATION in tenants else frozenset(tenants)

"""The audit log."""

from typing import Any, Literal

from pydantic import Field

from web.schemas.base import ApiAnswer, ApiQuery
from web.schemas.common import UtcMs
from web.schemas.pages import PageAnswer, PageQuery
from web.schemas.parameters import Time

_REFERENCE = r"^[!-~]+$"


class AuditItem(ApiAnswer):
    """One act, as it is in its chain."""

    chain: str = Field(description="The tenant, or `*` for the installation's own acts.")
    seq: int = Field(ge=1, description="Its number in the chain, without holes.")
    hash: str = Field(description="SHA-256 of the chain up to this entry, hex.")
    at_ms: UtcMs = Field(description="When it was done.")
    actor: str = Field(
        description="Who: user:ID, key:NUMBER, cli:NAME of the operating system's user, system or "
        "anonymous."
    )
    actor_session: str | None = Field(description="The session that the actor used.")
    on_behalf_of: str | None = Field(description="The user who owns the API key.")
    action: str = Field(description="What was done, such as key:create.")
    resource: str = Field(description="On what: a scope, or such as user:ID, key:NUMBER, hold:1.")
    before: Any = Field(description="What it was, where it was changed.")
    after: Any = Field(description="What it became; for reads: which part; for refusals: how.")
    outcome: Literal["done", "refused"] = Field(description="Whether it was carried out.")
    request: str | None = Field(description="Id of the HTTP request.")
    personal: dict[str, dict[str, str] | None] = Field(
        description="Names, addresses and reasons, by the person or thing that they are about; "
        "null: they were erased."
    )


class AuditPage(PageAnswer):
    """A page of the audit log, the newest first."""

    entries: list[AuditItem]


class AuditQuery(PageQuery):
    """Which entries."""

    from_: Time | None = Field(None, alias="from", description="From this time (included).")
    to: Time | None = Field(None, description="Up to this time (not included).")
    actor: str | None = Field(
        None, max_length=200, pattern=_REFERENCE, description="Only this actor, such as key:3."
    )
    action: str | None = Field(
        None,
        max_length=100,
        pattern=_REFERENCE,
        description="Only this act, such as key:create; `key`: all that begin so.",
    )
    resource: str | None = Field(
        None,
        max_length=200,
        pattern=_REFERENCE,
        description="Only this resource; of a tenant or a site: also all below it.",
    )
    tenant: str | None = Field(
        None, max_length=63, pattern=_REFERENCE, description="Only this chain; `*`: the own one."
    )
    outcome: Literal["done", "refused"] | None = Field(None, description="Only these.")


class AuditExportQuery(ApiQuery):
    """Which part of a chain."""

    tenant: str = Field(
        max_length=63, pattern=_REFERENCE, description="The chain; `*`: the installation's own."
    )
    from_: Time | None = Field(None, alias="from", description="From this time (included).")
    to: Time | None = Field(None, description="Up to this time (not included). Default: now.")

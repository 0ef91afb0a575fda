"""Retention rules, and previews of their changes."""

from typing import Annotated

from pydantic import Field

from domain.retention import MAX_DAYS
from web.schemas.base import ApiAnswer, ApiQuery, ApiRequest
from web.schemas.common import Bytes, UtcMs
from web.schemas.editable import FootageScope
from web.schemas.pages import PageAnswer, PageQuery

Days = Annotated[int, Field(ge=1, le=MAX_DAYS)]


class RuleItem(ApiAnswer):
    """How long footage of a scope is kept. The most specific rule counts."""

    scope: str = Field(description="tenant, tenant/site or tenant/site/camera")
    days: int = Field(description="Age in days of 24 h from which on footage is deleted.")
    set_by: str = Field(description="Who set it.")
    set_ms: UtcMs = Field(description="When it was set.")


class Rules(PageAnswer):
    """A page of rules, by scope."""

    rules: list[RuleItem]


class RulesQuery(PageQuery):
    """Which page of the rules."""


class ScopeQuery(ApiQuery):
    """Of what the rule is."""

    scope: FootageScope


class ScopeRule(ApiAnswer):
    """The rule of a scope, and the one that it follows."""

    scope: str = Field(description="tenant, tenant/site or tenant/site/camera")
    days: int | None = Field(description="Its own rule; null: it has none.")
    followed_scope: str | None = Field(
        description="The scope whose rule it follows: its own, or a wider one; null: none."
    )
    followed_days: int | None = Field(
        description="The days of that rule; null: footage is kept forever."
    )


class RuleChange(ApiRequest):
    """A rule to set."""

    days: Days = Field(description="Age in days of 24 h from which on footage is deleted.")


class PreviewRequest(ApiRequest):
    """A change of a rule to preview."""

    scope: FootageScope
    days: Days | None = Field(
        description="The new rule; null: remove the scope's own rule, so that it follows a wider "
        "one or none."
    )


class FootageAmount(ApiAnswer):
    """An amount of footage."""

    chunks: int = Field(ge=0, description="Chunks.")
    fragments: int = Field(ge=0, description="Fragments that are in no chunk.")
    size_bytes: Bytes = Field(description="Their size.")


class PreviewAnswer(ApiAnswer):
    """What the next pass of retention deletes if the change is confirmed."""

    scope: str = Field(description="tenant, tenant/site or tenant/site/camera")
    days: int | None = Field(description="The new rule; null: none of its own.")
    days_before: int | None = Field(description="The rule in force; null: none of its own.")
    at_ms: UtcMs = Field(description="The time by which ages were measured.")
    until_ms: UtcMs = Field(description="Until when it can be confirmed.")
    etag: str = Field(
        description="Send it as `If-Match` to confirm exactly this. Where anything else would be "
        "deleted by then, the answer is 412."
    )
    deleted: FootageAmount = Field(description="All that is old enough by the new rule.")
    due: FootageAmount = Field(description="The part that the present rules delete too.")
    held: FootageAmount = Field(description="Old enough too, but kept by legal holds.")
    cameras: int = Field(ge=0, description="Number of cameras of which something is deleted.")
    camera_ids: list[str] = Field(description="The first 100 of them, by id.")
    oldest_ms: UtcMs | None = Field(description="Start of the oldest deleted footage.")
    newest_ms: UtcMs | None = Field(description="End of the newest deleted footage.")
    holds: list[int] = Field(
        description="Numbers of the holds that you may see and that cover a part of that time."
    )

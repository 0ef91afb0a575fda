"""Where a second factor is required."""

from typing import Annotated

from pydantic import AfterValidator, Field

from domain.identity import SLUG
from stores.catalog.second_factor import check_rule_scope
from web.schemas.base import ApiAnswer, ApiQuery
from web.schemas.common import UtcMs
from web.schemas.pages import PageAnswer, PageQuery

RuleScope = Annotated[
    str,
    Field(
        max_length=63,
        json_schema_extra={"pattern": rf"^(\*|{SLUG})$"},
        description="`*` for the whole installation, or a tenant.",
    ),
    AfterValidator(check_rule_scope),
]


class SecondFactorQuery(ApiQuery):
    """Where it is required."""

    scope: RuleScope


class SecondFactorRulesQuery(PageQuery):
    """Which page of the rules."""


class SecondFactorItem(ApiAnswer):
    """A scope in which people need a second factor whose roles change or export something."""

    scope: str = Field(description="`*` or a tenant.")
    set_by: str = Field(description="Who required it; empty where you do not manage the scope.")
    set_ms: UtcMs = Field(description="When it was required.")


class SecondFactorRules(PageAnswer):
    """A page of the rules that concern what the caller manages, by scope."""

    rules: list[SecondFactorItem]

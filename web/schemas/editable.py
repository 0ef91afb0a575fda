"""Types of fields that people write: names, reasons, time zones, scopes, grants."""

from typing import Annotated

from pydantic import AfterValidator, Field

from domain.access import parse_grant
from domain.display_text import NAME_CHARS, REASON_CHARS, check_name, check_reason
from domain.identity import SLUG
from domain.retention import check_scope
from stores.time_zones import check_zone

DisplayName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=NAME_CHARS,
        description="Shown to people: one line of text, in any language. It is never HTML.",
    ),
    AfterValidator(check_name),
]
Reason = Annotated[
    str,
    Field(
        min_length=1,
        max_length=REASON_CHARS,
        description="Why, such as the number of a case: one line of text.",
    ),
    AfterValidator(check_reason),
]
Zone = Annotated[
    str,
    Field(max_length=60, description="IANA time zone, such as `Europe/Berlin`."),
    AfterValidator(check_zone),
]
FootageScope = Annotated[
    str,
    Field(
        max_length=191,
        json_schema_extra={"pattern": rf"^{SLUG}(/{SLUG}){{0,2}}$"},
        description="tenant, tenant/site or tenant/site/camera",
    ),
    AfterValidator(check_scope),
]
Moment = Annotated[int, Field(ge=0, lt=1 << 48, json_schema_extra={"format": "int64"})]
"""UTC ms, as a request sends it."""


def _check_grant(text: str) -> str:
    return str(parse_grant(text))


GrantText = Annotated[
    str,
    Field(max_length=210, description="role:scope, such as `viewer:acme/hq`"),
    AfterValidator(_check_grant),
]

"""Types of fields that several answers share."""

from typing import Annotated

from pydantic import Field

from domain.identity import CAMERA_PATTERN, RUN_PATTERN, SITE_PATTERN
from web.schemas.base import ApiAnswer

UtcMs = Annotated[int, Field(json_schema_extra={"format": "int64", "unit": "ms since 1970, UTC"})]
"""A moment."""
Bytes = Annotated[int, Field(ge=0, json_schema_extra={"format": "int64", "unit": "bytes"})]
Ms = Annotated[int, Field(ge=0, json_schema_extra={"format": "int64", "unit": "ms"})]
"""A length of time."""
CameraText = Annotated[str, Field(json_schema_extra={"pattern": CAMERA_PATTERN})]
SiteText = Annotated[str, Field(json_schema_extra={"pattern": SITE_PATTERN})]
RunText = Annotated[
    str, Field(description="The run: a UUIDv7.", json_schema_extra={"pattern": RUN_PATTERN})
]


class GapItem(ApiAnswer):
    """Missing footage: [from_ms, to_ms)."""

    from_ms: UtcMs = Field(description="Where it starts.")
    to_ms: UtcMs = Field(description="Where it ends (not included).")
    reason: str = Field(
        description="Why: the reason in a chunk's manifest, else why the run before it ended, "
        "else `not yet explained`."
    )

"""Legal holds."""

from typing import Self

from pydantic import Field, model_validator

from web.schemas.base import ApiAnswer, ApiRequest
from web.schemas.common import UtcMs
from web.schemas.editable import FootageScope, Moment, Reason
from web.schemas.pages import PageAnswer, PageQuery
from web.schemas.parameters import Flag


class HoldItem(ApiAnswer):
    """A legal hold: while it is in force, nothing that it covers is deleted."""

    id: int = Field(description="Its number.")
    scope: str = Field(description="tenant, tenant/site or tenant/site/camera")
    from_ms: UtcMs = Field(description="Start of the footage that it covers.")
    to_ms: UtcMs | None = Field(description="End of that footage (not included); null: no end.")
    placed_by: str = Field(description="Who placed it.")
    placed_ms: UtcMs = Field(description="When it was placed.")
    why: str = Field(description="Why it was placed.")
    lifted_by: str | None = Field(description="Who lifted it; null while it is in force.")
    lifted_ms: UtcMs | None = Field(description="When it was lifted; null while it is in force.")
    lifted_why: str | None = Field(description="Why it was lifted, where that is known.")


class PlacedHold(HoldItem):
    """A hold that was placed just now."""

    pending_deletions: int = Field(
        ge=0,
        description="Deletions in its range that were decided before. Their remaining objects are "
        "kept in S3, but they are in the catalog no more.",
    )


class Holds(PageAnswer):
    """A page of holds, the newest first."""

    holds: list[HoldItem]


class HoldsQuery(PageQuery):
    """Which holds."""

    lifted: Flag = Field(False, description="1: also those that were lifted.")


class NewHold(ApiRequest):
    """A hold to place."""

    scope: FootageScope
    from_ms: Moment = Field(description="Start of the footage to keep, UTC ms.")
    to_ms: Moment | None = Field(None, description="Its end (not included); null: no end.")
    why: Reason

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> Self:
        if self.to_ms is not None and self.to_ms <= self.from_ms:
            raise ValueError("to_ms must be after from_ms")
        return self


class HoldRelease(ApiRequest):
    """Why a hold is lifted."""

    why: Reason

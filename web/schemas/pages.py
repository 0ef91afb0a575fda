"""Lists that are sent page by page: `limit`, `cursor` and `next`."""

from typing import Annotated

from pydantic import Field

from web.schemas.base import ApiAnswer, ApiQuery
from web.schemas.parameters import whole_number

MAX_CURSOR = 2_000
"""Characters of a cursor."""


class PageQuery(ApiQuery):
    """Which page of a list."""

    limit: Annotated[int, *whole_number(1, 1_000)] = Field(
        100, description="The most entries of a page."
    )
    cursor: str | None = Field(
        None,
        description="`next` of the previous page, unchanged. Absent: the first page. The other "
        "parameters stay the same from page to page.",
    )


class PageAnswer(ApiAnswer):
    """One page of a list."""

    next: str | None = Field(
        None, description="`cursor` of the next page; null: this is the last one."
    )

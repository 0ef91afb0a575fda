"""The objects detected in a time range, page by page."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from stores.catalog.model_filter import CURRENT_MODELS, ModelFilter, resolve_filter
from stores.catalog.pool import Catalog, Row

PageCursor = tuple[int, str, int, str, str, int]
"""at_ms, run, pts, model, model version, index: the last row of a page."""

_START: PageCursor = (-1, "00000000-0000-0000-0000-000000000000", 0, "", "", 0)


@dataclass(frozen=True, slots=True)
class DetectionRow:
    """One object in one frame; x, y, w, h are fractions of the frame. at_ms: UTC."""

    at_ms: int
    run: str
    pts: int
    index: int
    model: str
    model_version: str
    label: str
    score: float
    x: float
    y: float
    w: float
    h: float
    track: str | None

    @property
    def cursor(self) -> PageCursor:
        """Its place in the order of pages."""
        return self.at_ms, self.run, self.pts, self.model, self.model_version, self.index


async def find_detections(
    catalog: Catalog,
    camera: str,
    from_ms: int,
    to_ms: int,
    *,
    labels: Sequence[str] = (),
    min_score: float = 0.0,
    after: PageCursor | None = None,
    limit: int = 1_000,
    model_filter: ModelFilter = CURRENT_MODELS,
) -> list[DetectionRow]:
    """Return at most `limit` objects detected in [from, to) after the cursor `after`, by time."""
    resolved = await resolve_filter(catalog, camera, from_ms, to_ms, model_filter)
    at_ms, run, pts, model, version, index = after or _START
    rows = await catalog.rows(
        "find_detections",
        *(camera, from_ms, to_ms, *resolved.values, list(labels) or None, min_score),
        *(at_ms, UUID(run), pts, model, version, index, limit),
    )
    return [_row(row) for row in rows]


def _row(row: Row) -> DetectionRow:
    fields = dict(row)
    fields["run"] = str(fields["run"])
    for name in ("score", "x", "y", "w", "h"):
        fields[name] = round(fields[name], 6)  # the precision of a real
    return DetectionRow(**fields)

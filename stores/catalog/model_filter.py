"""Which models' detections a query returns: the current ones, one model's, or all."""

from dataclasses import dataclass

from domain.models import MINUTE_MS, ReplayedModel, ShownModels, Version, shown_models
from domain.spans import Spans
from stores.catalog.intervals import multirange, parse_multirange
from stores.catalog.pool import Catalog, Row


@dataclass(frozen=True, slots=True)
class ModelFilter:
    """A filter by model. Default: what is current. Else one model, of any version or of one."""

    model: str | None = None
    version: str | None = None
    all_models: bool = False

    @property
    def current(self) -> bool:
        """Whether it selects what is current."""
        return self.model is None and not self.all_models


CURRENT_MODELS = ModelFilter()


@dataclass(frozen=True, slots=True)
class ResolvedModelFilter:
    """The filter for one camera and time range, as the statements need it."""

    model_filter: ModelFilter
    shown: ShownModels | None
    """Which versions show when; None: the filter alone decides."""

    @property
    def values(self) -> tuple[object, ...]:
        """$4 .. $9 of the statement visible_models."""
        if self.shown is None:
            return self.model_filter.model, self.model_filter.version, None, [], [], []
        versions = sorted(self.shown.versions)
        return (
            None,
            None,
            multirange(self.shown.live.spans),
            [model for model, _ in versions],
            [version for _, version in versions],
            [multirange(self.shown.versions[each].spans) for each in versions],
        )

    def changing_minutes(self, from_ms: int, to_ms: int) -> list[int]:
        """Return the minutes (their starts) of [from, to) in which the shown version changes."""
        return [] if self.shown is None else self.shown.changing_minutes(from_ms, to_ms)


async def resolve_filter(
    catalog: Catalog,
    camera: str,
    from_ms: int,
    to_ms: int,
    model_filter: ModelFilter = CURRENT_MODELS,
) -> ResolvedModelFilter:
    """Return which detections of a camera in [from, to), by whole minutes, pass the filter."""
    if not model_filter.current:
        return ResolvedModelFilter(model_filter, None)
    rows = await catalog.rows("shown_model_replays", camera, from_ms - MINUTE_MS, to_ms + MINUTE_MS)
    return ResolvedModelFilter(model_filter, shown_models(map(_replayed, rows)) if rows else None)


def _replayed(row: Row) -> ReplayedModel:
    version: Version = (row["model"], row["model_version"])
    covered = Spans(parse_multirange(row["covered"]))
    return ReplayedModel(version, row["from_ms"], row["to_ms"], covered, row["turn"])

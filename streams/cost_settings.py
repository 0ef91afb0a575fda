"""What the settings of the cloud side say of the workload that the cost is computed of."""

from dataclasses import replace

from domain.cost.workload import Workload
from domain.window_rules import WindowRules
from streams.settings import Settings


def with_settings(workload: Workload, settings: Settings) -> Workload:
    """Return a workload with the window rules, margins and retention of the settings."""
    return replace(
        workload,
        rules=WindowRules(
            window_ms=settings.window_ms,
            grace_ms=settings.grace_ms,
            idle_ms=settings.idle_ms,
            late_ms=settings.late_ms,
        ),
        joined_margin_h=settings.joined_margin_ms / 3_600_000,
        event_retention_h=settings.retention_hours,
        commit_interval_s=settings.commit_interval_ms / 1_000,
    )

"""The lengths and counts by which windows are decided about."""

from dataclasses import dataclass

from domain.errors import ConfigError


@dataclass(frozen=True, slots=True)
class WindowRules:
    """The lengths that decide, in milliseconds, and the counts that bound the state."""

    window_ms: int = 60_000
    """Of cameras that were told no other (domain/window_lengths.py)."""
    grace_ms: int = 30_000
    idle_ms: int = 60_000
    late_ms: int = 15_000
    heal_retry_ms: int = 60_000
    """The healer is asked again after this silence."""
    forget_ended_ms: int = 600_000
    """A run that ended, whole and sealed, is forgotten after this silence."""
    forget_silent_ms: int = 2_592_000_000
    """Any other run is forgotten after this silence: longer than an edge can spool."""
    max_runs: int = 64
    """Runs remembered for each camera; beyond, the longest silent is sealed and goes."""
    max_window_fragments: int = 3_000
    max_open_fragments: int = 3_000
    """Over all windows of a camera; beyond, those of the longest quiet windows are let go."""
    max_rounds: int = 8
    """How often what a run let go is asked for again; then such windows are sealed as they are."""
    max_ranges: int = 64
    """Ranges of seqs a run remembers one by one; the older ones count as settled."""

    def __post_init__(self) -> None:
        if self.window_ms < 1_000 or self.window_ms % 1_000:
            raise ConfigError("window_ms must be whole seconds: chunk names carry seconds.")
        if self.max_window_fragments > self.max_open_fragments:
            raise ConfigError("max_window_fragments must be max_open_fragments at most.")

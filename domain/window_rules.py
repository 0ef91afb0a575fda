"""The times and limits that decide when a window is due."""

from dataclasses import dataclass

from domain.errors import ConfigError


@dataclass(frozen=True, slots=True)
class WindowRules:
    """The times that decide, in milliseconds, and the counts that bound the state."""

    window_ms: int = 60_000
    """Length of the windows of cameras without a length of their own (window_lengths.py)."""
    grace_ms: int = 30_000
    """How far the watermark must pass a window's end before it may be sealed without proof."""
    idle_ms: int = 60_000
    """A run's silence after which its windows may be sealed without proof."""
    late_ms: int = 15_000
    """How long no fragment may have arrived for a window before a timeout seals it."""
    heal_retry_ms: int = 60_000
    """The healer is asked again if it has not answered for this long."""
    forget_ended_ms: int = 600_000
    """A run that ended, whole and sealed, is forgotten after this silence."""
    forget_silent_ms: int = 2_592_000_000
    """Any other run is forgotten after this silence: longer than an edge can spool."""
    max_runs: int = 64
    """Runs remembered for each camera; over it, the one silent longest is sealed and forgotten."""
    max_window_fragments: int = 3_000
    """Fragments of one window; over it, a fragment is refused."""
    max_open_fragments: int = 3_000
    """In all open windows of a camera; over it, the windows quiet longest are evicted."""
    max_rounds: int = 8
    """How often the healer is asked for a run's evicted fragments; then windows are sealed."""
    max_ranges: int = 64
    """Ranges of seqs that a run remembers one by one; the older ones count as settled."""

    def __post_init__(self) -> None:
        if self.window_ms < 1_000 or self.window_ms % 1_000:
            raise ConfigError("window_ms must be whole seconds: chunk names contain seconds.")
        if self.max_window_fragments > self.max_open_fragments:
            raise ConfigError("max_window_fragments must be max_open_fragments at most.")

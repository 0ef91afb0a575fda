"""When is a chunk due? The windows of one run, as an object that is asked questions.

    seq        0   1   2 | 3   4   5 | 6
    window     [-- w0 --)[-- w1 --)[-- w2 …
    w0 is due as soon as 0..3 are known: the run goes on in w1 and no seq is missing.

A window of a run is due when the first of these holds:

1. complete   the run goes on after the window and no seq is missing
2. run-ended  the run's end is known and no seq up to it is missing
3. grace      the run's newest fragment starts `grace_ms` after the window's end or later, and the
              window itself has been quiet for `late_ms`
4. idle       nothing of the run arrived for `idle_ms`

1 and 2 are proof. For 3 and 4 the healer is asked first (`HealRequested`), and the window is
sealed when it has answered (`Healed`). A fragment of a window that was sealed is late: late ones
are gathered until the window was quiet for `late_ms`, and become one revision.

`now_ms` is log time, the time stamp of the Kafka message that is handled: reading the same log
again leads to the same decisions. Nothing here does I/O.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, get_args

from domain.errors import ConfigError
from domain.events import ChunkDue, Event, FragmentRef, Gap, HealRequested, VideoForm
from domain.events.chunks import DueReason
from domain.seqs import Range, SeqRanges

Proof = Literal["complete", "run-ended"]
assert set(get_args(Proof)) < set(get_args(DueReason))


@dataclass(frozen=True, slots=True)
class WindowRules:
    """The lengths that decide; all in milliseconds but the counts."""

    window_ms: int = 60_000
    grace_ms: int = 30_000
    idle_ms: int = 60_000
    late_ms: int = 15_000
    heal_retry_ms: int = 60_000
    """The healer is asked again after this silence."""
    forget_ended_ms: int = 600_000
    """A run that ended and has no open window is forgotten after this silence."""
    forget_silent_ms: int = 86_400_000
    """A run that never ended is forgotten after this silence."""
    max_runs: int = 256
    """Runs remembered for each camera; beyond, the longest silent is sealed and goes."""
    max_window_fragments: int = 5_000

    def __post_init__(self) -> None:
        if self.window_ms < 1_000 or self.window_ms % 1_000:
            raise ConfigError("window_ms must be whole seconds: chunk names carry seconds.")


@dataclass(slots=True)
class Window:
    """The fragments of one run that start in one window and are not yet in a chunk."""

    start_ms: int
    late: bool
    fragments: dict[int, FragmentRef] = field(default_factory=dict)
    touched_ms: int = 0
    """Log time of the newest fragment."""
    asked_ms: int | None = None
    """Log time at which the healer was asked."""


@dataclass(frozen=True, slots=True)
class RunEnd:
    """What a run's end says."""

    last_seq: int
    ended_ms: int
    reason: str
    given_up: SeqRanges


@dataclass(slots=True)
class RunWindows:
    """One run of a camera: its open windows and what it remembers of the sealed ones."""

    camera: str
    run: str
    window_ms: int
    form: VideoForm | None = None
    """What its video is like; None until its first fragment."""
    windows: dict[int, Window] = field(default_factory=dict)
    joined: SeqRanges = field(default_factory=SeqRanges)
    """Seqs that stand in chunks: one that comes again is a duplicate."""
    settled: SeqRanges = field(default_factory=SeqRanges)
    """Seqs nobody waits for: sealed as missing. One that comes after all is late."""
    sealed: SeqRanges = field(default_factory=SeqRanges)
    """Indexes (start / window_ms) of the windows that were sealed."""
    ends: dict[int, int] = field(default_factory=dict)
    """Last seq of each range of `joined` -> when that fragment ended (UTC, ms)."""
    watermark_ms: int = 0
    """Start of the newest fragment."""
    touched_ms: int = 0
    """Log time of the newest event."""
    end: RunEnd | None = None

    # -- asking

    @property
    def open(self) -> bool:
        """Whether any window is open."""
        return bool(self.windows)

    def _open_seqs(self) -> SeqRanges:
        return SeqRanges.of(seq for window in self.windows.values() for seq in window.fragments)

    def _around(self, window: Window) -> tuple[int, int | None, SeqRanges]:
        """Return the nearest seqs known before and after, and all that is accounted for."""
        known = self.joined | self._open_seqs()
        given_up = self.end.given_up if self.end else SeqRanges()
        settled = known | self.settled | given_up
        first, last = min(window.fragments), max(window.fragments)
        before = (known | self.settled).below(first)
        after = next(
            (low if low > last else last + 1 for low, high in known.ranges if high > last), None
        )
        return (-1 if before is None else before), after, settled

    def _proof(self, window: Window) -> Proof | None:
        before, after, settled = self._around(window)
        if after is not None:
            return None if settled.missing(before + 1, after - 1) else "complete"
        if self.end is not None and not settled.missing(before + 1, self.end.last_seq):
            return "run-ended"
        return None

    def _unproven(self, window: Window, now_ms: int, rules: WindowRules) -> DueReason | None:
        end_ms = window.start_ms + self.window_ms
        quiet = now_ms - window.touched_ms >= rules.late_ms
        if quiet and self.watermark_ms >= end_ms + rules.grace_ms:
            return "grace"
        if now_ms - self.touched_ms >= rules.idle_ms:
            return "idle"
        return None

    # -- acting

    def due(self, now_ms: int, rules: WindowRules, checked: int | None = None) -> Iterator[Event]:
        """Yield what is to be sent now; `checked` is the start of a window the healer answered."""
        again = True
        while again:
            again = False
            for window in sorted(self.windows.values(), key=lambda each: each.start_ms):
                event = self._decide(window, now_ms, rules, checked)
                if event is not None:
                    yield event
                if isinstance(event, ChunkDue):
                    again = True  # what it settled may make a neighbour complete

    def _decide(
        self, window: Window, now_ms: int, rules: WindowRules, checked: int | None
    ) -> Event | None:
        if window.late:
            quiet = now_ms - window.touched_ms >= rules.late_ms
            return self._seal(window, "late") if quiet else None
        if (proof := self._proof(window)) is not None:
            return self._seal(window, proof)
        reason = self._unproven(window, now_ms, rules)
        if reason is None:
            window.asked_ms = None
            return None
        if window.start_ms == checked:
            return self._seal(window, reason)
        if window.asked_ms is not None and now_ms - window.asked_ms < rules.heal_retry_ms:
            return None
        window.asked_ms = now_ms
        before, after, settled = self._around(window)
        until = after - 1 if after is not None else max(window.fragments)
        return HealRequested(
            camera=self.camera,
            run=self.run,
            window_start_ms=window.start_ms,
            after_seq=before,
            before_seq=after,
            known=list(settled.within(before + 1, until).ranges),
        )

    def _seal(self, window: Window, reason: DueReason) -> ChunkDue:
        fragments = [window.fragments[seq] for seq in sorted(window.fragments)]
        holes = [] if window.late else self._holes(window)
        assert self.form is not None, "a window has a fragment"
        due = ChunkDue(
            camera=self.camera,
            run=self.run,
            window_start_ms=window.start_ms,
            window_ms=self.window_ms,
            reason=reason,
            form=self.form,
            fragments=fragments,
            gaps=[gap for gap, _ in holes],
        )
        del self.windows[window.start_ms]
        self.joined |= SeqRanges.of(window.fragments)
        self.settled |= SeqRanges(missing for _, missing in holes)
        self.sealed = self.sealed.add(window.start_ms // self.window_ms)
        self.ends.update({each.seq: each.start_ms + each.duration_ms for each in fragments})
        lasts = {last for _, last in self.joined.ranges}
        self.ends = {seq: end_ms for seq, end_ms in self.ends.items() if seq in lasts}
        return due

    def _holes(self, window: Window) -> list[tuple[Gap, Range]]:
        """Return what is missing before, between and, where the run ended, after the fragments.

        A hole between two windows belongs to the later one, so that it is told once.
        """
        before, after, _ = self._around(window)
        known = self.joined | self._open_seqs() | self.settled
        at_ms = self.ends.get(before) or self._open_end(before)
        holes: list[tuple[Gap, Range]] = []
        previous = before
        for seq in sorted(window.fragments):
            fragment = window.fragments[seq]
            from_ms = min(at_ms, fragment.start_ms) if at_ms is not None else fragment.start_ms
            for hole in known.missing(previous + 1, seq - 1):
                holes.append((self._gap(from_ms, fragment.start_ms, hole), hole))
            previous, at_ms = seq, fragment.start_ms + fragment.duration_ms
        if after is None and self.end is not None and at_ms is not None:
            for hole in known.missing(previous + 1, self.end.last_seq):
                holes.append((self._gap(at_ms, max(at_ms, self.end.ended_ms), hole), hole))
        return holes

    def _open_end(self, seq: int) -> int | None:
        for window in self.windows.values():
            if seq in window.fragments:
                fragment = window.fragments[seq]
                return fragment.start_ms + fragment.duration_ms
        return None

    def _gap(self, from_ms: int, to_ms: int, hole: Range) -> Gap:
        given_up = self.end.given_up if self.end else SeqRanges()
        lost = not given_up.missing(*hole)
        reason = "given up by the edge's spool" if lost else "never arrived in the cloud"
        return Gap(from_ms=from_ms, to_ms=to_ms, first_seq=hole[0], last_seq=hole[1], reason=reason)

    def forgettable(self, now_ms: int, rules: WindowRules) -> bool:
        """Say whether nothing is open and the run has been silent for long enough."""
        silence_ms = now_ms - self.touched_ms
        allowed_ms = rules.forget_ended_ms if self.end else rules.forget_silent_ms
        return not self.windows and silence_ms >= allowed_ms

    def seal_all(self) -> list[Event]:
        """Seal what is open as it stands; what comes later is late for a forgotten run."""
        starts = sorted(self.windows)
        return [self._seal(self.windows[start_ms], "idle") for start_ms in starts]

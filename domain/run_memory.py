"""What is remembered of one run: which seqs stand where, and what of it may be forgotten.

    seq     0 … 80  | 81 82  | 83      | 84 85 | 86 | 87
            settled | joined | settled | open  |    | open     known: joined or open
            (old)             missing            ?

Settled is what nobody waits for: sealed as missing, or too old to be remembered one by one.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from domain.events import Gap, VideoForm
from domain.gaps import gaps_of
from domain.identity import MAX_SEQ, run_started_ms
from domain.seqs import Range, SeqRanges
from domain.window_lengths import WindowLengths
from domain.window_rules import WindowRules
from domain.window_state import Held, LetGo, RunEnd, Window


@dataclass(slots=True)
class RunMemory:
    """One run of a camera: its open windows and what it remembers of the sealed ones."""

    camera: str
    run: str
    lengths: WindowLengths
    form: VideoForm | None = None
    """What its video is like; None until its first fragment."""
    windows: dict[int, Window] = field(default_factory=dict)
    joined: SeqRanges = field(default_factory=SeqRanges)
    """Seqs that stand in chunks: one that comes again is a duplicate."""
    settled: SeqRanges = field(default_factory=SeqRanges)
    """Seqs nobody waits for: sealed as missing. One that comes after all is late."""
    sealed: SeqRanges = field(default_factory=SeqRanges)
    """The windows that were sealed, as the whole UTC seconds that they span."""
    ends: dict[int, int] = field(default_factory=dict)
    """Last seq of each range of `joined` -> when that fragment ended (UTC, ms)."""
    watermark_ms: int = 0
    """Start of the newest fragment."""
    touched_ms: int = 0
    """Log time of the newest event."""
    asked_ms: int | None = None
    """Log time at which the healer was asked for what the run's end alone tells of."""
    end: RunEnd | None = None
    crowded: bool = False
    """It took another's place: the healer is not asked for it (docs/design/windows.md)."""
    let_go: LetGo = field(default_factory=LetGo)
    """What was given out of hand for want of room, and is asked of the healer again."""
    known: SeqRanges = field(init=False)
    """Seqs that arrived, in chunks or in open windows."""
    where: dict[int, int] = field(init=False)
    """Seqs in open windows -> start of that window."""

    def __post_init__(self) -> None:
        self.where = {
            seq: start_ms for start_ms, window in self.windows.items() for seq in window.fragments
        }
        self.known = self.joined | SeqRanges.of(self.where)

    # -- asking

    @property
    def waiting(self) -> bool:
        """Whether a window is open, or the healer's answer is awaited."""
        return bool(self.windows) or self.asked_ms is not None

    def holds(self, seq: int) -> bool:
        """Whether this fragment was taken in already."""
        return seq in self.where or seq in self.joined

    def agrees(self, seq: int, sha256: str) -> bool:
        """Whether what is held under a seq has these bytes, as far as it is remembered."""
        start_ms = self.where.get(seq)
        return start_ms is None or self.windows[start_ms].fragments[seq].sha256 == sha256

    def is_late(self, seq: int, start_ms: int) -> bool:
        """Whether a new fragment comes after its window, or its absence, was sealed."""
        return start_ms // 1_000 in self.sealed or seq in self.settled

    def span(self) -> tuple[int, int] | None:
        """Return from when to when (UTC, ms) windows were cut, or None where there are none."""
        starts = list(self.windows)
        ends = [window.end_ms for window in self.windows.values()]
        if self.sealed:
            starts.append(self.sealed.ranges[0][0] * 1_000)
            ends.append((self.sealed.ranges[-1][1] + 1) * 1_000)
        return (min(starts), max(ends)) if starts else None

    def forgettable(self, now_ms: int, rules: WindowRules) -> bool:
        """Say whether nothing is open and the run has been silent for long enough."""
        if self.windows:
            return False
        whole = self.end and not (self.joined | self._given_up).missing(0, self.end.last_seq)
        allowed_ms = rules.forget_ended_ms if whole else rules.forget_silent_ms
        return now_ms - self.touched_ms >= allowed_ms

    @property
    def _given_up(self) -> SeqRanges:
        return self.end.given_up if self.end else SeqRanges()

    def _around(self, window: Window) -> tuple[int, int | None, int]:
        """Return where the window's own seqs begin and end.

        The nearest seq known before (or -1), the nearest known after (or None), and the last
        seq that the window has to account for.
        """
        first, last = min(window.fragments), max(window.fragments)
        before = self.known.below(first)
        after = self.known.above(last)
        if after is not None:
            until = after - 1
        else:
            until = max(last, self.end.last_seq) if self.end else last
        return (-1 if before is None else before), after, until

    def _missing(self, first: int, last: int, *others: SeqRanges) -> tuple[Range, ...]:
        """Return what of first..last neither arrived nor stands in one of `others`."""
        holes = self.known.missing(first, last)
        for other in others:
            if not holes:
                break
            if other:
                holes = tuple(part for hole in holes for part in other.missing(*hole))
        return holes

    def _rest(self) -> tuple[Range, ...]:
        """Return the seqs that no window waits for: the run's end tells of them, or what went."""
        if self.windows:
            return ()
        last = max(self.let_go.last_seq, self.end.last_seq if self.end else -1)
        return self._missing(0, last, self.settled, self._given_up)

    # -- remembering

    def take(self, held: Held, now_ms: int) -> Window:
        """Put a fragment that is not held yet into its window; returns the window."""
        start_ms, length_ms = self.lengths.window(held.start_ms)
        window = self.windows.get(start_ms)
        if window is None:
            late = self.is_late(held.seq, start_ms)
            window = self.windows[start_ms] = Window(start_ms, length_ms, late)
        window.fragments[held.seq] = held
        window.touched_ms = max(window.touched_ms, now_ms)
        self.where[held.seq] = start_ms
        self.known = self.known.add(held.seq)
        self.watermark_ms = max(self.watermark_ms, held.start_ms)
        return window

    def release(self, window: Window, now_ms: int) -> None:
        """Give a window's fragments out of hand: they stand in S3, and are asked for again."""
        del self.windows[window.start_ms]
        for seq in window.fragments:
            del self.where[seq]
        for first, last in SeqRanges.of(window.fragments).ranges:
            self.known = self.known.without(first, last)
            self.settled = self.settled.without(first, last)  # they are waited for again
        self.asked_ms = None
        for other in self.windows.values():
            other.asked_ms = None  # what the healer found for it may be what goes now
        last_seq = max(self.let_go.last_seq, *window.fragments)
        self.let_go = self.let_go._replace(last_seq=last_seq, at_ms=now_ms)

    def _sealed(self, window: Window, gaps: Iterable[Gap], rules: WindowRules) -> None:
        """Remember a window as sealed, with what was told missing."""
        del self.windows[window.start_ms]
        for seq in window.fragments:
            del self.where[seq]
        self.joined |= SeqRanges.of(window.fragments)
        self.settled |= SeqRanges((gap.first_seq, gap.last_seq) for gap in gaps)
        self.sealed |= SeqRanges([(window.start_ms // 1_000, window.end_ms // 1_000 - 1)])
        self.ends.update({each.seq: each.end_ms for each in window.fragments.values()})
        self._fold(rules)
        lasts = {last for _, last in self.joined.ranges}
        self.ends = {seq: end_ms for seq, end_ms in self.ends.items() if seq in lasts}

    def _gaps(self, window: Window) -> list[Gap]:
        before, after, _ = self._around(window)
        held = [window.fragments[seq] for seq in sorted(window.fragments)]
        last = held[-1].seq if after is not None or self.end is None else self.end.last_seq
        accounted = SeqRanges(
            (*self.known.within(before, last).ranges, *self.settled.within(before, last).ranges)
        )
        return gaps_of(
            held,
            accounted,
            before=before,
            since_ms=run_started_ms(self.run) if before < 0 else self._end_of(before),
            end=self.end,
            to_the_end=after is None,
        )

    def _end_of(self, seq: int) -> int | None:
        """Return when a fragment that was taken in ended (UTC, ms), or None where unknown."""
        if (start_ms := self.where.get(seq)) is not None:
            return self.windows[start_ms].fragments[seq].end_ms
        return self.ends.get(seq)

    @property
    def ranges(self) -> int:
        """How many ranges of seqs are remembered."""
        return max(len(self.joined.ranges), len(self.settled.ranges))

    def fold_all(self, rules: WindowRules) -> None:
        """Forget the oldest ranges, and what was let go among them: `vigil reconcile` finds it."""
        self._fold(rules, waits=False)

    def _fold(self, rules: WindowRules, *, waits: bool = True) -> None:
        """Forget the oldest ranges: their seqs count as settled, and come late if they come.

        Never beyond a seq that somebody still waits for, if it `waits`.
        """
        self.sealed = SeqRanges(self.sealed.ranges[-rules.max_ranges :])
        floor = max(
            ranges[-rules.max_ranges][0] if len(ranges) > rules.max_ranges else 0
            for ranges in (self.joined.ranges, self.settled.ranges)
        )
        if floor == 0:
            return
        waited = self._missing(0, floor - 1, self.settled) if waits else ()
        floor = waited[0][0] if waited else floor
        if floor > 0:
            self.settled |= SeqRanges([(0, floor - 1)])
            self.joined = self.joined.within(floor, MAX_SEQ)
            self.known = self.known.within(floor, MAX_SEQ) | SeqRanges.of(
                seq for seq in self.where if seq < floor
            )

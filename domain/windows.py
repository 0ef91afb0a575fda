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
sealed when it has answered (`Healed`); where a neighbour's sealing has told all that is missing,
nobody needs to be asked again. A fragment of a window that was sealed, or whose seq was sealed as
missing, is late: late ones are gathered until their window was quiet for `late_ms`, and become
one revision, healed first where seqs before or between them are missing.

`now_ms` is log time, the time stamp of the Kafka message that is handled: reading the same log
again leads to the same decisions. Nothing here does I/O. See docs/design/windows.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, get_args

from domain.errors import ConfigError
from domain.events import ChunkDue, Event, Gap, HealRequested, VideoForm
from domain.events.chunks import DueReason
from domain.gaps import gaps_of
from domain.identity import MAX_SEQ, run_started_ms
from domain.seqs import Range, SeqRanges
from domain.window_lengths import WindowLengths
from domain.window_state import Held, RunEnd, Window

Proof = Literal["complete", "run-ended"]
assert set(get_args(Proof)) < set(get_args(DueReason))


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
    """Over all windows of a camera; beyond, the longest quiet window is sealed as it stands."""
    max_ranges: int = 64
    """Ranges of seqs a run remembers one by one; the older ones count as settled."""

    def __post_init__(self) -> None:
        if self.window_ms < 1_000 or self.window_ms % 1_000:
            raise ConfigError("window_ms must be whole seconds: chunk names carry seconds.")


@dataclass(slots=True)
class RunWindows:
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

    # -- asking

    @property
    def open(self) -> bool:
        """Whether any window is open."""
        return bool(self.windows)

    def holds(self, seq: int) -> bool:
        """Whether this fragment was taken in already."""
        return seq in self.joined or any(seq in each.fragments for each in self.windows.values())

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

    def _known(self) -> SeqRanges:
        """Return the seqs that arrived, in chunks or in open windows."""
        return self.joined | SeqRanges.of(
            seq for window in self.windows.values() for seq in window.fragments
        )

    @property
    def _given_up(self) -> SeqRanges:
        return self.end.given_up if self.end else SeqRanges()

    def _around(self, window: Window, known: SeqRanges) -> tuple[int, int | None, int]:
        """Return where the window's own seqs begin and end.

        The nearest seq known before (or -1), the nearest known after (or None), and the last
        seq that the window has to account for.
        """
        first, last = min(window.fragments), max(window.fragments)
        before = known.below(first)
        after = known.above(last)
        if after is not None:
            until = after - 1
        else:
            until = max(last, self.end.last_seq) if self.end else last
        return (-1 if before is None else before), after, until

    def _unproven(self, window: Window, now_ms: int, rules: WindowRules) -> DueReason | None:
        quiet = now_ms - window.touched_ms >= rules.late_ms
        if window.late:
            return "late" if quiet else None
        if quiet and self.watermark_ms >= window.end_ms + rules.grace_ms:
            return "grace"
        return "idle" if now_ms - self.touched_ms >= rules.idle_ms else None

    def _rest(self, known: SeqRanges) -> tuple[Range, ...]:
        """Return the seqs that nothing but the run's end tells of: no window waits for them."""
        if self.windows or self.end is None:
            return ()
        return (known | self.settled | self._given_up).missing(0, self.end.last_seq)

    def forgettable(self, now_ms: int, rules: WindowRules) -> bool:
        """Say whether nothing is open and the run has been silent for long enough."""
        if self.windows:
            return False
        whole = self.end and not (self.joined | self._given_up).missing(0, self.end.last_seq)
        allowed_ms = rules.forget_ended_ms if whole else rules.forget_silent_ms
        return now_ms - self.touched_ms >= allowed_ms

    # -- acting

    def due(self, now_ms: int, rules: WindowRules, checked: int | None = None) -> Iterator[Event]:
        """Yield what is to be sent now; `checked` is the start of a window the healer answered."""
        known = self._known()
        again = True
        while again:
            again = False
            for window in sorted(self.windows.values(), key=lambda each: each.start_ms):
                event = self._decide(window, known, now_ms, rules, checked)
                if event is not None:
                    yield event
                if isinstance(event, ChunkDue):
                    again = True  # what it told missing nobody else has to ask for
        if (request := self._ask_for_the_rest(known, now_ms, rules, checked)) is not None:
            yield request

    def _decide(
        self,
        window: Window,
        known: SeqRanges,
        now_ms: int,
        rules: WindowRules,
        checked: int | None,
    ) -> Event | None:
        before, after, until = self._around(window, known)
        missing = (known | self._given_up).missing(before + 1, until)
        bounded = after is not None or self.end is not None
        if not window.late and bounded and not missing:
            return self._seal(window, "run-ended" if after is None else "complete", known, rules)
        reason = self._unproven(window, now_ms, rules)
        if reason is None:
            window.asked_ms = None
            return None
        told = (bounded or window.late) and not (
            missing and (known | self._given_up | self.settled).missing(before + 1, until)
        )
        if told or (window.start_ms == checked and window.asked_ms is not None):
            return self._seal(window, reason, known, rules)
        if window.asked_ms is not None and now_ms - window.asked_ms < rules.heal_retry_ms:
            return None
        window.asked_ms = now_ms
        return self._heal(window.start_ms, before, after, known.within(before + 1, until))

    def _ask_for_the_rest(
        self, known: SeqRanges, now_ms: int, rules: WindowRules, checked: int | None
    ) -> Event | None:
        """Have S3 looked through for what no window waits for, once the run has gone silent."""
        rest = self._rest(known)
        if not rest or self.end is None or now_ms - self.touched_ms < rules.idle_ms:
            self.asked_ms = None
            return None
        start_ms, _ = self.lengths.window(self.end.ended_ms)
        if checked == start_ms and self.asked_ms is not None:
            self.settled |= SeqRanges(rest)
            self.asked_ms = None
            return None
        if self.asked_ms is not None and now_ms - self.asked_ms < rules.heal_retry_ms:
            return None
        self.asked_ms = now_ms
        first = rest[0][0]
        return self._heal(start_ms, first - 1, None, known.within(first, self.end.last_seq))

    def _heal(
        self, window_start_ms: int, after_seq: int, before_seq: int | None, known: SeqRanges
    ) -> HealRequested:
        return HealRequested(
            camera=self.camera,
            run=self.run,
            window_start_ms=window_start_ms,
            after_seq=after_seq,
            before_seq=before_seq,
            known=list(known.ranges),
        )

    def _seal(
        self, window: Window, reason: DueReason, known: SeqRanges, rules: WindowRules
    ) -> ChunkDue:
        held = [window.fragments[seq] for seq in sorted(window.fragments)]
        gaps = self._gaps(window, held, known)
        assert self.form is not None, "a window has a fragment"
        due = ChunkDue(
            camera=self.camera,
            run=self.run,
            window_start_ms=window.start_ms,
            window_ms=window.length_ms,
            reason=reason,
            form=self.form,
            fragments=[each.ref() for each in held],
            gaps=gaps,
        )
        del self.windows[window.start_ms]
        self.joined |= SeqRanges.of(window.fragments)
        self.settled |= SeqRanges((gap.first_seq, gap.last_seq) for gap in gaps)
        self.sealed |= SeqRanges([(window.start_ms // 1_000, window.end_ms // 1_000 - 1)])
        self.ends.update({each.seq: each.end_ms for each in held})
        self._fold(known, rules)
        lasts = {last for _, last in self.joined.ranges}
        self.ends = {seq: end_ms for seq, end_ms in self.ends.items() if seq in lasts}
        return due

    def _gaps(self, window: Window, held: list[Held], known: SeqRanges) -> list[Gap]:
        before, after, _ = self._around(window, known)
        return gaps_of(
            held,
            known | self.settled,
            before=before,
            since_ms=run_started_ms(self.run) if before < 0 else self._end_of(before),
            end=self.end,
            to_the_end=after is None,
        )

    def _end_of(self, seq: int) -> int | None:
        """Return when a fragment that was taken in ended (UTC, ms), or None where unknown."""
        for window in self.windows.values():
            if (held := window.fragments.get(seq)) is not None:
                return held.end_ms
        return self.ends.get(seq)

    def _fold(self, known: SeqRanges, rules: WindowRules) -> None:
        """Forget the oldest ranges: their seqs count as settled, and come late if they come.

        Never beyond a seq that somebody still waits for.
        """
        self.sealed = SeqRanges(self.sealed.ranges[-rules.max_ranges :])
        floor = max(
            ranges[-rules.max_ranges][0] if len(ranges) > rules.max_ranges else 0
            for ranges in (self.joined.ranges, self.settled.ranges)
        )
        if floor == 0:
            return
        waited = (known | self.settled).missing(0, floor - 1)
        floor = waited[0][0] if waited else floor
        if floor > 0:
            self.settled |= SeqRanges([(0, floor - 1)])
            self.joined = self.joined.within(floor, MAX_SEQ)

    def seal(self, start_ms: int, reason: DueReason, rules: WindowRules) -> ChunkDue:
        """Seal one window as it stands, for want of room; what comes later is late."""
        return self._seal(self.windows[start_ms], reason, self._known(), rules)

    def seal_all(self, rules: WindowRules) -> list[Event]:
        """Seal what is open as it stands; what comes later is late for a forgotten run."""
        return [self.seal(start_ms, "idle", rules) for start_ms in sorted(self.windows)]

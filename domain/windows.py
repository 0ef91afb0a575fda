"""When is a chunk due? The windows of one run, as an object that is asked questions.

    seq        0   1   2 | 3   4   5 | 6
    window     [-- w0 --)[-- w1 --)[-- w2 …
    w0 is due as soon as 0..3 are known: the run goes on in w1 and no seq is missing.

A window of a run is due when the first of these conditions is true:

1. complete   the run goes on after the window and no seq is missing
2. run-ended  the run's end is known and no seq up to it is missing
3. grace      the watermark is `grace_ms` past the window's end, and no fragment has arrived for
              the window for `late_ms`
4. idle       no event of the run has arrived for `idle_ms`

Conditions 1 and 2 are proof. For 3 and 4 the healer is asked first (`HealRequested`), and the
window is sealed after its answer (`Healed`). It is not asked again for a seq that a neighbour
window has already reported as missing.

A fragment is late if its window was sealed, or its seq was sealed as missing. Late fragments are
collected until none has arrived for the window for `late_ms`. Then they become one revision. The
healer is asked first if seqs before or between them are missing.

`now_ms` is log time, the time stamp of the Kafka message that is handled: the same log leads to
the same decisions. Nothing here does I/O. See docs/design/windows.md.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, get_args

from domain.chunks import with_forms
from domain.events import ChunkDue, Event, Gap, HealRequested, VideoForm
from domain.events.chunks import DueReason
from domain.gaps import gaps_of
from domain.identity import MAX_SEQ, run_started_ms
from domain.seqs import Range, SeqRanges
from domain.window_lengths import WindowLengths
from domain.window_rules import WindowRules
from domain.window_state import Evicted, OpenFragment, RunEnd, Window

__all__ = ["RunWindows", "WindowRules"]

Proof = Literal["complete", "run-ended"]
assert set(get_args(Proof)) < set(get_args(DueReason))


@dataclass(slots=True)
class RunWindows:
    """One run of a camera: its open windows, and what it remembers of the sealed ones.

        seq     0 … 80  | 81 82  | 83      | 84 85 | 86 | 87
                settled | joined | settled | open  |    | open     known: joined or open
                (old)             missing            ?

    A settled seq is no longer waited for: it was sealed as missing, or is too old to be
    remembered one by one.
    """

    camera: str
    run: str
    lengths: WindowLengths
    form: VideoForm | None = None
    """The format of its fragments; None until the first one."""
    other_forms: dict[int, VideoForm] = field(default_factory=dict)
    """The formats of fragments in open windows that are not in the format `form`, by seq."""
    windows: dict[int, Window] = field(default_factory=dict)
    """Start of each open window -> the window."""
    joined: SeqRanges = field(default_factory=SeqRanges)
    """Seqs in chunks: one that arrives again is a duplicate."""
    settled: SeqRanges = field(default_factory=SeqRanges)
    """Seqs sealed as missing. One that arrives after all is late."""
    sealed: SeqRanges = field(default_factory=SeqRanges)
    """The windows that were sealed, as the whole UTC seconds that they span.

    Of too many ranges the oldest become one, with the windows between them. A fragment of those
    is then late: a window that may have a chunk is never called complete for its other seqs.
    """
    ends: dict[int, int] = field(default_factory=dict)
    """Last seq of each range of `joined` -> the end of that fragment (UTC, ms)."""
    watermark_ms: int = 0
    """Start of the newest fragment."""
    touched_ms: int = 0
    """Log time of the newest event."""
    heal_requested_ms: int | None = None
    """Log time of the request to the healer for seqs that belong to no open window."""
    end: RunEnd | None = None
    bounded_out: bool = False
    """It replaced a run that still waited (`max_runs`). The healer is not asked for its windows,
    so that healing ends (docs/design/windows.md)."""
    evicted: Evicted = field(default_factory=Evicted)
    """The fragments that were evicted over a limit. The healer is asked for them again."""
    known: SeqRanges = field(init=False)
    """Seqs that arrived, in chunks or in open windows."""
    window_starts: dict[int, int] = field(init=False)
    """Seqs in open windows -> start of that window."""

    def __post_init__(self) -> None:
        self.window_starts = {
            seq: start_ms for start_ms, window in self.windows.items() for seq in window.fragments
        }
        self.known = self.joined | SeqRanges.of(self.window_starts)

    # -- what is known

    @property
    def waiting(self) -> bool:
        """Whether a window is open, or the healer's answer is pending."""
        return bool(self.windows) or self.heal_requested_ms is not None

    @property
    def ranges(self) -> int:
        """How many ranges of seqs are remembered."""
        return max(len(self.joined.ranges), len(self.settled.ranges))

    def contains(self, seq: int) -> bool:
        """Whether this fragment has arrived before."""
        return seq in self.window_starts or seq in self.joined

    def matches(self, fragment: OpenFragment) -> bool:
        """Whether the fragment with this seq has these bytes and times, as far as remembered."""
        start_ms = self.window_starts.get(fragment.seq)
        return start_ms is None or self.windows[start_ms].fragments[fragment.seq] == fragment

    def is_late(self, seq: int, start_ms: int) -> bool:
        """Whether a new fragment arrives after its window, or its absence, was sealed."""
        return start_ms // 1_000 in self.sealed or seq in self.settled

    def span(self) -> tuple[int, int] | None:
        """Return from when to when (UTC, ms) there are windows, or None if there are none."""
        starts = list(self.windows)
        ends = [window.end_ms for window in self.windows.values()]
        if self.sealed:
            starts.append(self.sealed.ranges[0][0] * 1_000)
            ends.append((self.sealed.ranges[-1][1] + 1) * 1_000)
        return (min(starts), max(ends)) if starts else None

    def forgettable(self, now_ms: int, rules: WindowRules) -> bool:
        """Say whether no window is open and the run has been silent for long enough."""
        if self.windows:
            return False
        whole = self.end and not (self.joined | self._given_up).missing(0, self.end.last_seq)
        allowed_ms = rules.forget_ended_ms if whole else rules.forget_silent_ms
        return now_ms - self.touched_ms >= allowed_ms

    @property
    def _given_up(self) -> SeqRanges:
        return self.end.given_up if self.end else SeqRanges()

    def _bounds(self, window: Window) -> tuple[int, int | None, int]:
        """Return three seqs around a window's own.

        - the nearest known seq before them, or -1
        - the nearest known seq after them, or None
        - the last seq that the window has to account for
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
        """Return the part of first..last that has not arrived and is in none of `others`."""
        holes = self.known.missing(first, last)
        for other in others:
            if not holes:
                break
            if other:
                holes = tuple(part for hole in holes for part in other.missing(*hole))
        return holes

    def _unassigned(self) -> tuple[Range, ...]:
        """Return the missing seqs that no open window waits for.

        Only the run's end, or an eviction, shows that they exist.
        """
        if self.windows:
            return ()
        last = max(self.evicted.last_seq, self.end.last_seq if self.end else -1)
        return self._missing(0, last, self.settled, self._given_up)

    def _end_of(self, seq: int) -> int | None:
        """Return the end (UTC, ms) of a fragment that arrived, or None if it is forgotten."""
        if (start_ms := self.window_starts.get(seq)) is not None:
            return self.windows[start_ms].fragments[seq].end_ms
        return self.ends.get(seq)

    # -- what is due

    def due(self, now_ms: int, rules: WindowRules, healed: int | None = None) -> Iterator[Event]:
        """Yield the events to send now; `healed` is the start of the window the healer answered.

        Its answer decides that window and its neighbours. Without one all windows are checked.
        """
        window = None if healed is None else self.windows.get(healed)
        starts = self.windows if healed is None else self._neighbours(window)
        yield from self._decide_all(starts, now_ms, rules, healed)
        if (request := self._heal_unassigned(now_ms, rules, healed)) is not None:
            yield request

    def due_near(self, seq: int, now_ms: int, rules: WindowRules) -> Iterator[Event]:
        """Yield the events to send now that `seq` has arrived.

        It can prove its own window and those of its neighbours. Silence is measured by ticks.
        """
        self.heal_requested_ms = None
        near = (self.known.below(seq), seq, self.known.above(seq))
        starts = {self.window_starts[each] for each in near if each in self.window_starts}
        yield from self._decide_all(starts, now_ms, rules, None)

    def _neighbours(self, window: Window | None) -> set[int]:
        """Return the starts of an open window and of those with the seqs next to its own."""
        if window is None:
            return set()
        around = self.known.below(min(window.fragments)), self.known.above(max(window.fragments))
        return {
            window.start_ms,
            *(self.window_starts[seq] for seq in around if seq in self.window_starts),
        }

    def _decide_all(
        self, starts: Iterable[int], now_ms: int, rules: WindowRules, healed: int | None
    ) -> Iterator[Event]:
        waiting = sorted(starts)
        again = True
        while again:
            again = False
            for start_ms in list(waiting):
                event = self._decide(self.windows[start_ms], now_ms, rules, healed)
                if event is not None:
                    yield event
                if isinstance(event, ChunkDue):
                    waiting.remove(start_ms)
                    # The gaps that it reported are settled: a neighbour may be due now.
                    again = True

    def _decide(
        self, window: Window, now_ms: int, rules: WindowRules, healed: int | None
    ) -> Event | None:
        before, after, until = self._bounds(window)
        missing = self._missing(before + 1, until, self._given_up)
        bounded = after is not None or self.end is not None
        if not window.late and bounded and not missing:
            return self._seal(window, "run-ended" if after is None else "complete", rules)
        reason = self._timeout(window, now_ms, rules)
        if reason is None:
            window.heal_requested_ms = None  # a fragment arrived: the silence starts again
            return None
        # All that is missing was sealed as missing before: the healer has nothing to look for.
        accounted = (bounded or window.late) and not (
            missing and self._missing(before + 1, until, self._given_up, self.settled)
        )
        answered = window.start_ms == healed and window.heal_requested_ms is not None
        if accounted or self.bounded_out or answered:
            return self._seal(window, reason, rules)
        if not self._may_ask(window.heal_requested_ms, now_ms, rules):
            return None
        window.heal_requested_ms = now_ms
        return self._heal_request(window.start_ms, before, after, until)

    def _timeout(self, window: Window, now_ms: int, rules: WindowRules) -> DueReason | None:
        """Return why a window without proof is due, or None while it is not."""
        quiet = now_ms - window.touched_ms >= rules.late_ms
        if window.late:
            return "late" if quiet else None
        if quiet and self.watermark_ms >= window.end_ms + rules.grace_ms:
            return "grace"
        return "idle" if now_ms - self.touched_ms >= rules.idle_ms else None

    def _may_ask(self, requested_ms: int | None, now_ms: int, rules: WindowRules) -> bool:
        """Say whether the healer may be asked now.

        Not again within `heal_retry_ms`. Not while fragments are still being evicted: its answer
        would be evicted as well. Otherwise a new round for evicted fragments begins.
        """
        if requested_ms is not None and now_ms - requested_ms < rules.heal_retry_ms:
            return False
        if self.evicted.at_ms is None:
            return True
        if now_ms - self.evicted.at_ms < rules.late_ms:
            return False
        self.evicted = self.evicted._replace(at_ms=None, rounds=self.evicted.rounds + 1)
        return True

    def _heal_unassigned(
        self, now_ms: int, rules: WindowRules, healed: int | None
    ) -> HealRequested | None:
        """Return the request for the seqs that no window waits for, once the run is silent."""
        missing = self._unassigned()
        if not missing or now_ms - self.touched_ms < rules.idle_ms:
            self.heal_requested_ms = None
            return None
        start_ms, _ = self.lengths.window(self.end.ended_ms if self.end else self.watermark_ms)
        if self.bounded_out or (healed == start_ms and self.heal_requested_ms is not None):
            self.settled |= SeqRanges(missing)
            self.heal_requested_ms = None
            return None
        if not self._may_ask(self.heal_requested_ms, now_ms, rules):
            return None
        self.heal_requested_ms = now_ms
        first = missing[0][0]
        return self._heal_request(start_ms, first - 1, None, MAX_SEQ)

    def _heal_request(
        self, window_start_ms: int, after_seq: int, before_seq: int | None, until: int
    ) -> HealRequested:
        """Ask for all seqs but the known and the settled: those were listed, or are too old."""
        accounted = self.known.within(after_seq + 1, until) | self.settled.within(
            after_seq + 1, until
        )
        return HealRequested(
            camera=self.camera,
            run=self.run,
            window_start_ms=window_start_ms,
            after_seq=after_seq,
            before_seq=before_seq,
            known=list(accounted.ranges),
        )

    # -- changes

    def add(self, fragment: OpenFragment, form: VideoForm, now_ms: int) -> Window:
        """Put a fragment that is new into its window; return the window."""
        if self.form is None or not self.windows:
            self.form = form
        elif form != self.form:
            self.other_forms[fragment.seq] = form
        start_ms, length_ms = self.lengths.window(fragment.start_ms)
        window = self.windows.get(start_ms)
        if window is None:
            late = self.is_late(fragment.seq, start_ms)
            window = self.windows[start_ms] = Window(start_ms, length_ms, late)
        window.fragments[fragment.seq] = fragment
        window.touched_ms = max(window.touched_ms, now_ms)
        self.window_starts[fragment.seq] = start_ms
        self.known = self.known.add(fragment.seq)
        self.watermark_ms = max(self.watermark_ms, fragment.start_ms)
        return window

    def remove(self, seq: int) -> None:
        """Take a fragment out of its open window: its notice was wrong."""
        window = self.windows[self.window_starts.pop(seq)]
        del window.fragments[seq]
        self.other_forms.pop(seq, None)
        self.known = self.known.without(seq, seq)
        if not window.fragments:
            del self.windows[window.start_ms]

    def may_evict(self, rules: WindowRules) -> bool:
        """Say whether fragments may be evicted: at most `max_rounds` times, so healing ends."""
        return not self.bounded_out and self.evicted.rounds < rules.max_rounds

    def evict(self, window: Window, now_ms: int) -> None:
        """Forget an open window's fragments: they are in S3, and the healer finds them again."""
        del self.windows[window.start_ms]
        for seq in window.fragments:
            del self.window_starts[seq]
            self.other_forms.pop(seq, None)
        for first, last in SeqRanges.of(window.fragments).ranges:
            self.known = self.known.without(first, last)
            self.settled = self.settled.without(first, last)  # they are waited for again
        self.heal_requested_ms = None
        for other in self.windows.values():
            # The healer may have found for it what is evicted now: its answer proves nothing.
            other.heal_requested_ms = None
        last_seq = max(self.evicted.last_seq, *window.fragments)
        self.evicted = self.evicted._replace(last_seq=last_seq, at_ms=now_ms)

    def seal(self, start_ms: int, reason: DueReason, rules: WindowRules) -> ChunkDue:
        """Seal one window as it is, over a limit; what arrives later is late.

        It may report evicted seqs as missing. They are not settled by that: the healer was not
        asked for them yet, or its answer is on the way.
        """
        due = self._seal(self.windows[start_ms], reason, rules)
        for gap in due.gaps:
            if gap.first_seq <= self.evicted.last_seq:
                last_seq = min(gap.last_seq, self.evicted.last_seq)
                self.settled = self.settled.without(gap.first_seq, last_seq)
        return due

    def seal_all(self, rules: WindowRules) -> list[Event]:
        """Seal all open windows as they are; what arrives later is late for a forgotten run."""
        return [self.seal(start_ms, "idle", rules) for start_ms in sorted(self.windows)]

    def _seal(self, window: Window, reason: DueReason, rules: WindowRules) -> ChunkDue:
        gaps = self._gaps(window)
        assert self.form is not None, "a window has a fragment"
        forms = {seq: self.other_forms.get(seq, self.form) for seq in window.fragments}
        refs = [window.fragments[seq].ref() for seq in sorted(window.fragments)]
        version, form, fragments = with_forms(refs, forms)
        self._note_sealed(window, gaps, rules)
        return ChunkDue(
            version=version,
            camera=self.camera,
            run=self.run,
            window_start_ms=window.start_ms,
            window_ms=window.length_ms,
            reason=reason,
            form=form,
            fragments=fragments,
            gaps=gaps,
        )

    def _gaps(self, window: Window) -> list[Gap]:
        """Return what a window that is sealed now reports as missing."""
        before, after, _ = self._bounds(window)
        fragments = [window.fragments[seq] for seq in sorted(window.fragments)]
        last = fragments[-1].seq if after is not None or self.end is None else self.end.last_seq
        accounted = SeqRanges(
            (*self.known.within(before, last).ranges, *self.settled.within(before, last).ranges)
        )
        return gaps_of(
            fragments,
            accounted,
            before=before,
            since_ms=run_started_ms(self.run) if before < 0 else self._end_of(before),
            end=self.end,
            to_the_end=after is None,
        )

    def _note_sealed(self, window: Window, gaps: Iterable[Gap], rules: WindowRules) -> None:
        """Remember a window as sealed, with the seqs that it reported as missing."""
        del self.windows[window.start_ms]
        for seq in window.fragments:
            del self.window_starts[seq]
            self.other_forms.pop(seq, None)
        self.joined |= SeqRanges.of(window.fragments)
        self.settled |= SeqRanges((gap.first_seq, gap.last_seq) for gap in gaps)
        self.sealed |= SeqRanges([(window.start_ms // 1_000, window.end_ms // 1_000 - 1)])
        self.ends.update({each.seq: each.end_ms for each in window.fragments.values()})
        self._forget_oldest(rules)
        lasts = {last for _, last in self.joined.ranges}
        self.ends = {seq: end_ms for seq, end_ms in self.ends.items() if seq in lasts}

    def forget_oldest(self, rules: WindowRules) -> None:
        """Forget the oldest ranges, evicted seqs among them: `vigil reconcile` finds those."""
        self._forget_oldest(rules, keep_awaited=False)

    def _forget_oldest(self, rules: WindowRules, *, keep_awaited: bool = True) -> None:
        """Forget the oldest ranges: their seqs count as settled. What arrives of them is late.

        `keep_awaited`: nothing from the first seq on that is still waited for.
        """
        self.sealed = self.sealed.bounded(rules.max_ranges)
        floor = max(
            ranges[-rules.max_ranges][0] if len(ranges) > rules.max_ranges else 0
            for ranges in (self.joined.ranges, self.settled.ranges)
        )
        if floor == 0:
            return
        awaited = self._missing(0, floor - 1, self.settled) if keep_awaited else ()
        floor = awaited[0][0] if awaited else floor
        if floor > 0:
            self.settled |= SeqRanges([(0, floor - 1)])
            self.joined = self.joined.within(floor, MAX_SEQ)
            self.known = self.known.within(floor, MAX_SEQ) | SeqRanges.of(
                seq for seq in self.window_starts if seq < floor
            )

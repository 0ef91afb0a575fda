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

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from domain.events import ChunkDue, Event, HealRequested
from domain.events.chunks import DueReason
from domain.identity import MAX_SEQ
from domain.run_memory import RunMemory
from domain.seqs import SeqRanges
from domain.window_rules import WindowRules
from domain.window_state import Window

__all__ = ["RunWindows", "WindowRules"]

Proof = Literal["complete", "run-ended"]
assert set(get_args(Proof)) < set(get_args(DueReason))


@dataclass(slots=True)
class RunWindows(RunMemory):
    """One run of a camera, asked which of its windows are due."""

    def due(self, now_ms: int, rules: WindowRules, checked: int | None = None) -> Iterator[Event]:
        """Yield what is to be sent now; `checked` is the start of a window the healer answered.

        Its answer decides about that window and its neighbours, without one all are looked at.
        """
        window = None if checked is None else self.windows.get(checked)
        starts = self.windows if checked is None else self._near(window)
        yield from self._decide_all(starts, now_ms, rules, checked)
        if (request := self._ask_for_the_rest(now_ms, rules, checked)) is not None:
            yield request

    def due_near(self, seq: int, now_ms: int, rules: WindowRules) -> Iterator[Event]:
        """Yield what is to be sent now that `seq` arrived, where time alone decides nothing.

        It can prove its own window and those of its neighbours; silence is measured by ticks.
        """
        self.asked_ms = None
        near = (self.known.below(seq), seq, self.known.above(seq))
        starts = {self.where[each] for each in near if each in self.where}
        yield from self._decide_all(starts, now_ms, rules, None)

    def _near(self, window: Window | None) -> set[int]:
        """Return the starts of an open window and of those that hold the seqs next to its own."""
        if window is None:
            return set()
        around = self.known.below(min(window.fragments)), self.known.above(max(window.fragments))
        return {window.start_ms, *(self.where[seq] for seq in around if seq in self.where)}

    def _decide_all(
        self, starts: Iterable[int], now_ms: int, rules: WindowRules, checked: int | None
    ) -> Iterator[Event]:
        waiting = sorted(starts)
        again = True
        while again:
            again = False
            for start_ms in list(waiting):
                event = self._decide(self.windows[start_ms], now_ms, rules, checked)
                if event is not None:
                    yield event
                if isinstance(event, ChunkDue):
                    waiting.remove(start_ms)
                    again = True  # what it told missing nobody else has to ask for

    def _unproven(self, window: Window, now_ms: int, rules: WindowRules) -> DueReason | None:
        quiet = now_ms - window.touched_ms >= rules.late_ms
        if window.late:
            return "late" if quiet else None
        if quiet and self.watermark_ms >= window.end_ms + rules.grace_ms:
            return "grace"
        return "idle" if now_ms - self.touched_ms >= rules.idle_ms else None

    def _decide(
        self, window: Window, now_ms: int, rules: WindowRules, checked: int | None
    ) -> Event | None:
        before, after, until = self._around(window)
        missing = self._missing(before + 1, until, self._given_up)
        bounded = after is not None or self.end is not None
        if not window.late and bounded and not missing:
            return self._seal(window, "run-ended" if after is None else "complete", rules)
        reason = self._unproven(window, now_ms, rules)
        if reason is None:
            window.asked_ms = None
            return None
        told = (bounded or window.late) and not (
            missing and self._missing(before + 1, until, self._given_up, self.settled)
        )
        if told or self.crowded or (window.start_ms == checked and window.asked_ms is not None):
            return self._seal(window, reason, rules)
        if window.asked_ms is not None and now_ms - window.asked_ms < rules.heal_retry_ms:
            return None
        if not self._has_room(now_ms, rules):
            return None
        window.asked_ms = now_ms
        return self._heal(window.start_ms, before, after, until)

    def _has_room(self, now_ms: int, rules: WindowRules) -> bool:
        """Say whether the healer may be asked: not while more comes than can be held."""
        if self.let_go.at_ms is None:
            return True
        if now_ms - self.let_go.at_ms < rules.late_ms:
            return False
        self.let_go = self.let_go._replace(at_ms=None, rounds=self.let_go.rounds + 1)
        return True

    def may_let_go(self, rules: WindowRules) -> bool:
        """Say whether fragments may be given out of hand: not for ever, so that healing ends."""
        return not self.crowded and self.let_go.rounds < rules.max_rounds

    def _ask_for_the_rest(
        self, now_ms: int, rules: WindowRules, checked: int | None
    ) -> Event | None:
        """Have S3 looked through for what no window waits for, once the run has gone silent."""
        rest = self._rest()
        if not rest or now_ms - self.touched_ms < rules.idle_ms:
            self.asked_ms = None
            return None
        start_ms, _ = self.lengths.window(self.end.ended_ms if self.end else self.watermark_ms)
        if self.crowded or (checked == start_ms and self.asked_ms is not None):
            self.settled |= SeqRanges(rest)
            self.asked_ms = None
            return None
        if self.asked_ms is not None and now_ms - self.asked_ms < rules.heal_retry_ms:
            return None
        if not self._has_room(now_ms, rules):
            return None
        self.asked_ms = now_ms
        first = rest[0][0]
        return self._heal(start_ms, first - 1, None, MAX_SEQ)

    def _heal(
        self, window_start_ms: int, after_seq: int, before_seq: int | None, until: int
    ) -> HealRequested:
        """Ask for what nobody accounted for: what is settled was looked for, or is too old."""
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

    def _seal(self, window: Window, reason: DueReason, rules: WindowRules) -> ChunkDue:
        gaps = self._gaps(window)
        assert self.form is not None, "a window has a fragment"
        self._sealed(window, gaps, rules)
        return ChunkDue(
            camera=self.camera,
            run=self.run,
            window_start_ms=window.start_ms,
            window_ms=window.length_ms,
            reason=reason,
            form=self.form,
            fragments=[window.fragments[seq].ref() for seq in sorted(window.fragments)],
            gaps=gaps,
        )

    def seal(self, start_ms: int, reason: DueReason, rules: WindowRules) -> ChunkDue:
        """Seal one window as it stands, for want of room; what comes later is late."""
        return self._seal(self.windows[start_ms], reason, rules)

    def seal_all(self, rules: WindowRules) -> list[Event]:
        """Seal what is open as it stands; what comes later is late for a forgotten run."""
        return [self.seal(start_ms, "idle", rules) for start_ms in sorted(self.windows)]

"""A small world round CameraWindows: recorders, a lossy queue, S3, a healer, and a naive oracle.

    recorder ── PUT ──► S3 ◄── lists ── healer ◄── HealRequested ─┐
        └── notice ──► queue (late, twice, never) ──► log ──► CameraWindows ──► ChunkDue
                                                       ▲  └ ticks
    the oracle knows what was recorded, what was handed over, and what must follow from it

The state goes through JSON at each step, as it does in the table. Each step is done twice from
the same state: a crash between the decision and the table must not change the decision.
"""

import heapq
import json
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from domain.camera_windows import CameraWindows
from domain.events import (
    CameraConfigured,
    ChunkDue,
    Event,
    FragmentArrived,
    Healed,
    HealRequested,
    RunEnded,
    VideoForm,
    encode,
    parse,
)
from domain.seqs import SeqRanges
from domain.windows import WindowRules
from tests.unit.domain.footage import CAMERA, T0_MS

RULES = WindowRules(
    window_ms=12_000, grace_ms=6_000, idle_ms=20_000, late_ms=3_000, heal_retry_ms=9_000
)
TICK_MS = 4_000


MOST_EVENTS = 5_000
"""Worlds that end play some hundred events."""


@dataclass(frozen=True)
class Shot:
    """One fragment as it was recorded, and its way."""

    event: FragmentArrived
    put_ms: int | None
    """When it was stored in S3; None: never."""
    notices_ms: tuple[int, ...]
    """When its notice came out of the queue: not once, once or more often."""
    given_up: bool = False


@dataclass(frozen=True)
class Recording:
    """One run with all its shots, in order."""

    run: str
    shots: tuple[Shot, ...]
    end: RunEnded | None = None
    end_put_ms: int = 0
    end_notices_ms: tuple[int, ...] = ()


@dataclass
class World:
    """Runs recordings through CameraWindows and keeps the books."""

    recordings: list[Recording]
    rules: WindowRules = RULES
    configured: tuple[tuple[int, CameraConfigured], ...] = ()
    """When the camera is configured, and how."""
    heal_ms: int = 1_000
    """How long the healer takes."""
    heal_twice: bool = False
    """Whether the healer crashes after each answer, and gives it again."""
    snapshot: Any = None
    arrived: dict[str, set[int]] = field(default_factory=dict)
    ends_reported: set[str] = field(default_factory=set)
    firsts: Counter[tuple[str, int]] = field(default_factory=Counter)
    lates: Counter[tuple[str, int]] = field(default_factory=Counter)
    gaps: Counter[tuple[str, int]] = field(default_factory=Counter)
    dues: list[ChunkDue] = field(default_factory=list)
    requests: list[HealRequested] = field(default_factory=list)
    folds: bool = False
    """Whether the rules make a run forget old ranges: a duplicate may then come late."""
    evicts: bool = False
    """Whether the rules seal windows early: then gaps may be reported too soon."""
    _queue: list[tuple[int, int, Any]] = field(default_factory=list)
    _count: int = 0

    def windows(self) -> CameraWindows:
        """Return the state as the table gives it back."""
        return CameraWindows.restore(CAMERA, self.rules, json.loads(json.dumps(self.snapshot)))

    def play(self) -> "World":
        """Play everything, then let time pass until all must be settled."""
        for at_ms, configured in self.configured:
            self._put(at_ms, configured)
        for each in self.recordings:
            for shot in each.shots:
                for at_ms in shot.notices_ms:
                    self._put(at_ms, shot.event)
            if each.end is not None:
                for at_ms in each.end_notices_ms:
                    self._put(at_ms, each.end)
        now_ms = T0_MS
        quiet_until = max([at_ms for at_ms, _, _ in self._queue], default=T0_MS)
        while now_ms < quiet_until or self._queue:
            while self._queue and self._queue[0][0] <= now_ms:
                _, _, event = heapq.heappop(self._queue)
                self._step(event, now_ms)
                assert self._count < MOST_EVENTS, "healing ends"
                rounds = 4 * (self.rules.idle_ms + self.rules.heal_retry_ms + self.heal_ms)
                quiet_until = max(quiet_until, now_ms + rounds)
            now_ms += TICK_MS
            self._step(None, now_ms)
        return self

    def _put(self, at_ms: int, event: Any) -> None:
        self._count += 1
        heapq.heappush(self._queue, (at_ms, self._count, event))

    def _apply(self, event: Any, now_ms: int) -> tuple[str, list[Event], Any]:
        windows = self.windows()
        was = ""
        match event:
            case None:
                decided = windows.on_tick(now_ms)
            case FragmentArrived():
                was, decided = windows.on_fragment(event, now_ms)
            case RunEnded():
                decided = windows.on_run_ended(event, now_ms)
            case CameraConfigured():
                windows.on_configured(event)
                decided = []
            case Healed():
                decided = windows.on_healed(event.run, event.window_start_ms, now_ms)
            case _:
                raise AssertionError(event)
        return was, decided, json.loads(json.dumps(windows.snapshot()))

    def _step(self, event: Any, now_ms: int) -> None:
        was, decided, after = self._apply(event, now_ms)
        if event is not None or decided:
            assert (was, decided, after) == self._apply(event, now_ms), (
                "the same again decides else"
            )
        if isinstance(event, FragmentArrived):
            seen = self.arrived.setdefault(event.run, set())
            if event.seq in seen and not (self.folds or self.evicts):
                assert was == "duplicate", was
            if was == "duplicate":
                assert event.seq in seen
                assert decided == []
                assert after == (self.snapshot or {})
            else:
                assert was in {"new", "late"}
                seen.add(event.seq)
        if isinstance(event, RunEnded):
            self.ends_reported.add(event.run)
        self.snapshot = after
        for each in decided:
            assert parse(encode(each)) == each, "what is sent can be read"
            if isinstance(each, ChunkDue):
                self._note(each)
            else:
                assert isinstance(each, HealRequested)
                self.requests.append(each)
                for answer in (1, 2) if self.heal_twice else (1,):
                    self._answer(each, now_ms + answer * self.heal_ms)
        if event is not None or decided:
            self._check_bounds()

    def _answer(self, request: HealRequested, at_ms: int) -> None:
        """List S3 at `at_ms`, and send the fragments that the request does not know."""
        (recording,) = (each for each in self.recordings if each.run == request.run)
        known = SeqRanges(request.known)
        state = self.windows().runs.get(request.run)
        settled = set(state.settled) if state is not None else set()
        assert set(known) <= self.arrived.get(request.run, set()) | settled
        before = 1 << 60 if request.before_seq is None else request.before_seq
        found = [
            shot.event
            for shot in recording.shots
            if request.after_seq < shot.event.seq < before
            and shot.event.seq not in known
            and shot.put_ms is not None
            and shot.put_ms <= at_ms
        ]
        for event in found:
            self._put(at_ms, event)
        if request.before_seq is None and recording.end and recording.end_put_ms <= at_ms:
            self._put(at_ms, recording.end)
        healed = Healed(
            camera=CAMERA,
            run=request.run,
            window_start_ms=request.window_start_ms,
            found=len(found),
        )
        self._put(at_ms, healed)

    def _note(self, due: ChunkDue) -> None:
        self.dues.append(due)
        seqs = [each.seq for each in due.fragments]
        assert seqs == sorted(set(seqs))
        (recording,) = (each for each in self.recordings if each.run == due.run)
        sent = {shot.event.seq: shot for shot in recording.shots}
        for each in due.fragments:
            event = sent[each.seq].event
            assert each.seq in self.arrived[due.run], "only what arrived is joined"
            assert each.model_dump(exclude={"form"}) == {
                name: getattr(event, name) for name in type(each).model_fields if name != "form"
            }
            assert (each.form or due.form) == VideoForm.of(event)
            assert 0 <= each.start_ms - due.window_start_ms < due.window_ms
            (self.lates if due.reason == "late" else self.firsts)[due.run, each.seq] += 1
        for gap in due.gaps:
            assert gap.from_ms <= gap.to_ms
            for seq in range(gap.first_seq, gap.last_seq + 1):
                assert seq not in self.arrived[due.run] or self.evicts, "a gap is missing"
                self.gaps[due.run, seq] += 1
        if due.reason in {"complete", "run-ended"}:
            self._check_proof(due, recording)

    def _check_proof(self, due: ChunkDue, recording: Recording) -> None:
        """Proof is proof: nothing that was recorded for the window is missing."""
        for shot in recording.shots:
            inside = 0 <= shot.event.start_ms - due.window_start_ms < due.window_ms
            if inside and not shot.given_up:
                key = (due.run, shot.event.seq)
                assert self.firsts[key] + self.lates[key], f"{key} misses in {due}"

    def _check_bounds(self) -> None:
        windows = self.windows()
        rules = self.rules
        assert len(windows.runs) <= rules.max_runs
        held = [
            len(each.fragments) for run in windows.runs.values() for each in run.windows.values()
        ]
        assert sum(held) <= rules.max_open_fragments
        for run in windows.runs.values():
            most = rules.max_ranges * (1 if run.evicted.last_seq < 0 else rules.max_runs)
            for ranges in (run.joined, run.settled, run.sealed):
                assert len(ranges.ranges) <= most + len(run.windows) + 1
            assert len(run.ends) == len(run.joined.ranges)

    # -- what must hold at the end

    def check(self) -> None:
        """Compare the output with the input."""
        assert self.windows().open_windows == 0, "after enough silence nothing stays open"
        for recording in self.recordings:
            self._check_run(recording)

    def _check_run(self, recording: Recording) -> None:
        run = recording.run
        arrived = self.arrived.get(run, set())
        spans = sorted(
            {(due.window_start_ms, due.window_ms) for due in self.dues if due.run == run}
        )
        for (start_ms, length_ms), (next_ms, _) in pairwise(spans):
            assert start_ms + length_ms <= next_ms, "windows are the same or apart"
        joined = {seq for each, seq in (*self.firsts, *self.lates) if each == run}
        assert joined == arrived, "the chunks hold what arrived, all of it and no more"
        if self.evicts:
            return
        for seq in arrived if not self.folds else ():
            assert self.firsts[run, seq] + self.lates[run, seq] == 1, f"{seq} is in one chunk"
        in_s3 = {shot.event.seq for shot in recording.shots if shot.put_ms is not None}
        if arrived or run in self.ends_reported:
            heard = {shot.event.seq for shot in recording.shots if shot.notices_ms}
            assert heard <= arrived
        top = max(arrived, default=-1)
        if run in self.ends_reported and recording.end is not None:
            assert in_s3 <= arrived, "what is in S3 is healed"
        else:
            assert {seq for seq in in_s3 if seq < top} <= arrived
        for seq in range(top):
            reports = self.gaps[run, seq]
            assert reports <= 1, f"{seq} is reported missing once"
            assert seq in arrived or reports == 1, f"{seq} is missing without a report"
        beyond = [self.gaps[run, seq] for seq in range(top + 1, len(recording.shots))]
        assert len(set(beyond)) <= 1, "what is missing at the end is one gap"
        assert set(beyond) <= {0, 1}

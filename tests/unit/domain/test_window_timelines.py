"""When a chunk is due, as timelines that can be read.

Fragments are 4 s long and windows 12 s:   seq     0   1   2 | 3   4   5 | 6   7   8 | 9
                                           window  [-- w0 --)[-- w1 --)[-- w2 --)[-- w3 …

A timeline is a row of words:
    5        fragment 5 is heard of
    +9  ~9   nine seconds of silence, then a tick · the same without a tick
    end8     the run ended with seq 8 · end8-7,8: and of it 7 and 8 were given up
    ok       the healer answers what it was asked last, having found nothing
"""

import json
import re
from dataclasses import replace

import pytest

from domain.camera_windows import CameraWindows
from domain.errors import ConfigError
from domain.events import ChunkDue, Event, HealRequested
from domain.seqs import SeqRanges
from domain.windows import WindowRules
from tests.unit.domain.footage import CAMERA, RUN, T0_MS, fragment, run_ended, run_id

RULES = WindowRules(
    window_ms=12_000, grace_ms=6_000, idle_ms=20_000, late_ms=3_000, heal_retry_ms=9_000
)


def written(seqs: SeqRanges) -> str:
    return ",".join(f"{low}" if low == high else f"{low}-{high}" for low, high in seqs.ranges)


def line_of(event: Event) -> str:
    """Return an event in a few words: `w1 grace 3,5 gap 4`, `heal w1 2<..<9`."""
    if isinstance(event, HealRequested):
        index = (event.window_start_ms - T0_MS) // RULES.window_ms
        before = "" if event.before_seq is None else f"<{event.before_seq}"
        return f"heal w{index} {event.after_seq}<..{before}"
    assert isinstance(event, ChunkDue)
    index = (event.window_start_ms - T0_MS) // RULES.window_ms
    text = f"w{index} {event.reason} {written(SeqRanges.of(f.seq for f in event.fragments))}"
    gaps = [written(SeqRanges([(gap.first_seq, gap.last_seq)])) for gap in event.gaps]
    return text + (f" gap {' '.join(gaps)}" if gaps else "")


def play(timeline: str, rules: WindowRules = RULES) -> list[str]:
    """Play a timeline through the table's JSON; each word takes 100 ms of log time."""
    now_ms, snapshot, lines = T0_MS, None, []
    asked: HealRequested | None = None
    for word in timeline.split():
        windows = CameraWindows.restore(CAMERA, rules, snapshot)
        now_ms += 100
        if word.isdigit():
            decided = windows.on_fragment(fragment(int(word)), now_ms)[1]
        elif word.startswith("~"):
            now_ms += int(word[1:]) * 1_000
            continue
        elif word.startswith("+"):
            now_ms += int(word[1:]) * 1_000
            decided = windows.on_tick(now_ms)
        elif match := re.fullmatch(r"end(\d+)(?:-([\d,]+))?", word):
            given_up = [(int(each),) * 2 for each in match[2].split(",")] if match[2] else []
            decided = windows.on_run_ended(run_ended(int(match[1]), given_up=given_up), now_ms)
        else:
            assert word == "ok" and asked is not None, word
            decided = windows.on_healed(RUN, asked.window_start_ms, now_ms)
        snapshot = json.loads(json.dumps(windows.snapshot()))
        lines += [line_of(event) for event in decided]
        asked = next((e for e in reversed(decided) if isinstance(e, HealRequested)), asked)
    return lines


PROOF = [
    ("the next window completes one", "0 1 2 3", ["w0 complete 0-2"]),
    ("a full window waits for the run to go on", "0 1 2", []),
    ("order does not matter", "3 1 0 2", ["w0 complete 0-2"]),
    ("one missing in the middle holds its window back", "0 2 3", []),
    ("one missing at the border holds both back", "0 1 3 4 5 6", []),
    (
        "the run's end completes its last window",
        "0 1 2 3 4 end4",
        ["w0 complete 0-2", "w1 run-ended 3-4"],
    ),
    ("the end may come first", "end1 1 0", ["w0 run-ended 0-1"]),
    ("the end may come before the middle", "0 end2 2 1", ["w0 run-ended 0-2"]),
    (
        "what was given up is a gap, and no window waits for it",
        "0 2 3 4 end4-1",
        ["w0 complete 0,2 gap 1", "w1 run-ended 3-4"],
    ),
    (
        "the next window reports a whole window given up",
        "0 1 2 6 end6-3,4,5",
        ["w0 complete 0-2", "w2 run-ended 6 gap 3-5"],
    ),
    ("given up at the end", "0 1 end2-2", ["w0 run-ended 0-1 gap 2"]),
    ("an end that is wrong proves nothing", "0 1 2 3 5 end3", ["w0 complete 0-2"]),
    ("all given up: no chunk reports it, only the run's end", "end0-0 +20", []),
]
GRACE = [
    (
        "the healer is asked first",
        "0 2 3 4 5 6 7 +3",
        ["w1 complete 3-5", "heal w0 -1<..<3"],
    ),
    (
        "when it has answered, the window is sealed with its gap",
        "0 2 3 4 5 6 7 +3 ok",
        ["w1 complete 3-5", "heal w0 -1<..<3", "w0 grace 0,2 gap 1"],
    ),
    ("a window that is being filled is left alone", "0 3 4 5 6 7 2 +1", ["w1 complete 3-5"]),
    (
        "what the healer found may be the proof",
        "0 2 3 4 5 6 7 +3 1 ok",
        ["w1 complete 3-5", "heal w0 -1<..<3", "w0 complete 0-2"],
    ),
    (
        "it is asked again where no answer comes",
        "0 2 3 4 5 6 7 +3 +8 +1",
        ["w1 complete 3-5", "heal w0 -1<..<3", "heal w0 -1<..<3"],
    ),
    (
        "the later window reports a hole between two; then the healer is not asked",
        "0 1 3 4 5 6 7 8 9 10 +3 ok",
        [
            "w2 complete 6-8",
            "heal w0 -1<..<3",
            "heal w1 1<..<6",
            "w1 grace 3-5 gap 2",
            "w0 grace 0-1",
        ],
    ),
    (
        "event time never goes back",
        "7 6 5 4 3 2 0 +3",
        ["w1 complete 3-5", "heal w0 -1<..<3"],
    ),
    (
        "an answer that comes twice changes nothing",
        "0 2 3 4 5 6 7 +3 ok ok 8 ok",
        ["w1 complete 3-5", "heal w0 -1<..<3", "w0 grace 0,2 gap 1"],
    ),
]
IDLE = [
    ("silence: the healer lists up to the end", "0 1 +20", ["heal w0 -1<.."]),
    ("its answer seals", "0 1 +20 ok", ["heal w0 -1<..", "w0 idle 0-1"]),
    ("a missing start is a gap", "2 +20 ok", ["heal w0 -1<..", "w0 idle 2 gap 0-1"]),
    ("ended, with a hole", "0 2 end2 +20 ok", ["heal w0 -1<..", "w0 idle 0,2 gap 1"]),
    (
        "an answer from before the last news does not count",
        "0 1 +20 4 ~20 ok",
        ["heal w0 -1<..", "heal w0 -1<..<4", "heal w1 1<.."],
    ),
    (
        "an end heard of again does not break the silence",
        "0 2 end2 +19 end2 +1 end2 ok",
        ["heal w0 -1<..", "w0 idle 0,2 gap 1"],
    ),
]
THE_END_ALONE = [
    ("nothing but the end was heard of", "end1 +20 ok +9 +20", ["heal w0 -1<.."]),
    (
        "an answer from before the last news does not count",
        "end0 +20 end1 ~20 ok",
        ["heal w0 -1<..", "heal w0 -1<.."],
    ),
    ("asked again until answered", "end1 +20 +9", ["heal w0 -1<..", "heal w0 -1<.."]),
    (
        "the end has more seqs than were sealed",
        "0 1 +20 ok end3 +20 ok +9",
        ["heal w0 -1<..", "w0 idle 0-1", "heal w1 1<.."],
    ),
    ("and the healer finds it", "end1 +20 0 1 ok", ["heal w0 -1<..", "w0 run-ended 0-1"]),
]
LATE = [
    (
        "a late one makes a revision once its window is quiet",
        "0 1 +20 ok 2 +2 +1",
        ["heal w0 -1<..", "w0 idle 0-1", "w0 late 2"],
    ),
    (
        "many late ones make one revision",
        "0 +20 ok 2 1 +2 2 3 +3",
        ["heal w0 -1<..", "w0 idle 0", "w0 late 1-2"],
    ),
    (
        "if more is missing the healer is asked, and the gap reported",
        "0 +20 ok 2 3 4 5 6 +3 ok",
        ["heal w0 -1<..", "w0 idle 0", "w1 complete 3-5", "heal w0 0<..<3", "w0 late 2 gap 1"],
    ),
    (
        "what it found is gathered too",
        "0 +20 ok 2 3 4 5 6 +3 1 ok +3",
        ["heal w0 -1<..", "w0 idle 0", "w1 complete 3-5", "heal w0 0<..<3", "w0 late 1-2"],
    ),
    (
        "one sealed as missing that comes after all",
        "0 2 3 4 5 6 7 +3 ok 1 +3",
        ["w1 complete 3-5", "heal w0 -1<..<3", "w0 grace 0,2 gap 1", "w0 late 1"],
    ),
    (
        "a whole window sealed as missing comes after all, as one chunk",
        "3 4 +20 ok 1 0 2 +3",
        ["heal w1 -1<..", "w1 idle 3-4 gap 0-2", "w0 late 0-2"],
    ),
]
DUPLICATES = [
    ("of an open window", "0 0 1 2 2 3", ["w0 complete 0-2"]),
    ("of a sealed window", "0 1 2 3 1 2 0 +9", ["w0 complete 0-2"]),
]


@pytest.mark.parametrize(
    ("timeline", "expected"),
    [
        pytest.param(timeline, expected, id=f"{rule}: {why}")
        for rule, cases in {
            "proof": PROOF,
            "grace": GRACE,
            "idle": IDLE,
            "end alone": THE_END_ALONE,
            "late": LATE,
            "duplicate": DUPLICATES,
        }.items()
        for why, timeline, expected in cases
    ],
)
def test_timeline(timeline: str, expected: list[str]) -> None:
    assert play(timeline) == expected


def test_gap_says_from_when_to_when_and_why() -> None:
    windows = CameraWindows(CAMERA, RULES)
    for seq in (0, 2):
        windows.on_fragment(fragment(seq), T0_MS)
    (due,) = windows.on_run_ended(run_ended(3, given_up=[(1, 1), (3, 3)]), T0_MS)
    assert isinstance(due, ChunkDue)
    assert [gap.model_dump() for gap in due.gaps] == [
        {
            "from_ms": T0_MS + first * 4_000,
            "to_ms": T0_MS + (first + 1) * 4_000,
            "first_seq": first,
            "last_seq": first,
            "reason": "given up by the edge's spool",
        }
        for first in (1, 3)
    ]


def test_gap_before_the_first_fragment_begins_with_the_run() -> None:
    windows = CameraWindows(CAMERA, RULES)
    windows.on_fragment(fragment(2), T0_MS)
    windows.on_tick(T0_MS + 20_000)
    (due,) = windows.on_healed(RUN, T0_MS, T0_MS + 20_000)
    assert isinstance(due, ChunkDue)
    (gap,) = due.gaps
    assert (gap.from_ms, gap.to_ms) == (T0_MS, T0_MS + 8_000)
    assert gap.reason == "never arrived in the cloud"


def test_gap_is_empty_where_the_footage_around_it_overlaps() -> None:
    run = run_id(started_ms=T0_MS + 9_000)  # later than its first fragment begins
    windows = CameraWindows(CAMERA, RULES)
    windows.on_fragment(fragment(1, run=run), T0_MS)
    (due,) = windows.on_run_ended(run_ended(1, run=run, given_up=[(0, 0)]), T0_MS)
    assert isinstance(due, ChunkDue)
    assert [(gap.from_ms, gap.to_ms) for gap in due.gaps] == [(T0_MS + 4_000, T0_MS + 4_000)]


def test_gap_between_windows_begins_where_the_sealed_one_ended() -> None:
    windows = CameraWindows(CAMERA, RULES)
    for seq in (0, 1):
        windows.on_fragment(fragment(seq), T0_MS)
    windows.on_tick(T0_MS + 20_000)
    windows.on_healed(RUN, T0_MS, T0_MS + 20_000)
    windows.on_fragment(fragment(5), T0_MS + 21_000)
    (due,) = windows.on_run_ended(run_ended(5, given_up=[(2, 3), (4, 4)]), T0_MS + 21_000)
    assert isinstance(due, ChunkDue)
    assert [(gap.from_ms, gap.to_ms, gap.first_seq, gap.last_seq) for gap in due.gaps] == [
        (T0_MS + 8_000, T0_MS + 20_000, 2, 4)
    ]


def test_a_run_is_forgotten_once_it_is_whole_and_silent() -> None:
    windows = CameraWindows(CAMERA, RULES)
    windows.on_fragment(fragment(0), T0_MS)
    windows.on_run_ended(run_ended(0), T0_MS)
    windows.on_tick(T0_MS + RULES.forget_ended_ms - 1)
    assert windows
    windows.on_tick(T0_MS + RULES.forget_ended_ms)
    assert not windows
    assert windows.snapshot() == {}


def test_a_run_with_a_hole_is_remembered_for_long() -> None:
    windows = CameraWindows(CAMERA, RULES)
    windows.on_fragment(fragment(1), T0_MS)
    windows.on_run_ended(run_ended(1), T0_MS)
    windows.on_tick(T0_MS + 20_000)
    windows.on_healed(RUN, T0_MS, T0_MS + 20_000)
    assert windows.open_windows == 0
    windows.on_tick(T0_MS + RULES.forget_silent_ms - 1)
    assert windows
    assert windows.on_fragment(fragment(0), T0_MS + RULES.forget_silent_ms - 1)[0] == "late"


def test_a_window_that_holds_too_many_refuses() -> None:
    windows = CameraWindows(CAMERA, replace(RULES, max_window_fragments=2))
    was = [windows.on_fragment(fragment(seq), T0_MS)[0] for seq in (0, 1, 2, 3)]
    assert was == ["new", "new", "refused", "new"]


def test_too_many_open_fragments_let_the_longest_quiet_window_go_and_ask_for_it_later() -> None:
    windows = CameraWindows(CAMERA, replace(RULES, max_open_fragments=3, max_window_fragments=3))
    for at, seq in enumerate((1, 4, 7, 10)):
        assert windows.on_fragment(fragment(seq), T0_MS + at) == ("new", [])
    assert (windows.open_windows, windows.runs[RUN].evicted.last_seq) == (2, 4)
    assert windows.on_fragment(fragment(13), T0_MS + RULES.late_ms)[1] == []
    windows = CameraWindows.restore(
        CAMERA, windows.rules, json.loads(json.dumps(windows.snapshot()))
    )
    asked = [line_of(event) for event in windows.on_tick(T0_MS + 2 * RULES.late_ms)]
    assert asked == ["heal w2 -1<..<10"]
    assert windows.on_fragment(fragment(1), T0_MS + 2 * RULES.late_ms)[0] == "new"


def test_the_healer_is_asked_for_evicted_fragments_without_open_windows() -> None:
    windows = CameraWindows(CAMERA, replace(RULES, max_open_fragments=1, max_window_fragments=1))
    for seq in (2, 3):
        assert windows.on_fragment(fragment(seq), T0_MS) == ("new", [])
    assert [*windows.runs[RUN].window_starts] == [3]
    windows.on_tick(T0_MS + 20_000)
    (sealed, *_), asked = windows.on_healed(RUN, T0_MS + 12_000, T0_MS + 20_000), []
    assert line_of(sealed) == "w1 idle 3 gap 0-2"
    assert windows.on_tick(T0_MS + 40_000) == asked, (
        "it was reported as missing: no window waits for it"
    )


def test_a_run_with_too_many_evictions_seals_its_longest_quiet_window_as_it_is() -> None:
    windows = CameraWindows(
        CAMERA, replace(RULES, max_open_fragments=3, max_window_fragments=3, max_rounds=0)
    )
    lines = []
    for at, seq in enumerate((1, 4, 7, 10)):
        lines += [line_of(event) for event in windows.on_fragment(fragment(seq), T0_MS + at)[1]]
    assert lines == ["w0 grace 1 gap 0"]
    assert windows.open_windows == 3


def test_an_evicted_fragment_is_waited_for_although_a_window_over_the_limit_reports_it() -> None:
    """seq 0 1 . | 3 end: 3 is evicted, then 0 1 are sealed over a limit, then S3's list has 3."""
    windows = CameraWindows(CAMERA, RULES)
    for seq in (0, 1, 3):
        windows.on_fragment(fragment(seq), T0_MS)
    windows.on_run_ended(run_ended(3), T0_MS)
    run = windows.runs[RUN]
    run.evict(run.windows[T0_MS + 12_000], T0_MS)
    due = run.seal(T0_MS, "grace", RULES)
    assert [(gap.first_seq, gap.last_seq) for gap in due.gaps] == [(2, 3)]
    assert 3 not in run.settled
    request = next(
        event
        for second in range(0, 600, 10)
        for event in windows.on_tick(T0_MS + second * 1_000)
        if isinstance(event, HealRequested)
    )
    assert 3 not in SeqRanges(request.known)
    was, _ = windows.on_fragment(fragment(3), T0_MS + 600_000)
    assert was == "new"


def test_too_many_runs_seal_the_longest_silent_one_that_ended_first() -> None:
    windows = CameraWindows(CAMERA, replace(RULES, max_runs=2))
    windows.on_fragment(fragment(0, run=run_id(1)), T0_MS)
    windows.on_fragment(fragment(0, run=run_id(2)), T0_MS + 1)
    (due,) = windows.on_fragment(fragment(0, run=run_id(3)), T0_MS + 2)[1]
    assert isinstance(due, ChunkDue)
    assert (due.run, line_of(due)) == (run_id(1), "w0 idle 0")
    assert set(windows.runs) == {run_id(2), run_id(3)}


def test_a_run_that_ended_is_forgotten_before_one_that_may_continue() -> None:
    windows = CameraWindows(CAMERA, replace(RULES, max_runs=2))
    windows.on_fragment(fragment(0, run=run_id(1)), T0_MS)
    windows.on_tick(T0_MS + 20_000)
    windows.on_healed(run_id(1), T0_MS, T0_MS + 20_000)
    windows.on_fragment(fragment(0, run=run_id(2)), T0_MS + 20_000)
    windows.on_run_ended(run_ended(0, run=run_id(2)), T0_MS + 20_000)
    assert windows.open_windows == 0
    assert windows.on_fragment(fragment(0, run=run_id(3)), T0_MS + 20_001)[1] == []
    assert set(windows.runs) == {run_id(1), run_id(3)}


def test_old_ranges_are_folded_but_never_beyond_what_is_waited_for() -> None:
    windows = CameraWindows(CAMERA, replace(RULES, max_ranges=2))
    now_ms = T0_MS
    for seq in (0, 3, 4, 6, 9, 10, 12, 15, 16, 18):  # one hole in each window
        windows.on_fragment(fragment(seq), now_ms)
    lines: list[str] = []
    for _ in range(12):
        now_ms += 4_000
        for event in windows.on_tick(now_ms):
            if isinstance(event, HealRequested):
                answer = windows.on_healed(RUN, event.window_start_ms, now_ms)
                lines += [line_of(each) for each in answer]
    state = windows.runs[RUN]
    assert windows.open_windows == 0
    assert len(state.joined.ranges) <= 2
    gaps = [seq for line in lines for seq in re.findall(r"gap (.*)", line)]
    assert " ".join(gaps).split() == ["1-2", "5", "7-8", "11", "13-14", "17"]
    assert windows.on_fragment(fragment(0), now_ms)[0] == "late", "forgotten: S3 knows better"
    assert windows.on_fragment(fragment(18), now_ms)[0] == "duplicate"


def test_a_window_that_lacks_a_seq_is_not_complete_however_many_are_sealed_after_it() -> None:
    """w1 is sealed without 3, then w3 and w5. With 5 and 6 it still lacks 3: 5 is late."""
    timeline = "1 2 4 7 8 +3 ok 9 10 11 12 14 15 16 17 18 6 5 +3"
    assert play(timeline, replace(RULES, max_ranges=2)) == [
        *("heal w0 -1<..<4", "heal w1 2<..<7", "w1 grace 4 gap 3"),
        *("w3 complete 9-11", "w5 complete 15-17", "w2 complete 6-8"),
        *("w1 late 5", "heal w4 11<..<15"),
    ]


def test_the_largest_state_fits_into_one_kafka_message() -> None:
    rules = WindowRules()
    windows = CameraWindows(CAMERA, rules)
    share = rules.max_open_fragments // rules.max_runs
    for at in range(share):
        event = fragment(
            90_000_000 + 2 * at,
            start_ms=T0_MS + at * rules.window_ms,
            start_pts=-(1 << 61),
            size_bytes=1 << 31,
        )
        windows.on_fragment(event, T0_MS)
    windows.on_run_ended(run_ended(99_999_999, reason="x" * 500), T0_MS)
    run = windows.runs[RUN]
    assert len(run.windows) == share
    spread = [80_000_000 + 2 * at for at in range(rules.max_ranges)]
    run.joined = run.settled = SeqRanges.of(spread)
    run.sealed = SeqRanges(
        (T0_MS // 1_000 + 120 * at, T0_MS // 1_000 + 120 * at + 59)
        for at in range(rules.max_ranges)
    )
    run.ends = dict.fromkeys(spread, T0_MS)
    assert run.end is not None
    run.end = replace(run.end, given_up=SeqRanges.of(spread))
    one_run = json.dumps(windows.snapshot(), separators=(",", ":"))
    assert len(one_run) * rules.max_runs < 1_000_000


def test_no_more_of_what_the_spool_gave_up_is_kept_than_the_rules_allow() -> None:
    windows = CameraWindows(CAMERA, replace(RULES, max_ranges=3))
    windows.on_run_ended(run_ended(19, given_up=[(seq, seq) for seq in range(0, 20, 2)]), T0_MS)
    end = windows.runs[RUN].end
    assert end is not None
    assert list(end.given_up) == [14, 16, 18], "the newest"


def test_a_window_must_fit_into_what_a_camera_may_hold() -> None:
    with pytest.raises(ConfigError, match="at most"):
        WindowRules(max_open_fragments=2_999)


def test_window_lengths_are_whole_seconds() -> None:
    with pytest.raises(ConfigError, match="whole seconds"):
        WindowRules(window_ms=1_500)

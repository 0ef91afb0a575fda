"""Whatever the queue, the spool and S3 do to a camera's fragments, the chunks come out right."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.events import CameraConfigured
from domain.window_lengths import WindowLengths
from domain.windows import WindowRules
from tests.unit.domain.footage import T0_MS, configured, fragment, run_ended, run_id
from tests.unit.domain.world import RULES, Recording, Shot, World

TIGHT = replace(RULES, max_open_fragments=7, max_window_fragments=7, max_rounds=2, max_ranges=2)
DURATIONS = st.sampled_from([2_000, 3_000, 4_000, 4_000, 7_000, 13_000, 45_000])
DELAYS = st.one_of(
    st.just(100), st.integers(0, 3_000), st.integers(0, 40_000), st.integers(0, 200_000)
)
FORMS = st.sampled_from(
    [{}] * 6 + [{"audio_codec": "aac"}, {"width": 320}, {"video_codec": "hevc"}]
)
"""Most fragments have the usual tracks: some runs change them."""
FATES = st.sampled_from(["once"] * 6 + ["twice", "unheard", "unheard", "given up", "lost"])


@st.composite
def recordings(draw: st.DrawFn, number: int, *, faultless: bool = False) -> Recording:
    """Draw a run: what was recorded, and what became of each fragment of it."""
    at_ms = T0_MS + draw(st.integers(0, 30_000))
    run = run_id(number, at_ms)
    durations = DURATIONS.filter(lambda ms: ms < RULES.idle_ms) if faultless else DURATIONS
    steady = draw(st.one_of(st.none(), durations))
    shots: list[Shot] = []
    end_known = faultless or draw(
        st.sampled_from(["reported", "reported", "twice", "unheard", "never"])
    )
    for seq in range(draw(st.integers(0 if end_known != "never" else 1, 24))):
        duration_ms = steady or draw(durations)
        form = draw(FORMS)
        event = fragment(seq, run=run, start_ms=at_ms, duration_ms=duration_ms, **form)
        at_ms += duration_ms
        put_ms = at_ms + 50
        match "once" if faultless else draw(FATES):
            case "once":
                delay_ms = 100 if faultless else draw(DELAYS)
                shots.append(Shot(event, put_ms, (put_ms + delay_ms,)))
            case "twice":
                shots.append(Shot(event, put_ms, (put_ms + draw(DELAYS), put_ms + draw(DELAYS))))
            case "unheard":
                shots.append(Shot(event, put_ms, ()))
            case "given up":
                shots.append(Shot(event, None, (), given_up=end_known != "never"))
            case "lost":
                shots.append(Shot(event, None, ()))
    if end_known == "never":
        return Recording(run, tuple(shots))
    end = run_ended(
        len(shots) - 1,
        run=run,
        ended_ms=at_ms,
        given_up=[(each.event.seq,) * 2 for each in shots if each.given_up],
    )
    notices = {"reported": 1, "twice": 2, "unheard": 0, True: 1}[end_known]
    notices_ms = tuple(at_ms + 60 + (120 if faultless else draw(DELAYS)) for _ in range(notices))
    return Recording(run, tuple(shots), end, at_ms + 60, notices_ms)


@st.composite
def words_to_the_camera(draw: st.DrawFn) -> tuple[tuple[int, CameraConfigured], ...]:
    """Draw changes of the window's length: in time, too late, more than once, out of order."""
    lengths = WindowLengths.always(draw(st.sampled_from([RULES.window_ms, 4_000])))
    events = []
    for number in range(draw(st.integers(1, 4))):
        border_ms = T0_MS + draw(st.integers(-50_000, 250_000))
        lengths = lengths.changed(
            draw(st.sampled_from([1_000, 4_000, 12_000, 15_000, 24_000])), border_ms
        )
        word = configured(lengths, T0_MS + number, idle_ms=draw(st.sampled_from([5_000, 40_000])))
        for _ in range(draw(st.integers(1, 2))):
            events.append((T0_MS + draw(st.integers(0, 200_000)), word))
    return tuple(events)


@st.composite
def worlds(draw: st.DrawFn, rules: WindowRules = RULES, **flags: bool) -> World:
    runs = [draw(recordings(number)) for number in range(draw(st.integers(1, 3)))]
    return World(
        runs,
        rules,
        heal_ms=draw(st.sampled_from([0, 1_000, 8_000, 30_000])),
        heal_twice=draw(st.booleans()),
        **flags,
    )


@given(worlds())
def test_nothing_is_lost_doubled_or_left_open(world: World) -> None:
    world.play().check()


@given(worlds(), words_to_the_camera())
def test_nothing_is_lost_or_doubled_where_the_length_of_windows_changes(
    world: World, configured: tuple[tuple[int, CameraConfigured], ...]
) -> None:
    replace(world, configured=configured).play().check()


@given(
    st.integers(1, 3).flatmap(
        lambda n: st.tuples(*[recordings(i, faultless=True) for i in range(n)])
    )
)
def test_in_order_and_whole_means_proof_without_healing(runs: tuple[Recording, ...]) -> None:
    world = World(list(runs)).play()
    world.check()
    assert {due.reason for due in world.dues} <= {"complete", "run-ended"}
    assert world.requests == []
    assert not world.gaps
    assert not world.lates


def final_chunks(world: World) -> dict[tuple[str, int, int], tuple[int, ...]]:
    """Return (run, window's start, its length) -> seqs of the last revision."""
    made: dict[tuple[str, int, int], set[int]] = {}
    for due in world.dues:
        window = made.setdefault((due.run, due.window_start_ms, due.window_ms), set())
        window.update(each.seq for each in due.fragments)
    return {window: tuple(sorted(seqs)) for window, seqs in made.items()}


@given(recordings(0, faultless=True), st.data())
def test_any_order_duplication_and_delay_gives_the_chunks_of_the_sorted_set(
    run: Recording, data: st.DataObject
) -> None:
    shots = tuple(
        replace(shot, notices_ms=tuple(shot.notices_ms[0] + delay_ms for delay_ms in delays_ms))
        for shot in run.shots
        for delays_ms in [data.draw(st.lists(DELAYS, min_size=1, max_size=3))]
    )
    assert run.end is not None
    at_ms = run.end_notices_ms[0] + data.draw(DELAYS)
    mixed = World([replace(run, shots=shots, end_notices_ms=(at_ms,))]).play()
    assert final_chunks(mixed) == final_chunks(World([run]).play())


@settings(max_examples=60)
@given(worlds(replace(RULES, max_runs=1), evicts=True))
def test_eviction_over_the_limit_of_runs_loses_nothing(world: World) -> None:
    world.play().check()


@settings(max_examples=60)
@given(worlds(TIGHT, folds=True, evicts=True))
def test_tight_bounds_hold_and_lose_nothing(world: World) -> None:
    world.play().check()


@settings(max_examples=60)
@given(worlds(replace(RULES, max_ranges=2), folds=True))
def test_folding_old_ranges_loses_and_doubles_no_gap(world: World) -> None:
    world.play().check()

"""Rules of updates: releases, rings, windows, rollouts, one device's update, who is behind."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import ConfigError
from domain.fleet.behind import DeviceSituation, SiteUpdatePolicy, why_behind
from domain.fleet.device_update import (
    DeviceProgress,
    RolloutTarget,
    apply_report,
    new_progress,
    sent_back,
    tried_again,
    wanted_release,
)
from domain.fleet.maintenance import is_open, may_begin, window_text
from domain.fleet.messages import (
    DeviceUpdateReport,
    DeviceUpdateState,
    RunningSoftware,
    UpdateProgress,
)
from domain.fleet.release import (
    FleetRelease,
    ReleaseRefusedError,
    SignedRelease,
    check_release,
    default_oldest,
    next_step,
    release_from,
    sign_release,
    verify_release,
)
from domain.fleet.rings import rings_of_sites
from domain.fleet.rollout import (
    RolloutRules,
    RolloutSituation,
    UpdatedDevice,
    decide_rollout,
    fault_of,
)
from domain.site_file.model import MaintenanceWindow, Ring

KEY = Ed25519PrivateKey.generate()
PUBLIC = KEY.public_key().public_bytes_raw()
T0 = 1_795_369_380_000
MIN = 60_000
RULES = RolloutRules()


def release(number: int = 2, *, oldest: int = 1, hardware: str = "x86-64") -> FleetRelease:
    return release_from(
        {
            "number": number,
            "version": f"2.{number}.0",
            "oldest": oldest,
            "targets": {hardware: {"image": f"sha256:{number:064x}"}},
        }
    )


# A release


def test_a_release_is_verified_by_its_key() -> None:
    signed = sign_release(KEY, release())
    assert verify_release(signed, [PUBLIC]) == release()
    other = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    for wrong, trusted, code in (
        (signed, [other], "unknown-key"),
        (signed, [], "unknown-key"),
        (replace(signed, text=release(3).text), [PUBLIC], "forged"),
        (replace(signed, text=signed.text + " "), [PUBLIC], "forged"),
    ):
        with pytest.raises(ReleaseRefusedError) as refused:
            verify_release(wrong, trusted)
        assert refused.value.code == code


@given(st.binary(max_size=200), st.integers(0, 199))
def test_no_changed_text_is_believed(noise: bytes, at: int) -> None:
    signed = sign_release(KEY, release())
    text = signed.text[:at] + noise.decode("latin-1") + signed.text[at + len(noise) :]
    if text == signed.text:
        return
    with pytest.raises(ReleaseRefusedError):
        verify_release(SignedRelease(text, signed.signature), [PUBLIC])


@pytest.mark.parametrize(
    "change",
    [{"number": 0}, {"oldest": 3}, {"targets": {}}, {"version": "a b"}, {"extra": 1},
     {"targets": {"x86-64": {"image": "latest"}}}],
)  # fmt: skip
def test_a_release_that_is_wrong_is_named(change: dict[str, object]) -> None:
    fields = {**release().model_dump(), **change}
    with pytest.raises(ConfigError, match="The release is wrong"):
        release_from(fields)


@pytest.mark.parametrize(
    ("number", "hardware", "running", "floor", "code"),
    [
        (2, "x86-64", 1, 1, None),
        (3, "x86-64", 1, 1, None),
        (1, "x86-64", 3, 1, None),  # a rollback
        (2, "x86-64", None, 1, None),  # installed by the playbook
        (9, "x86-64", 2, 1, None),  # all in between were withdrawn
        (9, "x86-64", 1, 1, "skew"),
        (2, "x86-64", 3, 3, "older"),
        (2, "arm64", 1, 1, "hardware"),
    ],
)
def test_what_a_device_installs(
    number: int, hardware: str, running: int | None, floor: int, code: str | None
) -> None:
    offered = release(number, oldest=2 if number == 9 else 1)
    if code is None:
        assert check_release(offered, hardware, running, floor).image.endswith(str(number))
        return
    with pytest.raises(ReleaseRefusedError) as refused:
        check_release(offered, hardware, running, floor)
    assert refused.value.code == code


@given(
    st.none() | st.integers(1, 20),
    st.dictionaries(st.integers(1, 20), st.integers(0, 5), min_size=1, max_size=20),
)
def test_steps_reach_the_release_or_end(running: int | None, back: dict[int, int]) -> None:
    """Each step is allowed by the device's own check, and comes nearer."""
    usable = {n: release(n, oldest=max(1, n - far)) for n, far in back.items()}
    wanted = usable[max(usable)]
    for _ in range(40):
        step = next_step(running, wanted, usable)
        if step is None or running == wanted.number:
            break
        check_release(usable[step], "x86-64", running, 1)
        assert running is None or running >= wanted.number or running < step
        running = step
    assert running == wanted.number or step is None


def test_the_second_usable_release_before_is_the_oldest() -> None:
    assert default_oldest(1, []) == 1
    assert default_oldest(2, [1]) == 1
    assert default_oldest(4, [1, 2, 3]) == 2
    assert default_oldest(9, [1, 2]) == 1  # 3 to 8 were withdrawn


# Rings


@given(
    st.dictionaries(st.integers(0, 200).map(lambda n: f"acme/s{n}"), st.integers(0, 2)),
    st.integers(1, 1_000),
)
def test_a_tenth_is_early(devices: dict[str, int], number: int) -> None:
    given_rings: dict[str, Ring] = {
        site: ("lab", "canary", "rest", "rest")[at % 4] for at, site in enumerate(sorted(devices))
    }
    rings = rings_of_sites(given_rings, devices, number)
    assert set(rings) == {site for site, count in devices.items() if count}
    for site, ring in rings.items():
        assert ring == given_rings[site] or (given_rings[site], ring) == ("rest", "early")
    late = sum(devices[site] for site, ring in rings.items() if ring in ("early", "rest"))
    early = sum(devices[site] for site, ring in rings.items() if ring == "early")
    assert early * 10 >= late
    assert (early - 2) * 10 < late or not late  # a site may have two devices
    assert rings == rings_of_sites(dict(reversed(given_rings.items())), devices, number)


def test_each_release_draws_other_sites() -> None:
    devices = {f"acme/s{number}": 1 for number in range(50)}
    drawn = [
        {site for site, ring in rings_of_sites({}, devices, number).items() if ring == "early"}
        for number in range(1, 5)
    ]
    assert [len(each) for each in drawn] == [5, 5, 5, 5]
    assert len({frozenset(each) for each in drawn}) == len(drawn)


# Maintenance windows


def window(begin: str = "02:00", end: str = "04:00", days: Sequence[str] = ()) -> MaintenanceWindow:
    fields = {"from": begin, "to": end, **({"days": list(days)} if days else {})}
    return MaintenanceWindow.model_validate(fields)


def at(text: str, zone: str = "Europe/Berlin") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1_000)


@pytest.mark.parametrize(
    ("given_window", "moment", "is_open_then"),
    [
        (window(), "2026-11-30T01:59:59", False),
        (window(), "2026-11-30T02:00:00", True),
        (window(), "2026-11-30T03:59:59", True),
        (window(), "2026-11-30T04:00:00", False),
        (window("22:00", "03:00"), "2026-12-01T02:59:00", True),
        (window("22:00", "03:00", ["mon"]), "2026-12-01T02:59:00", True),  # began on monday
        (window("22:00", "03:00", ["tue"]), "2026-12-01T02:59:00", False),
        (window("00:00", "00:00"), "2026-12-01T12:00:00", True),
        (None, "2026-12-01T12:00:00", True),
    ],
)
def test_when_a_window_is_open(
    given_window: MaintenanceWindow | None, moment: str, is_open_then: bool
) -> None:
    assert is_open(given_window, "Europe/Berlin", at(moment)) == is_open_then


@pytest.mark.parametrize(
    ("day", "minutes"),
    [
        ("2026-10-24", 120),
        ("2026-10-25", 180),  # 02:00 to 03:00 is there twice: winter time begins
        ("2026-03-29", 60),  # 02:00 to 03:00 is left out
        ("2026-03-30", 120),
    ],
)
def test_the_clock_on_the_wall_counts_where_summer_time_changes(day: str, minutes: int) -> None:
    midnight = at(f"{day}T00:00:00")
    opened = [
        minute
        for minute in range(25 * 60)
        if is_open(window(), "Europe/Berlin", midnight + minute * MIN)
    ]
    assert len(opened) == minutes
    assert opened == list(range(opened[0], opened[0] + minutes))


def test_an_install_needs_time_in_the_window() -> None:
    assert may_begin(window(), "Europe/Berlin", at("2026-11-30T03:45:00"))
    assert not may_begin(window(), "Europe/Berlin", at("2026-11-30T03:46:00"))
    assert may_begin(None, "UTC", T0)
    assert window_text(window(), "UTC") == "each day 02:00-04:00 UTC"


# One device


def report(
    state: DeviceUpdateState, *, attempt: int = 1, rollout: int = 1, number: int = 2
) -> DeviceUpdateReport:
    update = UpdateProgress(
        rollout=rollout, attempt=attempt, release=number, state=state, reason="why", since_ms=T0
    )
    return DeviceUpdateReport(hardware="x86-64", running=RunningSoftware(), update=update)


ROLLOUT = RolloutTarget(1, 2, "running", "rest")


def progress(state: DeviceUpdateState = "pending", **more: object) -> DeviceProgress:
    return replace(new_progress("canary", T0), state=state, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("before", "sent", "running", "after"),
    [
        ("pending", report("downloading"), 1, "downloading"),
        ("downloading", report("installing"), 1, "installing"),
        ("checking", report("returned"), 1, "returned"),
        ("checking", report("succeeded"), 2, "succeeded"),
        ("installing", report("installing", attempt=2), 1, "installing"),  # of another try
        ("installing", report("returned", rollout=7), 1, "installing"),  # of another rollout
        ("returned", report("checking"), 1, "returned"),  # a late copy
        ("succeeded", report("returned"), 1, "succeeded"),
        ("pending", report("returned", rollout=7), 2, "succeeded"),  # it had this release already
        ("checking", report("succeeded", number=3), 1, "pending"),  # a step on the way
    ],
)
def test_what_a_report_changes(
    before: DeviceUpdateState,
    sent: DeviceUpdateReport,
    running: int,
    after: DeviceUpdateState,
) -> None:
    changed = apply_report(progress(before), ROLLOUT, sent, running, T0 + 1)
    assert changed.state == after
    assert apply_report(changed, ROLLOUT, sent, running, T0 + 2) == changed


def test_where_it_came_from_is_noted_once() -> None:
    begun = apply_report(progress(), ROLLOUT, report("installing"), 1, T0 + 1)
    assert (begun.came_from, begun.began_ms) == (1, T0 + 1)
    checking = apply_report(begun, ROLLOUT, report("checking"), 1, T0 + 2)
    assert (checking.came_from, checking.began_ms) == (1, T0 + 1)


def test_what_is_wanted() -> None:
    usable = {number: release(number) for number in (1, 2)}
    assert wanted_release(progress(), ROLLOUT, 1, usable).release == 2
    closed = replace(ROLLOUT, ring="lab")
    assert wanted_release(progress(), closed, 1, usable).reason == "the ring canary is not open yet"
    for state in ("paused", "halted"):
        assert wanted_release(progress(), replace(ROLLOUT, state=state), 1, usable).release is None
    assert wanted_release(progress("returned"), ROLLOUT, 1, usable).release is None
    far, newest = replace(ROLLOUT, release=6), release(6, oldest=3)
    assert wanted_release(progress(), far, 1, {6: newest, 2: release(2)}).release == 2
    none = wanted_release(progress(), far, 1, {6: newest})
    assert none.reason.startswith(
        "it runs release 1, 6 follows 3 and later ones, and there is none"
    )
    assert wanted_release(progress(), far, 1, usable).reason == "release 6 is withdrawn"


def test_the_way_back() -> None:
    back = replace(ROLLOUT, state="rolling-back", ring="rest")
    updated = sent_back(progress("succeeded", came_from=1), back, 2, T0)
    assert (updated.state, updated.attempt) == ("pending", 2)
    choice = wanted_release(updated, back, 2, {})
    assert (choice.release, choice.at_once) == (1, True)
    returned = apply_report(updated, back, report("succeeded", attempt=2, number=1), 1, T0)
    assert returned.state == "returned"
    # It was in its health gate when the rollback began, and returns by itself.
    checking = sent_back(progress("checking", came_from=1), back, 1, T0)
    assert apply_report(checking, back, report("checking"), 1, T0) == checking
    assert apply_report(checking, back, report("returned"), 1, T0).state == "returned"
    assert apply_report(checking, back, report("succeeded"), 2, T0) == checking
    assert wanted_release(checking, back, 2, {}).release == 1
    assert sent_back(progress("waiting"), back, 1, T0).state == "refused"
    assert sent_back(progress("succeeded"), back, 2, T0).state == "failed"
    assert sent_back(progress("returned"), back, 1, T0).state == "returned"
    assert tried_again(progress("returned", attempt=4), T0).attempt == 5


def test_why_a_device_is_behind() -> None:
    usable = {number: release(number) for number in (1, 2)}
    always = SiteUpdatePolicy(None, "UTC", None)
    night = SiteUpdatePolicy(window(), "Europe/Berlin", None)
    locked = SiteUpdatePolicy(None, "UTC", "audit")

    def why(**more: object) -> str | None:
        known = DeviceSituation(progress(), 1, always, T0)
        return why_behind(replace(known, **more), ROLLOUT, usable, T0)  # type: ignore[arg-type]

    assert why() == "pending"
    assert why(running=2) is None
    assert why(reported_ms=None) == "it has no update agent, or the agent never answered"
    assert why(reported_ms=T0 - 700_000) == "its update agent has been silent for 11 min"
    assert why(policy=locked) == "updates of its site are locked: audit"
    assert why(policy=night) == (
        "it waits for its maintenance window: each day 02:00-04:00 Europe/Berlin"
    )
    assert why(progress=progress("returned", reason="crashes")) == "returned: crashes"
    assert why(progress=None) == "it gets its ring within a minute"


# A rollout


def device(state: DeviceUpdateState = "succeeded", **more: object) -> UpdatedDevice:
    known = UpdatedDevice(
        "acme/hq/edge-1", "lab", state, began_ms=T0, changed_ms=T0, reported_ms=T0,
        heartbeat_ms=T0, cameras_before=3, cameras_recording=3, spool_before=0, spool_waiting=0,
    )  # fmt: skip
    return replace(known, **more)  # type: ignore[arg-type]


HEARD = {"reported_ms": T0 + 10 * MIN, "heartbeat_ms": T0 + 10 * MIN}


@pytest.mark.parametrize(
    ("seen", "minutes", "fault"),
    [
        (device(), 1, None),
        (device(**HEARD), 10, None),
        (device("returned", reason="it crashes"), 1, "returned: it crashes"),
        (device("refused"), 1, "refused"),
        (device("waiting", reported_ms=None), 600, None),
        (device("checking"), 46, "has been checking for 46 min"),
        (device(), 16, "silent for 16 min after the update began"),
        (device(reported_ms=T0 + 20 * MIN), 20,
         "its recorder has sent no heartbeat for 20 min"),
        (device(cameras_recording=2, **HEARD), 10,
         "records 2 of the 3 cameras that recorded before"),
        (device(cameras_recording=2), 1, None),  # its heartbeat is of before
        (device(spool_waiting=900, spool_oldest_ms=T0 + MIN, **HEARD), 10, None),  # not long yet
        (device(spool_waiting=900, spool_oldest_ms=T0 + MIN, reported_ms=T0 + 40 * MIN,
                heartbeat_ms=T0 + 40 * MIN), 40,
         "its spool grows: 900 fragments wait, the oldest for 39 min"),
        (device(spool_waiting=900, spool_oldest_ms=T0 - MIN, reported_ms=T0 + 40 * MIN,
                heartbeat_ms=T0 + 40 * MIN), 40, None),  # it waited before the update
        (device(), 25 * 60, None),  # it is not watched any more
        (device("succeeded", excused=True, cameras_recording=0, **HEARD), 10, None),
    ],
)  # fmt: skip
def test_what_a_fault_is(seen: UpdatedDevice, minutes: int, fault: str | None) -> None:
    assert fault_of(seen, RULES, T0 + minutes * MIN) == fault


def many(
    ring: Ring, states: dict[DeviceUpdateState, int], reported_ms: int = T0
) -> list[UpdatedDevice]:
    return [
        device(state, ring=ring, device=f"acme/{ring}/{state}-{number}", reported_ms=reported_ms)
        for state, count in states.items()
        for number in range(count)
    ]


@pytest.mark.parametrize(
    ("ring", "soak_min", "devices", "step", "reason"),
    [
        ("lab", None, many("lab", {"pending": 2}), "stay", "lab: 0 of 2 devices succeeded"),
        ("lab", None, many("lab", {"succeeded": 2}), "soak",
         "lab: 2 of 2 devices succeeded; soak time of 60 min began"),
        ("lab", 30, many("lab", {"succeeded": 2}), "stay",
         "lab: 2 of 2 devices succeeded; soaks for 30 min more"),
        ("lab", 60, many("lab", {"succeeded": 2}) + many("canary", {"pending": 1}), "open",
         "lab: 2 of 2 devices succeeded; canary opens"),
        ("lab", 60, many("lab", {"succeeded": 2}) + many("rest", {"pending": 1}), "open",
         "lab: 2 of 2 devices succeeded; rest opens"),
        ("lab", 30, many("lab", {"succeeded": 1, "pending": 1}), "unsoak",
         "lab: 1 of 2 devices succeeded"),
        ("lab", None, many("lab", {"succeeded": 1, "returned": 1}), "halt",
         "1 of 2 devices of lab have a fault after the update (the limit is 0 %): "
         "acme/lab/returned-0: returned"),
        ("rest", None, many("rest", {"succeeded": 18, "returned": 1}), "finish",
         "rest: 18 of 19 devices succeeded"),
        ("rest", None, many("rest", {"succeeded": 18, "returned": 2}), "halt",
         "2 of 20 devices of rest have a fault after the update (the limit is 5 %): "
         "acme/rest/returned-0: returned; acme/rest/returned-1: returned"),
        ("early", None, many("early", {"succeeded": 9, "pending": 1}), "soak",
         "early: 9 of 10 devices succeeded; soak time of 1440 min began"),
        ("lab", None, many("lab", {"pending": 1}, T0 - 61 * MIN), "stay",
         "lab: 0 of 0 devices succeeded, 1 are away"),
        ("lab", None, many("rest", {"pending": 1}), "open",
         "lab: 0 of 0 devices succeeded; rest opens"),
    ],
)  # fmt: skip
def test_what_a_rollout_does(
    ring: Ring, soak_min: int | None, devices: list[UpdatedDevice], step: str, reason: str
) -> None:
    since_ms = None if soak_min is None else T0 - soak_min * MIN
    decision = decide_rollout(RolloutSituation("running", ring, since_ms, devices), RULES, T0)
    assert (decision.step, decision.reason) == (step, reason)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["lab", "canary", "early", "rest"]),
            st.sampled_from(["pending", "waiting", "installing", "succeeded", "returned"]),
        ),
        max_size=40,
    ),
    st.sampled_from(["lab", "canary", "early", "rest"]),
)
def test_no_ring_opens_over_a_fault_in_lab_or_canary(
    pairs: list[tuple[Ring, DeviceUpdateState]], ring: Ring
) -> None:
    devices = [
        device(state, ring=of, device=f"acme/hq/{number}")
        for number, (of, state) in enumerate(pairs)
    ]
    situation = RolloutSituation("running", ring, T0 - 10**9, devices)
    decision = decide_rollout(situation, RULES, T0)
    order = ("lab", "canary", "early", "rest")
    open_rings = order[: order.index(ring) + 1]
    if any(of in ("lab", "canary")[: order.index(ring) + 1] and state == "returned"
           for of, state in pairs):  # fmt: skip
        assert decision.step == "halt"
    if decision.step in ("open", "finish"):
        reached = [state for of, state in pairs if of == ring]
        assert reached.count("succeeded") * 10 >= 9 * len(reached)
    if decision.ring is not None:
        assert decision.ring not in open_rings
    for state in ("paused", "halted", "finished"):
        assert decide_rollout(replace(situation, state=state), RULES, T0).step == "stay"


def test_a_rollback_goes_ring_by_ring() -> None:
    lab, rest = many("lab", {"pending": 1}), many("rest", {"pending": 2})

    def step(ring: Ring, devices: list[UpdatedDevice], now_ms: int = T0) -> str:
        return decide_rollout(
            RolloutSituation("rolling-back", ring, None, devices), RULES, now_ms
        ).step

    assert step("lab", lab + rest) == "stay"
    back = many("lab", {"returned": 1})
    assert step("lab", back + rest) == "open"
    assert step("rest", back + rest) == "stay"
    assert step("rest", back + many("rest", {"returned": 1, "refused": 1})) == "end-rollback"
    assert (
        step("rest", back + rest, T0 + 16 * MIN) == "end-rollback"
    )  # silent ones are not waited for

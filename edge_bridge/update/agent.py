"""The update agent of a device: asks, verifies, downloads, switches, checks, or returns.

It runs next to the recorder, as a program of its own: a recorder that does not start is reported
and replaced. Nothing here can stop recording but the switch itself.

    ask ─► verify ─► download ─► ask again ─► window, lock ─► switch ─► health gate ─► keep
                                                                            └─► switch back
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from domain.errors import IntegrityError, StoreError
from domain.fleet.maintenance import may_begin, window_text
from domain.fleet.messages import (
    ENDED,
    DeviceUpdateReport,
    DeviceUpdateState,
    RecorderHealth,
    RunningSoftware,
    UpdateAnswer,
    UpdateProgress,
    WantedUpdate,
)
from domain.fleet.release import (
    FleetRelease,
    ReleaseRefusedError,
    ReleaseTarget,
    check_release,
    verify_release,
)
from domain.times import utc_ms
from edge_bridge.update.centre import UpdateCentre
from edge_bridge.update.gate import GATE_S, STEADY_S, GateNeeds, gate_fault
from edge_bridge.update.notes import InstalledImage, NotesFile, UpdateNotes
from edge_bridge.update.runtime import RecorderRuntime

MAX_STARTS = 3
"""How often a phase may begin again after power cuts: the new version may be their cause."""
MAX_DOWNLOADS = 20
"""Failures in a row; with the waits between them, most of a day."""
LOCK_FILE = "lock"
"""A file of this name in the agent's folder: install nothing. Its text says why."""
_RETRY_S = 60.0
_MAX_TEXT = 500

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class UpdateDevice:
    """What an agent knows of its device."""

    hardware: str
    folder: Path
    """The agent's own."""
    trusted: Collection[bytes]
    """Raw public keys of releases."""
    agent: str = ""
    """Version of this program."""
    system: str = ""
    """Version of the system."""


@dataclass(frozen=True)
class AgentTimes:
    """How long it waits, in seconds. Tests set shorter ones."""

    gate_s: float = GATE_S
    steady_s: float = STEADY_S
    check_every_s: float = 5.0
    report_every_s: float = 30.0
    longest_poll_s: float = 3_600.0


class UpdateAgent:
    """One device's. `run` continues until cancelled."""

    def __init__(
        self,
        device: UpdateDevice,
        centre: UpdateCentre,
        runtime: RecorderRuntime,
        *,
        times: AgentTimes = AgentTimes(),
        clock_ms: Callable[[], int] = utc_ms,
        steady_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        at_step: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`at_step`: is called between all steps, with their names; a test cuts the power there."""
        self._device = device
        self._centre = centre
        self._runtime = runtime
        self._times = times
        self._clock_ms = clock_ms
        self._steady_s = steady_s
        self._sleep = sleep
        self._at_step = at_step
        self._file = NotesFile(device.folder)
        self._notes = self._file.load()
        self._cloud_answers = False

    async def run(self) -> None:
        """Finish what a power cut interrupted, then ask periodically."""
        await self.resume()
        while True:
            delay_s = await self.step()
            if delay_s:
                await self._sleep(delay_s * random.uniform(0.8, 1.2))  # noqa: S311

    async def resume(self) -> None:
        """Bring a device to a defined state after a start: repeat the phase that was begun."""
        notes = self._notes
        if notes.good is None:
            image = await self._runtime.configured_image()
            if image is not None:
                self._save(good=InstalledImage(image=image))
        if notes.phase in ("installing", "checking"):
            if notes.starts >= MAX_STARTS:
                await self._return(f"the device started {notes.starts} times during the update")
            else:
                await self._install()
        elif notes.phase == "returning":
            await self._return(notes.why_returning)

    async def step(self) -> float:
        """Ask once and do what follows; return after how many seconds to ask again."""
        answer = await self._exchange()
        if answer is None:
            return _RETRY_S
        wanted = answer.wanted
        if wanted is None:
            if self._notes.update is not None and self._notes.update.state not in ENDED:
                self._save(update=None, downloads_failed=0)
            return min(float(answer.poll_s), self._times.longest_poll_s)
        if await self._follow(wanted, answer):
            return 0.0
        return min(float(answer.poll_s), self._times.longest_poll_s)

    async def _follow(self, wanted: WantedUpdate, answer: UpdateAnswer) -> bool:
        """Do the next step of an update; return whether to ask again at once."""
        try:
            release = verify_release(wanted.release.signed(), self._device.trusted)
        except ReleaseRefusedError as error:
            return self._refuse(wanted, 1, error)
        before = self._notes.update
        if (
            before is not None
            and before.state in ENDED
            and (before.rollout, before.attempt, before.release)
            == (wanted.rollout, wanted.attempt, release.number)
        ):
            return False  # this try has ended, whatever the centre wants
        good = self._notes.good
        running = None if good is None else good.release
        try:
            target = check_release(release, self._device.hardware, running, self._notes.floor)
        except ReleaseRefusedError as error:
            return self._refuse(wanted, release.number, error)
        if target.bundle is not None:
            no_bundles = ReleaseRefusedError("hardware", "this agent installs no bundles yet.")
            return self._refuse(wanted, release.number, no_bundles)
        return await self._prepare(wanted, release, target, answer)

    async def _prepare(
        self,
        wanted: WantedUpdate,
        release: FleetRelease,
        target: ReleaseTarget,
        answer: UpdateAnswer,
    ) -> bool:
        lock = answer.lock or self._own_lock()
        if lock is not None:
            return self._report(wanted, release.number, "waiting", f"updates are locked: {lock}")
        try:
            has_image = await self._runtime.has_image(target.image)
        except StoreError as error:
            return self._report(wanted, release.number, "waiting", str(error))
        if not has_image:
            return await self._download(wanted, release, target)
        window, now_ms = answer.window, self._clock_ms()
        if not wanted.at_once and not may_begin(window, answer.zone, now_ms):
            assert window is not None
            text = f"for the maintenance window: {window_text(window, answer.zone)}"
            return self._report(wanted, release.number, "waiting", text)
        health = await self._runtime.health()
        self._save(
            phase="installing",
            trial=InstalledImage(image=target.image, release=release.number),
            trial_oldest=release.oldest,
            cameras_before=0 if health is None else health.recording,
            uploaded_before=health is not None and health.uploads,
            starts=0,
            update=self._progress(wanted, release.number, "installing", ""),
        )
        self._at_step("installing is noted")
        await self._exchange(health)
        await self._install()
        return True

    async def _download(
        self, wanted: WantedUpdate, release: FleetRelease, target: ReleaseTarget
    ) -> bool:
        """Pull the image. Then ask again: the rollout may have halted since."""
        self._report(wanted, release.number, "downloading", "")
        await self._exchange()
        self._at_step("downloading is noted")
        try:
            await self._runtime.pull(target.image)
        except IntegrityError as error:
            self._report(wanted, release.number, "failed", str(error))
            return True
        except StoreError as error:
            failed = self._notes.downloads_failed + 1
            self._save(downloads_failed=failed)
            state: DeviceUpdateState = "failed" if failed >= MAX_DOWNLOADS else "downloading"
            self._report(wanted, release.number, state, f"try {failed}: {error}")
            return False
        self._save(downloads_failed=0)
        self._at_step("the image is there")
        return True

    async def _install(self) -> None:
        """Switch to the trial, and keep it where it passes the health gate."""
        trial = self._notes.trial
        assert trial is not None
        self._save(phase="installing", starts=self._notes.starts + 1)
        self._at_step("a start is counted")
        try:
            await self._runtime.switch(trial.image)
        except StoreError as error:
            await self._return(str(error))
            return
        self._at_step("switched")
        self._save(phase="checking", update=self._updated("checking", ""))
        self._at_step("checking is noted")
        fault = await self._pass_gate(trial.image)
        if fault is not None:
            await self._return(fault)
            return
        self._at_step("the gate is passed")
        log.info("release %s is kept", trial.release)
        self._save(
            phase="idle",
            good=trial,
            trial=None,
            floor=max(self._notes.floor, self._notes.trial_oldest),
            update=self._updated("succeeded", ""),
        )
        self._at_step("the new version is kept")

    async def _return(self, why: str) -> None:
        """Switch back to what was good."""
        good, trial = self._notes.good, self._notes.trial
        log.warning("release %s returns: %s", trial and trial.release, why)
        self._save(
            phase="returning",
            why_returning=why[:_MAX_TEXT],
            update=self._updated("checking", f"goes back: {why}"),
        )
        self._at_step("returning is noted")
        if good is None:
            fault: str | None = "the version before is not known"
        else:
            try:
                await self._runtime.switch(good.image)
                self._at_step("switched back")
                fault = await self._pass_gate(good.image)
            except StoreError as error:
                fault = str(error)
        text = why if fault is None else f"{why}. The version before fails too: {fault}"
        state: DeviceUpdateState = "returned" if fault is None else "failed"
        self._save(phase="idle", trial=None, why_returning="", update=self._updated(state, text))
        self._at_step("the old version is kept")

    async def _pass_gate(self, image: str) -> str | None:
        """Wait until the recorder does what it must; return what is missing at the end."""
        notes, times = self._notes, self._times
        needs = GateNeeds(notes.cameras_before, notes.uploaded_before)
        end_s = self._steady_s() + times.gate_s
        good_since_s: float | None = None
        reported_s = self._steady_s() - times.report_every_s
        fault: str | None = "the recorder does not answer"
        while (now_s := self._steady_s()) < end_s:
            health = await self._runtime.health()
            if now_s - reported_s >= times.report_every_s:
                reported_s = now_s
                await self._exchange(health)
            runs = await self._runs(image)
            fault = gate_fault(needs, health, runs=runs, cloud_answers=self._cloud_answers)
            if fault is not None:
                good_since_s = None
            elif good_since_s is None:
                good_since_s = now_s
            if good_since_s is not None and self._steady_s() - good_since_s >= times.steady_s:
                return None
            await self._sleep(times.check_every_s)
        return fault or f"it was never well for {times.steady_s:.0f} s"

    async def _runs(self, image: str) -> bool:
        try:
            return await self._runtime.running_image() == image
        except StoreError:
            return False

    def _own_lock(self) -> str | None:
        """Return why the device itself is locked; None: it is not."""
        try:
            text = (self._device.folder / LOCK_FILE).read_text(errors="replace")
        except OSError:
            return None
        return text.strip()[:200] or "on the device"

    async def _exchange(self, health: RecorderHealth | None = None) -> UpdateAnswer | None:
        """Report what is noted; None: the cloud does not answer."""
        good = self._notes.good
        report = DeviceUpdateReport(
            agent=self._device.agent,
            hardware=self._device.hardware,
            running=RunningSoftware(
                image=None if good is None else good.image,
                release=None if good is None else good.release,
                system=self._device.system,
            ),
            update=self._notes.update,
            health=health if health is not None else await self._runtime.health(),
        )
        try:
            answer = await self._centre.exchange(report)
        except StoreError as error:
            if self._cloud_answers:
                log.warning("updates are not asked for now: %s", error)
            self._cloud_answers = False
            return None
        self._cloud_answers = True
        return answer

    def _refuse(self, wanted: WantedUpdate, number: int, error: ReleaseRefusedError) -> bool:
        """Note that nothing is changed; return whether that is news."""
        log.warning("an update is refused: %s", error)
        before = self._notes.update
        same = before is not None and (before.rollout, before.attempt, before.state) == (
            wanted.rollout, wanted.attempt, "refused",
        )  # fmt: skip
        self._report(wanted, number, "refused", f"{error.code}: {error}")
        return not same

    def _report(
        self, wanted: WantedUpdate, number: int, state: DeviceUpdateState, reason: str
    ) -> bool:
        """Note a state, for the next report; False: there is nothing to do at once."""
        self._save(update=self._progress(wanted, number, state, reason))
        return False

    def _progress(
        self, wanted: WantedUpdate, number: int, state: DeviceUpdateState, reason: str
    ) -> UpdateProgress:
        before = self._notes.update
        since_ms = self._clock_ms()
        if before is not None and (before.rollout, before.attempt, before.state) == (
            wanted.rollout, wanted.attempt, state,
        ):  # fmt: skip
            since_ms = before.since_ms
        return UpdateProgress(
            rollout=wanted.rollout, attempt=wanted.attempt, release=number, state=state,
            reason=reason[:_MAX_TEXT], since_ms=since_ms,
        )  # fmt: skip

    def _updated(self, state: DeviceUpdateState, reason: str) -> UpdateProgress | None:
        before = self._notes.update
        if before is None:
            return None
        return before.model_copy(
            update={
                "state": state, "reason": reason[:_MAX_TEXT], "since_ms": self._clock_ms(),
            }
        )  # fmt: skip

    def _save(self, **changes: object) -> None:
        """Change the notes on the disk, then in memory; nothing where they are so already."""
        changed = self._notes.model_copy(update=changes)
        if changed != self._notes:
            self._file.save(changed)
            self._notes = changed

    @property
    def notes(self) -> UpdateNotes:
        """What is noted."""
        return self._notes

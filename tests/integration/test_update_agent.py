"""The update agent with recorders that are processes (simulated: harness/simulated_recorder.py).

Each bad version leaves the device recording on the old one. A power cut, which is SIGKILL of the
agent, between any two steps ends in a defined state.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.errors import StoreError
from domain.fleet.messages import (
    DeviceUpdateReport,
    OfferedRelease,
    UpdateAnswer,
    WantedUpdate,
)
from domain.fleet.release import release_from, sign_release
from domain.site_file.model import MaintenanceWindow
from edge_bridge.update.agent import AgentTimes, UpdateAgent, UpdateDevice
from edge_bridge.update.notes import NotesFile
from harness.process_runtime import ProcessRuntime, make_image
from tests.waiting import wait_for

KEY = Ed25519PrivateKey.generate()
ROOT = Path(__file__).parents[2]
TIMES = AgentTimes(gate_s=20, steady_s=0.3, check_every_s=0.05, report_every_s=0.2)
QUICK = AgentTimes(gate_s=1.5, steady_s=0.3, check_every_s=0.05, report_every_s=0.2)
"""For versions that never pass: the gate waits as long as it may."""


class ScriptedCentre:
    """Wants one release of a device; keeps what was reported."""

    def __init__(self) -> None:
        self.answer = UpdateAnswer(poll_s=1)
        self.reports: list[DeviceUpdateReport] = []
        self.is_away = False

    async def exchange(self, report: DeviceUpdateReport) -> UpdateAnswer:
        if self.is_away:
            raise StoreError("the VPN is down.")
        self.reports.append(report)
        return UpdateAnswer.model_validate_json(self.answer.model_dump_json(by_alias=True))

    def want(
        self, image: str, *, number: int = 2, hardware: str = "x86-64", attempt: int = 1,
        key: Ed25519PrivateKey = KEY, oldest: int = 1,
    ) -> None:  # fmt: skip
        release = release_from(
            {
                "number": number,
                "version": f"2.{number}.0",
                "oldest": oldest,
                "targets": {hardware: {"image": image}},
            }
        )
        wanted = WantedUpdate(
            rollout=1, attempt=attempt, release=OfferedRelease.of(sign_release(key, release))
        )
        self.answer = self.answer.model_copy(update={"wanted": wanted})

    @property
    def newest(self) -> tuple[str, str]:
        update = self.reports[-1].update
        return ("", "") if update is None else (update.state, update.reason)


class Device:
    """A device in a folder, with version 1 running."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.registry = folder / "device", folder / "registry"
        self.folder.mkdir()
        self.runtime = ProcessRuntime(self.folder, self.registry)
        self.centre = ScriptedCentre()
        self.old = make_image(self.registry, "1")

    async def begin(self) -> None:
        await self.runtime.pull(self.old)
        await self.runtime.switch(self.old)
        await wait_for(self.records, within_s=10, what="footage of the old version")

    async def records(self) -> bool:
        return self.runtime.recorded_image() is not None and await self.runtime.health() is not None

    def agent(self, times: AgentTimes = TIMES) -> UpdateAgent:
        device = UpdateDevice(
            "x86-64", self.folder / "agent", [KEY.public_key().public_bytes_raw()]
        )
        return UpdateAgent(device, self.centre, self.runtime, times=times)

    async def update(self, times: AgentTimes = TIMES) -> tuple[str, str]:
        """Ask until nothing is to do at once; return the newest reported state."""
        agent = self.agent(times)
        await agent.resume()
        for _ in range(10):
            if await agent.step():
                break
        await agent.step()
        return self.centre.newest

    async def recorded_next(self) -> str | None:
        """Return the image that writes footage from now on."""
        (self.folder / "footage").unlink(missing_ok=True)
        await wait_for(
            lambda: self.runtime.recorded_image() is not None, within_s=10, what="footage"
        )
        return self.runtime.recorded_image()


@pytest.fixture
async def device(tmp_path: Path) -> AsyncIterator[Device]:
    made = Device(tmp_path)
    await made.begin()
    yield made
    await made.runtime.stop()


async def test_a_good_version_is_kept(device: Device) -> None:
    new = make_image(device.registry, "2")
    device.centre.want(new, oldest=2)
    assert await device.update() == ("succeeded", "")
    assert await device.recorded_next() == new
    assert device.centre.reports[-1].running.image == new
    states = [each.update.state for each in device.centre.reports if each.update is not None]
    assert sorted(set(states), key=states.index) == [
        "downloading", "installing", "checking", "succeeded",
    ]  # fmt: skip
    # What was signed to be too old is refused from now on, also by a hostile centre.
    device.centre.want(device.old, number=1, attempt=2)
    state, reason = await device.update()
    assert state == "refused"
    assert reason.startswith("older: release 1 is older than 2")
    assert await device.recorded_next() == new


@pytest.mark.parametrize(
    ("fault", "state", "reason"),
    [
        ("crashes", "returned", "the new version does not run"),
        ("records-nothing", "returned", "it records 0 of the 2 cameras that recorded before"),
        ("cannot-upload", "returned", "it cannot upload, and the cloud is reachable"),
        ("corrupt", "failed", "the image is damaged: its bytes do not have its digest."),
    ],
)
async def test_a_bad_version_returns(device: Device, fault: str, state: str, reason: str) -> None:
    device.centre.want(make_image(device.registry, "2", fault))
    assert await device.update(QUICK) == (state, reason)
    assert await device.recorded_next() == device.old
    reports = len(device.centre.reports)
    assert await device.update(QUICK) == (state, reason)
    assert len(device.centre.reports) == reports + 2  # it is not tried again


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"key": Ed25519PrivateKey.generate()}, "unknown-key: "),
        ({"hardware": "arm64"}, "hardware: release 2 is for arm64, and this device is x86-64."),
    ],
)
async def test_what_is_not_for_the_device_is_refused(device: Device, more, reason: str) -> None:
    device.centre.want(make_image(device.registry, "2"), **more)
    state, given = await device.update()
    assert state == "refused"
    assert given.startswith(reason)
    assert await device.recorded_next() == device.old


async def test_while_the_vpn_is_down_the_gate_accepts_spooling(device: Device) -> None:
    new = make_image(device.registry, "2")
    device.centre.want(new)
    agent = device.agent()
    assert await agent.step() == 0  # downloads
    answer = agent._file  # the notes say what happened while no report arrives
    (device.folder / "offline").touch()

    async def away(report: DeviceUpdateReport) -> UpdateAnswer:
        if report.update is not None and report.update.state in ("installing", "checking"):
            raise StoreError("the VPN is down.")
        return device.centre.answer

    device.centre.exchange = away  # type: ignore[method-assign]
    await agent.step()
    noted = answer.load()
    assert noted.update is not None
    assert noted.update.state == "succeeded"
    assert await device.recorded_next() == new


async def test_locks_and_windows_are_waited_for(device: Device) -> None:
    new = make_image(device.registry, "2")
    device.centre.want(new)
    device.centre.answer = device.centre.answer.model_copy(update={"lock": "audit of the site"})
    assert await device.update() == ("waiting", "updates are locked: audit of the site")
    lock = device.folder / "agent" / "lock"
    lock.write_text("a technician works here\n")
    device.centre.answer = device.centre.answer.model_copy(update={"lock": None})
    assert await device.update() == ("waiting", "updates are locked: a technician works here")
    lock.unlink()
    closed = MaintenanceWindow.model_validate({"days": ["mon"], "from": "02:00", "to": "03:00"})
    device.centre.answer = device.centre.answer.model_copy(update={"window": closed})
    agent = UpdateAgent(
        UpdateDevice("x86-64", device.folder / "agent", [KEY.public_key().public_bytes_raw()]),
        device.centre,
        device.runtime,
        times=TIMES,
        clock_ms=lambda: 1_795_369_380_000,  # a Sunday
    )
    await agent.step()
    assert await agent.step() > 0
    await agent.step()
    assert device.centre.newest == (
        "waiting", "for the maintenance window: mon 02:00-03:00 UTC",
    )  # fmt: skip
    assert await device.recorded_next() == device.old


PROGRAM = Path(__file__).parent / "apps" / "update_agent.py"


async def _run_agent(folder: Path, cut: int) -> tuple[int, str]:
    """Run an agent as a process until nothing is to do; `cut`: the step at which it is killed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(PROGRAM), str(folder), str(cut),
        KEY.public_key().public_bytes_raw().hex(),
        stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode().strip()


@pytest.mark.parametrize("fault", ["", "records-nothing"])
@pytest.mark.updates
async def test_a_power_cut_at_each_step(device: Device, tmp_path: Path, fault: str) -> None:
    """Cut before step n, go on; until there is no step n any more."""
    steps = []
    for cut in range(1, 20):
        new = make_image(device.registry, f"2-{cut}", fault)
        device.centre.want(new, attempt=cut)
        (tmp_path / "answer.json").write_text(device.centre.answer.model_dump_json(by_alias=True))
        await device.runtime.switch(device.old)
        NotesFile(device.folder / "agent")._path.unlink(missing_ok=True)
        code, step = await _run_agent(tmp_path, cut)
        if code == 0:
            break
        assert code == -9, step
        steps.append(step)
        code, _ = await _run_agent(tmp_path, 0)
        assert code == 0
        update = json.loads((device.folder / "agent" / "update.json").read_text())["update"]
        assert update["state"] == ("returned" if fault else "succeeded"), step
        assert await device.recorded_next() == (device.old if fault else new), step
        assert await device.runtime.running_image() == (device.old if fault else new)
        assert _recorders(device.folder) == 1, step
    assert len(steps) == (9 if fault else 8), steps
    assert len(set(steps)) == len(steps)


def _recorders(folder: Path) -> int:
    """Count the recorder's processes of a device."""
    found = 0
    for each in Path("/proc").iterdir():
        if each.name.isdigit() and int(each.name) != os.getpid():
            try:
                command = (each / "cmdline").read_bytes()
            except OSError:
                continue
            found += b"simulated_recorder.py" in command and str(folder).encode() in command
    return found

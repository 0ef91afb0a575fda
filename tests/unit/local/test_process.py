"""Children end when asked, when they do not listen, and when their starter is gone."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from domain.errors import VigilError
from local.folder import DataFolder
from local.process import Process, record_of, recorded_process
from tests.waiting import wait_for

FOR_EVER = "import time; print('up', flush=True); time.sleep(600)"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + FOR_EVER
WITH_CHILD = (
    "import subprocess, sys; "
    f"child = subprocess.Popen([sys.executable, '-c', {DEAF!r}], stdout=subprocess.DEVNULL); "
    "print(child.pid, flush=True); child.wait()"
)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return DataFolder(tmp_path)


def started(process: Process, code: str) -> int:
    process.start(python(code), env=os.environ)
    process.wait_ready(lambda: process.log.exists() and process.log.stat().st_size > 0, 30)
    assert process.pid is not None
    return process.pid


def test_a_child_stops_and_its_record_goes(folder: DataFolder) -> None:
    process = Process("child", folder)
    pid = started(process, FOR_EVER)
    record = folder.read_json("run/child.json")
    assert record["pid"] == pid
    found = recorded_process(record)
    assert found is not None
    assert found.pid == pid
    assert process.stop() == -signal.SIGTERM
    assert not running(pid)
    assert folder.read_json("run/child.json") == {}


def test_a_child_is_known_by_its_record_though_the_clock_is_set(
    folder: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Process("child", folder)
    pid = started(process, FOR_EVER)
    boot_s = psutil._psplatform.boot_time()
    monkeypatch.setattr(psutil._psplatform, "boot_time", lambda: boot_s + 3_600)
    found = recorded_process(folder.read_json("run/child.json"))
    assert found is not None and found.pid == pid
    process.stop()
    assert recorded_process({"pid": os.getpid()}) is None


def test_a_deaf_child_is_killed(folder: DataFolder) -> None:
    process = Process("child", folder, stop_within_s=0.2)
    started(process, DEAF)
    assert process.stop() == -signal.SIGKILL


async def test_children_of_the_child_end_with_it(folder: DataFolder) -> None:
    process = Process("child", folder, stop_within_s=5)
    started(process, WITH_CHILD)
    grandchild = int(process.log.read_text().split()[0])
    assert running(grandchild)
    process.stop()
    await wait_for(lambda: not running(grandchild), within_s=10, what="the grandchild's end")


def test_a_child_outlives_the_thread_that_asked_for_it(folder: DataFolder) -> None:
    process = Process("child", folder)
    thread = threading.Thread(target=started, args=(process, FOR_EVER))
    thread.start()
    thread.join()
    assert not process.wait_end(0.3)
    process.stop()


def test_a_child_that_ends_at_once_is_reported_with_its_code(folder: DataFolder) -> None:
    process = Process("child", folder)
    process.start(python("raise SystemExit(7)"), env=os.environ)
    with pytest.raises(VigilError, match=r"child ended at start \(code 7\); see .*child\.log"):
        process.wait_ready(lambda: False, 30)


def test_a_missing_program_is_reported_in_the_log(folder: DataFolder) -> None:
    process = Process("child", folder)
    process.start(["/nowhere/at/all"], env=os.environ)
    with pytest.raises(VigilError, match="code 1"):
        process.wait_ready(lambda: False, 30)
    assert "cannot run /nowhere/at/all: No such file" in process.tail()


def test_what_a_killed_owner_left_is_ended(folder: DataFolder) -> None:
    with subprocess.Popen(python(FOR_EVER), start_new_session=True) as left:
        folder.write_json("run/child.json", record_of(left.pid))
        process = Process("child", folder)
        started(process, FOR_EVER)
        assert not running(left.pid)
        process.stop()


def test_a_recycled_pid_is_left_alone(folder: DataFolder) -> None:
    with subprocess.Popen(python(FOR_EVER), start_new_session=True) as stranger:
        try:
            record = record_of(stranger.pid)
            record["started"] = int(str(record["started"])) - 6_000
            folder.write_json("run/child.json", record)
            process = Process("child", folder)
            started(process, FOR_EVER)
            process.stop()
            assert stranger.poll() is None
        finally:
            stranger.kill()


async def test_children_die_with_a_killed_owner(tmp_path: Path) -> None:
    owner_code = (
        "import os, sys, time; from pathlib import Path; "
        "from local.folder import DataFolder; from local.process import Process; "
        f"process = Process('child', DataFolder(Path({str(tmp_path)!r}))); "
        f"process.start([sys.executable, '-c', {DEAF!r}], env=os.environ); time.sleep(600)"
    )
    record = tmp_path / "run" / "child.json"
    log = tmp_path / "log" / "child.log"
    command = python(owner_code)
    root = Path(__file__).parents[3]
    with subprocess.Popen(command, cwd=root) as owner:  # noqa: ASYNC220
        try:
            await wait_for(lambda: record.exists() and log.stat().st_size, within_s=30, what="up")
            child = json.loads(record.read_text())["pid"]
        finally:
            owner.kill()
    await wait_for(lambda: not running(child), within_s=10, what="the child's end")

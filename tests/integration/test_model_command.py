"""`vigil replay detections` and `vigil model` as commands, over Kafka and the index worker."""

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from domain.times import format_ms
from local.program import vigil
from stores.catalog import model_replays as book
from streams.topic_admin import ensure
from streams.topics import TOPICS
from tests.cloud import Cloud, quick
from tests.conftest import Services
from tests.integration.consistency_support import START_MS, Place, place
from tests.integration.models_support import found, look_of, replayed
from tests.unit.vision.models import write_card, write_seeing
from tests.waiting import wait_for
from vision.loader import load_detector

CHUNKS = 30
END_MS = START_MS + CHUNKS * 10_000


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """A model that finds one object in each picture, its score following the picture."""
    write_seeing(tmp_path / "model.onnx")
    spec = {"width": 64, "height": 64, "scale": 1 / 255, "resize": "stretch"}
    return write_card(tmp_path, {"layout": "yolov8"}, input=spec, thresholds={"score": 0.01})


class Commands:
    """Runs `vigil` against one catalog and topics of its own."""

    def __init__(self, env: dict[str, str]) -> None:
        self._env = env

    async def __call__(self, *arguments: str, code: int = 0) -> tuple[str, str]:
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, *vigil(*arguments)],
            env=self._env,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout, done.stderr

    async def ended(self, at: Place, by: signal.Signals, beyond: int, *arguments: str) -> int:
        """Start a replay and end it when it is through with more chunks; return how it exited."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *vigil(*arguments)),
            env=self._env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

        async def begun() -> bool:
            known = await book.list_replays(at.catalog)
            return bool(known) and known[0].chunks > beyond

        try:
            await wait_for(begun, within_s=90, what="chunks", every_s=0.005)
        finally:
            process.send_signal(by)
            _, err = await process.communicate()
        assert b"Traceback" not in err, err.decode()
        return process.returncode or 0


@pytest.mark.slow
async def test_killed_repeated_chosen_and_dropped(
    services: Services, tmp_path: Path, card: Path
) -> None:
    async with place(services.settings) as at:
        recorder = at.recorder()
        for number in range(CHUNKS):
            seqs = range(5 * number, 5 * number + 5)
            for seq in seqs:
                await recorder.put(at.store, seq)
            await at.join(recorder, seqs)
        cloud = Cloud(tmp_path, quick("mdlcmd") | {"VIGIL_DATABASE_URL": at.catalog._dsn})
        await ensure(TOPICS, settings=cloud.settings)
        await asyncio.to_thread(cloud.start, "index")
        try:
            await _story(at, Commands(cloud.env), card)
        finally:
            index = cloud.programs["index"].process
            index.ask_to_stop()
            await asyncio.to_thread(index.stop)


async def _story(at: Place, run: Commands, card: Path) -> None:
    replay = (
        *("replay", "detections", "--model", str(card), "--version", "b", "--rate", "60"),
        *("--from", format_ms(START_MS), "--to", format_ms(END_MS), "--camera", at.camera),
    )
    assert await run.ended(at, signal.SIGINT, 1, *replay) == 130
    (third,) = await book.list_replays(at.catalog)
    assert await run.ended(at, signal.SIGKILL, third.chunks, *replay) == -signal.SIGKILL
    (half,) = await book.list_replays(at.catalog)
    assert half.state == "running"
    assert third.chunks < half.chunks < CHUNKS, "killed in the middle"
    model = half.version[0]
    _, err = await run("model", "current", model, "b", code=1)
    assert "is not finished: repeat" in err

    output, err = await run(*replay)
    result = json.loads(output.splitlines()[-1])
    assert (result["model"], result["version"], result["provider"]) == (
        *(model, "b", "CPUExecutionProvider"),
    )
    assert result["already"] >= half.chunks
    assert result["already"] + result["chunks"] == CHUNKS
    assert (result["faults"], result["loose"], result["waiting"]) == (0, 0, 0)
    assert f"{CHUNKS} chunks" in err
    # What one in this process finds without any hindrance, under another version.
    twin, _ = await replayed(
        at, look_of((model, "twin"), START_MS, END_MS, 60_000), detector=load_detector(str(card))
    )
    mine = await found(at, (model, "b"))
    assert mine == await found(at, (model, "twin"))
    assert len(mine) == twin.objects == CHUNKS * 50

    output, _ = await run(*replay[:-2])  # of all cameras with footage of that time
    assert json.loads(output.splitlines()[-1]) | {"already": CHUNKS, "chunks": 0, "objects": 0} == (
        json.loads(output.splitlines()[-1])
    )
    assert await found(at, (model, "b")) == mine

    _, err = await run("replay", "detections", "--from", "1", "--to", "60000", code=1)
    assert err == "vigil: No camera has chunks of that time.\n"

    listed, _ = await run("model", "list", "--camera", at.camera)
    assert [line.split()[1:4] for line in listed.splitlines()] == [
        [model, "b", "seen"],
        [model, "twin", "seen"],
        [model, "b", "done"],
        [model, "twin", "done"],
    ]
    output, _ = await run("model", "current", model, "b", "--who", "Ann")
    assert output == f"{model} b is current now: 1 replays changed.\n"
    _, err = await run("model", "drop", model, "b", code=1)
    assert "is current: make another version current first" in err
    output, _ = await run("model", "current", "--live")
    assert "1 replays changed" in output
    output, _ = await run("model", "drop", model, "b", "--who", "Ann")
    assert output == f"Deleted {len(mine)} detections of 1 replays.\n"
    assert await found(at, (model, "b")) == []
    assert len(await found(at, (model, "twin"))) == len(mine)
    _, err = await run("model", "drop", model, "b", code=1)
    assert "There is no replay of" in err
    listed, _ = await run("model", "list")
    assert [line.split()[3] for line in listed.splitlines()] == ["dropped", "done"]
    assert "by Ann" in listed

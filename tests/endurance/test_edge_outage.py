"""The edge under kills and a failing line, by the benches that measure it, kept short."""

import asyncio
import json
import os
import random
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.kill.edge_process import PICTURES
from harness.kill.kill import killed
from local.folder import project_root
from local.program import vigil
from tests.conftest import Services

SEED = int(os.environ.get("VIGIL_TEST_SEED", "0")) or random.randrange(1 << 31)


@pytest.mark.slow
def test_ten_kills_lose_nothing_but_what_was_being_written(
    services: Services, tmp_path: Path
) -> None:
    print(f"VIGIL_TEST_SEED={SEED}")
    env = {**services.env, "VIGIL_S3_BUCKET": services.settings.s3_bucket}
    found = killed(tmp_path, env, kills=10, cameras=2, seed=SEED)
    assert found["clean"], found
    assert (found["lost"], found["frames_lost"], found["frames_doubled"]) == (0, 0, 0)
    assert (found["wrong_bytes"], found["detections_lost"]) == (0, 0)
    assert found["kills_while_starting"] < 10
    assert found["frames"] >= found["kept"] * PICTURES > 0


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_line_that_fails_in_every_way_loses_and_doubles_no_frame(tmp_path: Path) -> None:
    print(f"VIGIL_TEST_SEED={SEED}")
    found = await bench(
        tmp_path, "outage", "--minutes", "1.1", "--cut-s", "8", "--cameras", "2",
        "--seed", str(SEED), "--data", str(tmp_path / "data"),
    )  # fmt: skip
    assert found["clean"], found
    assert found["frames"] == found["fragments_frames"] == 2 * 660
    assert (found["frames_lost"], found["frames_doubled"], found["given_up"]) == (0, 0, 0)
    assert (found["cameras_out_of_order"], found["gaps"]) == (0, 0)
    assert found["detections"] == found["detections_answered"] == 2 * 132
    for name in ("lost", "doubled", "unknown", "out_of_order"):
        assert found[f"detections_{name}"] == 0, name
    assert found["detections_sampled_out"] == 2 * (660 - 132)
    assert found["fsck"] == "clean"
    assert found["credentials_renewed_s"] is not None
    for fault in ("cut", "flaky", "slow", "hang", "error", "busy", "expired"):
        assert found["hit"][fault]["s3"] > 0, fault
        assert found["hit"][fault]["sqs"] > 0, fault


@pytest.mark.slow
async def test_a_backlog_drains_alongside_live_footage_and_nothing_is_lost(tmp_path: Path) -> None:
    found = await bench(
        tmp_path, "drain", "--backlog", "8", "--cameras", "2", "--fragment-s", "2",
        "--megabits", "0.5", "--after-s", "3",
    )  # fmt: skip
    assert found["clean"], found
    for order in ("live_first", "oldest_first"):
        one = found[order]
        assert one["backlog_fragments"] == 8
        assert one["drained_s"] > 0
        live = one["live_ms_while_draining_count"] + one["live_ms_after_count"]
        assert live > 0
        assert one["in_s3"] == 8 + live, order


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_an_edge_records_over_a_backlog_with_and_without_its_journal(tmp_path: Path) -> None:
    found = await bench(
        tmp_path, "start", "--fragments", "300", "--cameras", "2", "--runs", "2", "--rebuilt"
    )
    assert (found["fragments"], found["runs"]) == (300, 4)
    for spool in ("empty", "full", "rebuilt"):
        assert found[spool]["kept_s"] > 0
        assert found[spool]["recovered_s"] > 0
        assert found[spool]["memory_mib_most"] > 0


async def bench(folder: Path, *arguments: str) -> Any:
    env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    output = (folder / "output.log").open("wb")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *vigil("bench", *arguments),
        env=env,
        cwd=project_root(),
        stdout=asyncio.subprocess.PIPE,
        stderr=output,
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(), 570)
    finally:
        output.close()
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, (folder / "output.log").read_text()[-3_000:]
    return json.loads(out.splitlines()[-1])

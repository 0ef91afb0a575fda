"""A minute in which everything goes wrong, as `vigil bench chaos` makes it."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from local.folder import project_root

SEED = int(os.environ.get("VIGIL_TEST_SEED", "0")) or random.randrange(1 << 31)


def chaos(folder: Path, *options: str) -> dict[str, Any]:
    """Run the bench over services of its own and return its line."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "cli.main", "bench", "chaos", "--cameras", "16"),
            *("--seed", str(SEED), "--data", str(folder), *options),
        ],
        cwd=project_root(),
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )
    print(done.stderr[-8_000:])
    assert done.returncode == 0, done.stderr[-2_000:]
    line: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(line)
    return line


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "tables",
    [pytest.param("kept", marks=pytest.mark.slow), pytest.param("wiped", marks=pytest.mark.chaos)],
)
def test_a_minute_of_chaos_loses_and_doubles_nothing(tmp_path: Path, tables: str) -> None:
    wipe = ["--wipe-tables"] if tables == "wiped" else []
    line = chaos(tmp_path, "--minutes", "1", "--every", "4", *wipe)
    assert line["fragments"] > 500
    assert line["kills"] > 0
    for name in ("lost", "doubled", "unknown", "waiting", "wrong_bytes", "disagreeing"):
        assert line[name] == 0, name
    assert line["detections_lost"] == 0
    assert line["lag_zero_s"] is not None
    assert line["fsck"] == "clean"

"""The dashboard's own checks: types, lint, unit tests. The browser's test is an acceptance test."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local import dashboard
from local.folder import project_root

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.mark.parametrize("script", ["check", "test"])
def test_the_dashboard_passes(script: str, tmp_path: Path) -> None:
    dashboard.build(print, tmp_path / "build.log")
    binaries = Path(sys.executable).parent
    done = subprocess.run(
        [str(binaries / "npm"), "run", script],
        cwd=project_root() / "web" / "dashboard",
        env={**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout

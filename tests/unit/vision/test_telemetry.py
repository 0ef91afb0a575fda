"""A program that analyses pictures reports nothing: ONNX Runtime leaves no trace of telemetry."""

import subprocess
import sys
from pathlib import Path

import pytest

from local.folder import project_root


@pytest.mark.parametrize("module", ["vision.onnx_detector", "vision.providers"])
def test_onnx_runtime_keeps_no_device_id(module: str, tmp_path: Path) -> None:
    # Nothing else from the environment: the variables that mark a test run switch telemetry off.
    subprocess.run(
        [sys.executable, "-c", f"import {module}, sys; assert 'onnxruntime' in sys.modules"],
        cwd=project_root(),
        env={"HOME": str(tmp_path), "TMPDIR": str(tmp_path)},
        check=True,
        timeout=60,
    )
    assert list(tmp_path.rglob("*")) == []

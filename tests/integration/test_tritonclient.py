"""NVIDIA's own client works against our server, unchanged."""

import asyncio
import fcntl
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from tests.integration.inference_server_support import serving, write_model

HERE = Path(__file__).parent
CACHE = Path.home() / ".cache" / "vigil" / "tools"


@pytest.fixture(scope="module")
def python() -> Path:
    """Return a Python that has tritonclient: its packages would pin some of the project's."""
    wanted = (HERE / "tritonclient.txt").read_text().strip()
    folder = CACHE / wanted.replace("[http]==", "-")
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "tritonclient.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
            subprocess.run(
                [str(folder / "bin" / "pip"), "install", "-q", wanted],
                check=True,
                stdin=subprocess.DEVNULL,
            )
            (folder / "complete").touch()
    return folder / "bin" / "python"


@pytest.mark.slow
async def test_tritonclient_works_unchanged(python: Path, tmp_path: Path) -> None:
    async with serving(write_model(tmp_path, "sees")) as url:
        process = await asyncio.create_subprocess_exec(
            str(python), "-I", str(HERE / "triton_calls.py"), url.removeprefix("http://"), "sees",
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )  # fmt: skip
        output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    found = json.loads(output)
    session = ort.InferenceSession(str(tmp_path / "sees" / "model.onnx"))
    pictures = np.linspace(0, 1, 2 * 3 * 64 * 64, dtype=np.float32).reshape(2, 3, 64, 64)
    [expected] = session.run(["output0"], {"images": pictures})
    for name in ("binary", "json", "gzip"):
        np.testing.assert_allclose(found[name], expected, rtol=1e-5, err_msg=name)
    assert len(found["async"]) == 8
    for answer in found["async"]:
        np.testing.assert_allclose(answer, expected, rtol=1e-5)
    assert (found["binary_id"], found["json_id"]) == ("r1", "r1")
    for name in ("live", "ready", "model_ready", "version_ready"):
        assert found[name] is True, name
    assert found["metadata"]["inputs"] == [
        {"name": "images", "datatype": "FP32", "shape": [-1, 3, 64, 64]}
    ]
    assert found["wrong"][0] == "400"
    assert "has the shape [-1, 3, 64, 64]" in found["wrong"][1]
    assert found["unknown"][0] == "404"

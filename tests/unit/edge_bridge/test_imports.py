"""What a recording edge keeps in memory: modules that it does not need must not be there."""

import json
import subprocess
import sys
from pathlib import Path

import yaml

NOT_NEEDED = {
    "aioboto3", "aiobotocore", "botocore", "boto3", "s3transfer", "obstore",  # cloud
    "numpy", "cv2", "onnxruntime",  # inference and the page's pictures
    "rich", "defusedxml", "pydantic_settings", "requests", "urllib3",
    "faust", "aiokafka", "asyncpg", "sqlalchemy", "rocksdict",
}  # fmt: skip


def test_an_edge_that_records_has_no_module_that_it_does_not_need(tmp_path: Path) -> None:
    config = {
        "site": "acme/berlin",
        "edge": "edge-1",
        "cloud": {
            "bucket": "none", "queue_url": "http://127.0.0.1:9/0/none",
            "s3_endpoint": "http://127.0.0.1:9", "sqs_endpoint": "http://127.0.0.1:9",
        },
        "spool": {"dir": str(tmp_path / "spool"), "free_floor_bytes": 0},
        "upload": {"flush_s": 0},
        "http": {"port": 0},
        "cameras": [{"id": "gate", "url": "rtsp://127.0.0.1:9/gate"}],
    }  # fmt: skip
    path = tmp_path / "edge.yaml"
    path.write_text(yaml.safe_dump(config))
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.edge_bridge.run_edge_once", str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    modules = set(json.loads(done.stdout.splitlines()[-1]))
    assert {"aiohttp", "pydantic", "edge_bridge"} <= modules
    assert not modules & NOT_NEEDED

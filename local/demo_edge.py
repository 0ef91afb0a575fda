"""The demo's edge device: its configuration and its program."""

import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from local.devices import edge_environment
from local.folder import DataFolder
from local.ports import HOST
from local.program import Program, vigil

EDGE = "demo-edge"
_PASSWORD = "VIGIL_EDGE_PAGE_PASSWORD"  # noqa: S105 - the variable's name


def edge_program(
    folder: DataFolder,
    env: Mapping[str, str],
    *,
    site: str,
    cameras: Sequence[tuple[str, str]],
    port: int,
    password: str,
    endpoint: str,
) -> Program:
    """Write the configuration for cameras (name, address), and return the program that runs it.

    `env` has the settings of the stores; its page listens on `port`. `endpoint`: where devices
    reach S3 and SQS.
    """
    path = folder.path / "edge.yaml"
    _write(path, env, site, cameras, port, endpoint)
    # SIGTERM, not SIGKILL, if the demo dies: then the edge writes the ends of its runs.
    return Program(
        "edge",
        vigil("edge", "run", "--config", str(path)),
        folder,
        {**edge_environment(env), _PASSWORD: password},
        stop_within_s=20,
        death_signal=signal.SIGTERM,
    )


def _write(  # noqa: PLR0917
    path: Path,
    env: Mapping[str, str],
    site: str,
    cameras: Sequence[tuple[str, str]],
    port: int,
    endpoint: str,
) -> None:
    queue_url = env["VIGIL_SQS_QUEUE_URL"].replace(env["VIGIL_SQS_ENDPOINT"], endpoint)
    config: dict[str, Any] = {
        "site": site,
        "edge": EDGE,
        "cloud": {
            "bucket": env["VIGIL_S3_BUCKET"],
            "queue_url": queue_url,
            "region": env["VIGIL_AWS_REGION"],
            "s3_endpoint": endpoint,
            "sqs_endpoint": endpoint,
        },
        "spool": {"dir": "spool", "max_bytes": "2GiB", "free_floor_bytes": "1GiB"},
        "http": {"host": HOST, "port": port, "password_env": _PASSWORD},
        "fragment_s": 4,
        "cameras": [{"id": name, "url": url} for name, url in cameras],
        "inference": {"enabled": True, "model": "hog", "rate_fps": 1},
    }
    path.write_text(yaml.safe_dump(config, sort_keys=False))

"""Runs Helm in tests: renders the charts, as an installation would."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "helm"
TOOLS = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "vigil/tools"
DIGEST = "sha256:" + "a" * 64
GIVEN = (
    "--set",
    "image.repository=registry.example.com/vigil/cloud",
    "--set",
    f"image.digest={DIGEST}",
)
ENVIRONMENTS = ("dev", "staging", "production", "single")
Manifest = dict[str, Any]


def helm(*arguments: str, ok: bool = True) -> str:
    """Run helm; return its standard output, or its errors where it must fail."""
    binary = shutil.which("helm", path=f"{TOOLS}{os.pathsep}{os.environ['PATH']}")
    if binary is None:
        pytest.skip("helm is not on this machine: make infra builds it")
    done = subprocess.run(
        [binary, *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    if ok:
        assert done.returncode == 0, done.stderr
        return done.stdout
    assert done.returncode != 0, f"helm {' '.join(arguments)} succeeded"
    return done.stderr


def render(
    chart: str, *arguments: str, values: str | None = None, version: str = "1.34.0"
) -> list[Manifest]:
    """Return the manifests of a chart, hooks included."""
    chosen = ("-f", str(FOLDER / chart / f"values-{values}.yaml")) if values else ()
    text = helm(
        "template", "vigil", str(FOLDER / chart), "--namespace", "vigil",
        "--kube-version", version, *chosen, *arguments,
    )  # fmt: skip
    return [manifest for manifest in yaml.safe_load_all(text) if manifest]


def of_kind(manifests: list[Manifest], *kinds: str) -> list[Manifest]:
    """Return the manifests of some kinds."""
    return [manifest for manifest in manifests if manifest["kind"] in kinds]


def pods(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Return the pods' specifications by the name of what makes them."""
    return {
        manifest["metadata"]["name"]: manifest["spec"]["template"]["spec"]
        for manifest in of_kind(manifests, "Deployment", "StatefulSet", "Job")
    }

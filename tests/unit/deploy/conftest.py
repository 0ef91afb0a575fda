"""A release in a folder, and programs that record how they were called."""

import json
import os
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploy.release import Release, ReleasedImage, hash_of

ROOT = Path(__file__).parents[3]
CLOUD, EDGE, OLD = ("sha256:" + letter * 64 for letter in "abc")
COMMIT = "d" * 40
_PROGRAM = """#!{python} -IS
import json, pathlib, sys

folder = pathlib.Path({folder!r})
call = " ".join([{name!r}, *sys.argv[1:]])
with (folder / "calls").open("a") as calls:
    calls.write(call + "\\n")
for part, code, printed in reversed(json.loads((folder / "answers.json").read_text())):
    if part in call:
        (sys.stdout if code == 0 else sys.stderr).write(printed)
        sys.exit(code)
"""


@dataclass
class Programs:
    """Fakes of cosign, helm, kubectl and aws. The newest answer that fits a call is given."""

    folder: Path

    def __post_init__(self) -> None:
        self._answers: list[tuple[str, int, str]] = []
        self._write()
        for name in ("cosign", "helm", "kubectl", "aws"):
            file = self.folder / name
            file.write_text(
                _PROGRAM.format(python=sys.executable, folder=str(self.folder), name=name)
            )
            file.chmod(file.stat().st_mode | stat.S_IEXEC)

    def answer(self, part: str, printed: object = "", code: int = 0) -> None:
        """Answer calls that contain a part of a command line."""
        text = printed if isinstance(printed, str) else json.dumps(printed)
        self._answers.append((part, code, text))
        self._write()

    def calls(self, part: str = "") -> list[str]:
        """Return the command lines so far that contain a part."""
        file = self.folder / "calls"
        lines = file.read_text().splitlines() if file.exists() else []
        return [line for line in lines if part in line]

    def _write(self) -> None:
        (self.folder / "answers.json").write_text(json.dumps(self._answers))


def statement(predicate: dict[str, Any]) -> str:
    """Return what cosign prints for an attestation."""
    import base64

    payload = base64.b64encode(json.dumps({"predicate": predicate}).encode()).decode()
    return json.dumps({"payload": payload})


def pod(name: str, digest: str = CLOUD, ready: bool = True, **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, **metadata},
        "spec": {"containers": [{"image": f"registry.example.com/vigil/cloud@{digest}"}]},
        "status": {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]},
    }


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """All is well: signed, installed once before, all pods ready."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    programs = Programs(folder)
    provenance = {
        "buildDefinition": {"resolvedDependencies": [{"digest": {"gitCommit": COMMIT}}]},
        "runDetails": {"builder": {"id": "https://github.com/example/vigil/release.yaml"}},
    }
    programs.answer("verify-attestation", statement(provenance))
    revisions = [{"revision": 1, "status": "superseded"}, {"revision": 2, "status": "deployed"}]
    programs.answer("helm history", revisions)
    values = {"image": {"digest": OLD}, "ingress": {"host": "vigil.example.com"}}
    programs.answer("helm get values", values)
    programs.answer("kubectl get pods", {"items": [pod("vigil-web-0")]})
    return programs


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Release:
    """A record and a chart in the working folder, as the pipeline brings them."""
    monkeypatch.chdir(tmp_path)
    chart = tmp_path / "helm/vigil"
    chart.mkdir(parents=True)
    (chart / "values-production.yaml").write_text("a: 1\n")
    (tmp_path / "deploy").mkdir()
    environments = (ROOT / "deploy/environments.json").read_text()
    (tmp_path / "deploy/environments.json").write_text(environments)
    images = {
        "cloud": ReleasedImage("registry.example.com/vigil/cloud", CLOUD),
        "edge-cpu": ReleasedImage("registry.example.com/vigil/edge-cpu", EDGE),
    }
    release = Release("1.2.0", COMMIT, hash_of(chart), images)
    release.write(tmp_path / "build/release/release.json")
    return release


@pytest.fixture
def deploy(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run `make deploy` with variables; return its status."""
    from deploy import install

    monkeypatch.setattr(install, "SMOKE_S", 0)

    def run(**given: str) -> int:
        variables = {
            "ENV": "staging",
            "DIGEST": CLOUD,
            "KEY": "cosign.pub",
            "VIGIL_PIPELINE_EXECUTION": "",
            "VIGIL_APPROVALS_ROLE": "",
            "BUILDER": "",
            "SMOKE_URL": "http://127.0.0.1:1/readyz",
        }
        for name, value in (variables | given).items():
            monkeypatch.setenv(name, value)
        return install.main()

    return run

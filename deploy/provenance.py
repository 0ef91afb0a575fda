"""Where an image comes from: a SLSA provenance, which cosign puts into an in-toto statement.

The same job builds and signs, so this is SLSA's build level 2, not 3. Who can change the workflow
on a protected tag can write anything here.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.release import Release

BUILD_TYPE = "https://github.com/example/vigil/make-images/v1"
LOCAL_BUILDER = "local"
_BASE = re.compile(r"^ARG [A-Z]+=(\S+)@sha256:([0-9a-f]{64})$", re.MULTILINE)
_DOCKERFILES = (Path("ops/images/cloud.Dockerfile"), Path("edge_bridge/container/Dockerfile"))


def predicate(release: Release, name: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the provenance of an image. `environment`: that of the build (GitHub's variables)."""
    server = environment.get("GITHUB_SERVER_URL", "https://github.com")
    repository = environment.get("GITHUB_REPOSITORY", "example/vigil")
    ref = environment.get("GITHUB_REF", "")
    run = environment.get("GITHUB_RUN_ID")
    workflow = environment.get("GITHUB_WORKFLOW_REF")
    bases = [
        {"uri": f"docker:{base}", "digest": {"sha256": digest}}
        for file in _DOCKERFILES
        if file.exists()
        for base, digest in _BASE.findall(file.read_text())
    ]
    source = {"uri": f"git+{server}/{repository}", "digest": {"gitCommit": release.commit}}
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {"image": name, "version": release.version, "ref": ref},
            "resolvedDependencies": [source, *{base["uri"]: base for base in bases}.values()],
        },
        "runDetails": {
            "builder": {"id": f"{server}/{workflow}" if workflow else LOCAL_BUILDER},
            "metadata": {
                "invocationId": f"{server}/{repository}/actions/runs/{run}" if run else "local"
            },
        },
    }


def commit_of(found: Mapping[str, Any]) -> str:
    """Return the commit that a provenance names, or an empty text."""
    dependencies = found.get("buildDefinition", {}).get("resolvedDependencies", [])
    return str(dependencies[0].get("digest", {}).get("gitCommit", "")) if dependencies else ""


def builder_of(found: Mapping[str, Any]) -> str:
    """Return the builder that a provenance names, or an empty text."""
    return str(found.get("runDetails", {}).get("builder", {}).get("id", ""))


def build_environment() -> Mapping[str, str]:
    """Return the variables of this build."""
    return os.environ

"""Install a release in an environment: `make deploy ENV=staging DIGEST=sha256:…`.

It refuses an unknown environment, a digest that is not of the release, and an image without our
signature. It refuses an environment that lacks the approval it needs. Helm goes back by itself
where a program does not become ready. A smoke check follows; where it fails, the revision before
comes back.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.release import CHART, RECORD, Release
from deploy.signatures import verify
from deploy.tools import DeliveryError, ProgramError, report, required, run

ENVIRONMENTS = Path("deploy/environments.json")
NAMESPACE = "vigil"
RELEASE_NAME = "vigil"
IMAGE = "cloud"
"""The image that the chart runs. The device's images are installed by site."""
PIPELINE = "vigil"
TIMEOUT = "20m"
"""Longer than the slowest start: the tables of an assembler recover from Kafka."""
SMOKE_S = 180
_PAUSE_S = 3


@dataclass(frozen=True)
class Request:
    """What is installed where, and what permits it."""

    environment: str
    digest: str
    key: str
    builder: str = ""
    execution: str = ""
    approvals_role: str = ""
    smoke_url: str = ""


def install(request: Request, record: Path, chart: Path) -> Release:
    """Install and check; return the release. Raises DeliveryError where it was not installed."""
    release = check(request, record, chart)
    _upgrade(request, release, chart)
    _check_or_go_back(request)
    return release


def check(request: Request, record: Path, chart: Path) -> Release:
    """Return the release if it may be installed. Raises DeliveryError with the reason if not."""
    environments = json.loads(ENVIRONMENTS.read_text())
    if request.environment not in environments:
        raise DeliveryError(
            f"There is no environment {request.environment!r}: name {', '.join(environments)}."
        )
    release = verify(record, request.key, chart, request.builder, only=IMAGE)
    if (name := release.image_of(request.digest)) != IMAGE:
        raise DeliveryError(
            f"{request.digest} is the image {name}; the chart runs the image {IMAGE}."
        )
    if environments[request.environment]["approval"] and not (
        approved(request) or request.digest in installed_before()
    ):
        raise DeliveryError(
            f"No one approved this release for {request.environment}. Release it through the "
            "pipeline: it asks for the approval (docs/how-to/release.md)."
        )
    return release


def approved(request: Request) -> bool:
    """Whether a person approved the execution of the pipeline that runs this."""
    if not request.execution:
        return False
    environment = _role(request.approvals_role) if request.approvals_role else {}
    printed = run(
        "aws", "codepipeline", "list-action-executions", "--pipeline-name", PIPELINE,
        "--filter", f"pipelineExecutionId={request.execution}", "--output", "json",
        environment=environment,
    )  # fmt: skip
    stage = f"{request.environment}-approval"
    return any(
        each["stageName"] == stage
        and each["actionName"] == "approve"
        and each["status"] == "Succeeded"
        and each["pipelineExecutionId"] == request.execution
        for each in json.loads(printed)["actionExecutionDetails"]
    )


def installed_before() -> set[str]:
    """Return the digests that ran here: what goes back to one of them was approved already."""
    try:
        history = json.loads(
            run("helm", "history", RELEASE_NAME, *_namespace(), "--output", "json")
        )
    except ProgramError:
        return set()
    return {
        digest
        for revision in history
        if revision["status"] in {"deployed", "superseded"}
        and (digest := _values(str(revision["revision"])).get("image", {}).get("digest"))
    }


def _upgrade(request: Request, release: Release, chart: Path) -> None:
    image = release.images[IMAGE]
    try:
        run(
            "helm", "upgrade", RELEASE_NAME, str(chart), "--install", *_namespace(),
            "--values", str(chart / f"values-{request.environment}.yaml"),
            "--set-string", f"image.repository={image.repository}",
            "--set-string", f"image.digest={image.digest}",
            "--atomic", "--wait", "--timeout", TIMEOUT, "--history-max", "20",
            "--description", f"release {release.version} {release.commit}",
        )  # fmt: skip
    except ProgramError as error:
        raise DeliveryError(
            f"Release {release.version} did not become ready. The revision before is back. {error}"
        ) from error


def _check_or_go_back(request: Request) -> None:
    try:
        _smoke(request)
    except DeliveryError as error:
        history = json.loads(
            run("helm", "history", RELEASE_NAME, *_namespace(), "--output", "json")
        )
        before = [each["revision"] for each in history if each["status"] == "superseded"]
        if not before:
            raise DeliveryError(f"{error} There is no revision before this one.") from error
        run(
            "helm", "rollback", RELEASE_NAME, str(max(before)), *_namespace(),
            "--wait", "--timeout", TIMEOUT,
        )  # fmt: skip
        raise DeliveryError(f"{error} Revision {max(before)} is back.") from error


def _smoke(request: Request) -> None:
    """Check that each pod runs the digest and is ready, and that the address of people answers."""
    wrong = pods_not_running(request.digest, json.loads(_pods()))
    if wrong:
        raise DeliveryError(f"Not ready with the new image: {', '.join(wrong)}.")
    url = request.smoke_url or f"https://{_values()['ingress']['host']}/readyz"
    if not wait_until(lambda: answers(url), SMOKE_S):
        raise DeliveryError(f"{url} does not answer 200 within {SMOKE_S} s.")


def pods_not_running(digest: str, pods: Mapping[str, Any]) -> list[str]:
    """Return the names of pods that are not ready or run another image. Jobs are passed over."""
    wrong = []
    for pod in pods["items"]:
        owners = {owner["kind"] for owner in pod["metadata"].get("ownerReferences", [])}
        if "Job" in owners or pod["metadata"].get("deletionTimestamp"):
            continue
        images = [container["image"] for container in pod["spec"]["containers"]]
        conditions = pod.get("status", {}).get("conditions", [])
        ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
        if not ready or not all(image.endswith(f"@{digest}") for image in images):
            wrong.append(pod["metadata"]["name"])
    return wrong if pods["items"] else ["no pod at all"]


def answers(url: str) -> bool:
    """Whether an address answers 200."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (OSError, urllib.error.HTTPError):
        return False


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Ask again and again until it is so or the time is over."""
    until_s = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until_s:
            return False
        time.sleep(_PAUSE_S)
    return True


def _pods() -> str:
    selector = f"app.kubernetes.io/instance={RELEASE_NAME}"
    return run("kubectl", "get", "pods", *_namespace(), "--selector", selector, "--output", "json")


def _values(revision: str | None = None) -> dict[str, Any]:
    chosen = ("--revision", revision) if revision else ()
    printed = run(
        "helm", "get", "values", RELEASE_NAME, *_namespace(), "--all", *chosen, "--output", "json"
    )
    values: dict[str, Any] = json.loads(printed)
    return values


def _namespace() -> tuple[str, str]:
    return ("--namespace", NAMESPACE)


def _role(arn: str) -> dict[str, str]:
    printed = run(
        "aws", "sts", "assume-role", "--role-arn", arn, "--role-session-name", "vigil-deploy",
        "--output", "json",
    )  # fmt: skip
    credentials = json.loads(printed)["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
        "AWS_SESSION_TOKEN": credentials["SessionToken"],
    }


def main() -> int:
    """Install what the environment's variables name."""
    given = os.environ
    request = Request(
        environment=given.get("ENV", ""),
        digest=given.get("DIGEST", ""),
        key=given.get("KEY", ""),
        builder=given.get("BUILDER", ""),
        execution=given.get("VIGIL_PIPELINE_EXECUTION", ""),
        approvals_role=given.get("VIGIL_APPROVALS_ROLE", ""),
        smoke_url=given.get("SMOKE_URL", ""),
    )
    try:
        required({"ENV": request.environment, "DIGEST": request.digest, "KEY": request.key})
        release = install(request, RECORD, CHART)
    except DeliveryError as error:
        print(f"deploy: {error}", file=sys.stderr)
        return 1
    report(
        f"deploy: release {release.version} runs in {request.environment}",
        [str(release.images[IMAGE])],
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What a real API server accepts of the charts, and what it refuses."""

from typing import Any

import pytest

from tests.cluster.conftest import NAMESPACES
from tests.cluster.control_plane import CommandError, ControlPlane
from tests.infra.helm import ENVIRONMENTS, GIVEN, pods, render

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_each_environment_is_accepted(plane: ControlPlane, environment: str) -> None:
    """Kinds of other projects are checked too: their definitions are installed."""
    manifests = render("vigil", *GIVEN, values=environment)
    text = plane.apply(*manifests, namespace=f"vigil-{environment}", dry_run=True)
    assert text.count("serverside-applied") == len(manifests)
    assert "Warning" not in text


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_each_pod_is_restricted(plane: ControlPlane, environment: str) -> None:
    """The server asks pods only, not what makes them: so each template is a pod here."""
    given = []
    for name, spec in pods(render("vigil", *GIVEN, values=environment)).items():
        claimed = [{"name": "data", "emptyDir": {}}] if name == "vigil-assembler" else []
        given.append(_pod(name, {**spec, "volumes": spec["volumes"] + claimed}))
    text = plane.apply(*given, namespace=f"vigil-{environment}", dry_run=True)
    assert text.count("serverside-applied") == len(given) >= 12


def _pod(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        # The account and the class come with the chart; their absence is not what is asked here.
        "spec": {
            k: v for k, v in spec.items() if k not in ("serviceAccountName", "priorityClassName")
        },
    }


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            {"securityContext": {"privileged": True, "allowPrivilegeEscalation": True}},
            "privileged",
        ),
        ({"securityContext": {"runAsUser": 0}}, "runAsUser=0"),
        ({"securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}}, "capabilities"),
        ({"securityContext": {"seccompProfile": {"type": "Unconfined"}}}, "seccompProfile"),
    ],
)
@pytest.mark.parametrize("namespace", NAMESPACES[:1])
def test_a_pod_with_more_rights_is_refused(
    plane: ControlPlane, namespace: str, change: dict[str, Any], reason: str
) -> None:
    spec = pods(render("vigil", *GIVEN, values="dev"))["vigil-relay"]
    container = spec["containers"][0]
    container["securityContext"] = {**container["securityContext"], **change["securityContext"]}
    with pytest.raises(CommandError, match="violates PodSecurity") as refused:
        plane.apply(_pod("relay", spec), namespace=namespace)
    assert reason in str(refused.value)


def test_an_unknown_field_is_refused(plane: ControlPlane) -> None:
    """So the test above can fail: the server knows the fields of other projects' kinds."""
    manifests = render("vigil", *GIVEN, values="production")
    scaled = next(m for m in manifests if m["kind"] == "ScaledObject")
    scaled["spec"]["maxReplicas"] = 4
    with pytest.raises(CommandError, match=r"maxReplicas"):
        plane.apply(scaled, namespace="vigil-production", dry_run=True)

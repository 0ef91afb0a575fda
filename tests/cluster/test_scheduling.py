"""Where pods run: zones, GPU nodes, and how nodes are drained."""

from collections.abc import Iterator

import pytest

from tests.cluster.control_plane import CommandError, ControlPlane
from tests.cluster.test_release import PRODUCTION, given, ready
from tests.infra.helm import FOLDER, GIVEN, pods, render

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module", autouse=True)
def release(plane: ControlPlane) -> Iterator[None]:
    """Production, as an installation would have it."""
    plane.helm("install", *given("production", "--wait", "--timeout", "180s"))
    # KEDA is absent: as many as it would have at least.
    for kind, name in (
        ("deployment", "relay"),
        ("statefulset", "joiner"),
        ("statefulset", "indexer"),
    ):
        plane.kubectl("scale", kind, f"vigil-{name}", "--replicas=3", "-n", PRODUCTION)
        plane.kubectl(
            "rollout", "status", f"{kind}/vigil-{name}", "-n", PRODUCTION, "--timeout=60s"
        )
    yield
    plane.helm("uninstall", "vigil", "-n", PRODUCTION)


def nodes_of(plane: ControlPlane, program: str) -> list[str]:
    """Return the nodes of a program's pods."""
    found = plane.items("pods", PRODUCTION, "-l", f"app.kubernetes.io/component={program}")
    return sorted(pod["spec"].get("nodeName", "") for pod in found)


def test_programs_are_spread_over_zones_and_avoid_gpus(plane: ControlPlane) -> None:
    for program in ("relay", "assembler", "joiner", "indexer", "web", "link"):
        nodes = nodes_of(plane, program)
        assert len({int(name.removeprefix("cpu-")) % 3 for name in nodes}) == 3, (program, nodes)


def test_a_drain_waits_for_the_budget(plane: ControlPlane) -> None:
    """With nowhere to go, one pod of a program may be away, not two."""
    first, second, _ = nodes_of(plane, "assembler")
    others = [f"cpu-{number}" for number in range(6)]
    plane.kubectl("cordon", *others)
    drain = ("drain", "--ignore-daemonsets", "--delete-emptydir-data")
    plane.kubectl(*drain, first, "--timeout=60s")
    before = ready(plane)
    assert before["assembler"] == 2
    with pytest.raises(CommandError, match="disruption budget"):
        plane.kubectl(*drain, second, "--timeout=8s")
    assert ready(plane)["assembler"] == 2
    plane.kubectl("uncordon", first)
    plane.kubectl(*drain, second, "--timeout=60s")
    plane.kubectl("uncordon", *others)
    for name in ("assembler", "joiner", "link"):
        plane.kubectl(
            "rollout", "status", f"statefulset/vigil-{name}", "-n", PRODUCTION, "--timeout=60s"
        )


def test_pods_without_need_of_a_gpu_never_run_next_to_one(plane: ControlPlane) -> None:
    """Even where there is no other node."""
    others = [f"cpu-{number}" for number in range(6)]
    plane.kubectl("cordon", *others)
    try:
        plane.kubectl("rollout", "restart", "deployment/vigil-web", "-n", PRODUCTION)
        with pytest.raises(CommandError):
            plane.kubectl(
                "rollout", "status", "deployment/vigil-web", "-n", PRODUCTION, "--timeout=5s"
            )
        assert "gpu-0" not in nodes_of(plane, "web")
        assert ready(plane)["web"] == 3
    finally:
        plane.kubectl("uncordon", *others)
    plane.kubectl("rollout", "status", "deployment/vigil-web", "-n", PRODUCTION, "--timeout=60s")


def test_a_replay_with_a_model_runs_on_a_gpu_node(plane: ControlPlane) -> None:
    chosen = ("-f", str(FOLDER / "vigil/values-production.yaml"), *GIVEN, *REPLAY)
    job = next(name for name in pods(render("vigil", *chosen)) if "replay" in name)
    plane.helm("upgrade", *given("production", *REPLAY))
    plane.kubectl(
        "wait", "--for=condition=Complete", f"job/{job}", "-n", PRODUCTION, "--timeout=60s"
    )
    assert nodes_of(plane, "replay") == ["gpu-0"]


REPLAY = (
    "--set", "inference.image.repository=registry.example.com/vigil/inference",
    "--set", "inference.image.digest=sha256:" + "c" * 64,
    "--set-json", 'inference.replays={"people": ["--model", "/models/people.yaml", '
    '"--from", "2026-01-01T00:00:00Z", "--to", "2026-01-02T00:00:00Z"]}',
)  # fmt: skip

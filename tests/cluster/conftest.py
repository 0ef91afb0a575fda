"""The cluster of the tests: the administrator's chart is installed, and its pools have nodes."""

from collections.abc import Iterator

import pytest

from tests.cluster.control_plane import ControlPlane, add_node, control_plane
from tests.infra.helm import ENVIRONMENTS, FOLDER, of_kind, render

NAMESPACES = [f"vigil-{environment}" for environment in ENVIRONMENTS]
"""One for each environment: a cluster of its own would need minutes more."""
DEPLOYED = "vigil"
"""The namespace that `make deploy` knows."""
REPOSITORIES = ("registry.example.com/vigil/cloud", "registry.example.com/vigil/inference")


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A cluster with two nodes for programs in each of three zones, and one with a GPU."""
    with control_plane(tmp_path_factory.mktemp("cluster")) as plane:
        chosen = (
            "--set", "cluster=vigil-dev", "--set", "nodeRole=vigil-dev-node",
            "--set", f"namespaces={{{','.join([*NAMESPACES, DEPLOYED, 'monitoring'])}}}",
            "--set", f"images.repositories={{{','.join(REPOSITORIES)}}}",
        )  # fmt: skip
        plane.kubectl("create", "namespace", "cert-manager")
        plane.helm("install", "vigil-cluster", str(FOLDER / "vigil-cluster"), *chosen)
        pools = {m["metadata"]["name"]: m
                 for m in of_kind(render("vigil-cluster", *chosen), "NodePool")}  # fmt: skip
        for number in range(6):
            add_node(plane, f"cpu-{number}", f"us-east-1{'abc'[number % 3]}", pools["vigil-cpu"])
        add_node(plane, "gpu-0", "us-east-1a", pools["vigil-gpu"], **{"nvidia.com/gpu": "1"})
        yield plane

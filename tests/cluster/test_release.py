"""A release: installed, upgraded, broken and rolled back by Helm."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.cluster.control_plane import MISSING_DIGEST, CommandError, ControlPlane, missing_image
from tests.infra.helm import ENVIRONMENTS, FOLDER, GIVEN

pytestmark = pytest.mark.cluster

CHART = FOLDER / "vigil"
PRODUCTION = "vigil-production"


def given(environment: str, *more: str) -> tuple[str, ...]:
    """Return the arguments of an installation or upgrade."""
    if environment == "single":
        # In this cluster the chart vigil-cluster has made them.
        more = (*more, "--set", "priorityClasses.create=false")
    return ("vigil", str(CHART), "-n", f"vigil-{environment}",
            "-f", str(CHART / f"values-{environment}.yaml"), *GIVEN, *more)  # fmt: skip


def ready(plane: ControlPlane, namespace: str = PRODUCTION) -> dict[str, int]:
    """Return how many pods of each program are ready, with an image that exists."""
    counts: dict[str, int] = {}
    for pod in plane.items("pods", namespace, "-l", "app.kubernetes.io/name=vigil"):
        program = pod["metadata"]["labels"]["app.kubernetes.io/component"]
        is_ready = any(
            c["type"] == "Ready" and c["status"] == "True"
            for c in pod["status"].get("conditions", [])
        )
        good = pod["spec"]["containers"][0]["image"] != missing_image()
        leaving = "deletionTimestamp" in pod["metadata"]
        counts[program] = counts.get(program, 0) + (is_ready and good and not leaving)
    counts.pop("migration", None)
    return counts


@contextmanager
def least_ready(plane: ControlPlane, namespace: str = PRODUCTION) -> Iterator[dict[str, int]]:
    """Observe the pods while something happens; the result holds the least of each program."""
    least = ready(plane, namespace)
    over = threading.Event()

    def observe() -> None:
        while not over.is_set():
            now = ready(plane, namespace)
            for program in least:
                least[program] = min(least[program], now.get(program, 0))
            over.wait(0.3)

    observer = threading.Thread(target=observe)
    observer.start()
    try:
        yield least
    finally:
        over.set()
        observer.join()


def migrations(plane: ControlPlane) -> int:
    """Return how often the migration was completed."""
    events = plane.items("events", PRODUCTION, "--field-selector", "reason=Completed")
    return len({e["involvedObject"]["uid"] for e in events
                if e["involvedObject"]["name"] == "vigil-migration"})  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def releases(plane: ControlPlane) -> Iterator[None]:
    """The chart, installed for each environment: names in one namespace do not meet in another."""
    for environment in ENVIRONMENTS:
        plane.helm("install", *given(environment, "--wait", "--timeout", "180s"))
    yield
    for environment in ENVIRONMENTS:
        plane.helm("uninstall", "vigil", "-n", f"vigil-{environment}")


def test_all_programs_are_ready(plane: ControlPlane) -> None:
    # KEDA is absent: what it scales has the one pod that Kubernetes gives by default.
    scaled = {"relay", "joiner", "indexer"}
    assert ready(plane) == {
        name: 1 if name in scaled else count
        for name, count in {
            "relay": 3, "assembler": 3, "joiner": 3, "indexer": 3, "web": 3, "link": 3, "healer": 1,
            "reconciler": 1, "retention": 1, "audit": 1,
        }.items()
    }  # fmt: skip


def test_the_assembler_has_a_disk_for_each(plane: ControlPlane) -> None:
    claims = plane.items("pvc", PRODUCTION)
    assert {c["metadata"]["name"] for c in claims} == {
        f"data-vigil-assembler-{number}" for number in range(3)
    }
    assert {c["status"]["phase"] for c in claims} == {"Bound"}
    assert {c["spec"]["resources"]["requests"]["storage"] for c in claims} == {"10Gi"}


def test_a_second_release_in_the_namespace_is_refused(plane: ControlPlane) -> None:
    with pytest.raises(CommandError, match="exists and cannot be imported"):
        plane.helm("install", "other", *given("dev")[1:])


def test_an_upgrade_repeats_the_migration_and_keeps_programs_ready(plane: ControlPlane) -> None:
    before, full = migrations(plane), ready(plane)
    with least_ready(plane) as least:
        for level in ("DEBUG", "INFO"):
            plane.helm(
                "upgrade", *given("production", "--wait", "--timeout", "240s",
                                  "--set", f"settings.VIGIL_LOG_LEVEL={level}"),
            )  # fmt: skip
    assert migrations(plane) == before + 2
    for program in ("web", "relay"):
        assert least[program] == full[program], least
    for program in ("assembler", "link"):
        assert least[program] >= full[program] - 1, least


def test_an_image_that_is_missing_fails_before_programs_change(plane: ControlPlane) -> None:
    generations = _generations(plane)
    with pytest.raises(CommandError):
        plane.helm("upgrade", *given("production", "--set", f"image.digest={MISSING_DIGEST}",
                                     "--atomic", "--timeout", "20s"))  # fmt: skip
    assert _generations(plane) == generations
    assert _status(plane) == "deployed"


def test_programs_that_do_not_start_are_rolled_back_while_the_old_serve(
    plane: ControlPlane,
) -> None:
    full = ready(plane)
    with least_ready(plane) as least, pytest.raises(CommandError, match="rolled back"):
        plane.helm("upgrade", *given("production", "--set", f"image.digest={MISSING_DIGEST}",
                                     "--set", "migration.enabled=false",
                                     "--atomic", "--timeout", "40s"))  # fmt: skip
    for program, count in least.items():
        single = full[program] == 1 and program not in ("relay",)
        assert count >= (0 if single else full[program] - 1), (program, least)
    assert least["web"] == full["web"]
    assert ready(plane) == full
    assert _status(plane) == "deployed"


def _generations(plane: ControlPlane) -> dict[str, int]:
    found = plane.items("deployments,statefulsets", PRODUCTION)
    return {m["metadata"]["name"]: m["metadata"]["generation"] for m in found}


def _status(plane: ControlPlane) -> str:
    status: str = json.loads(plane.helm("status", "vigil", "-n", PRODUCTION, "-o", "json"))["info"][
        "status"
    ]
    return status

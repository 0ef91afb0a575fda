"""The images under test: those that `make images` has built."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.images.container import Container
from local.images.engine import Engine, find_engine

TAG = os.environ.get("TAG") or "dev"


@dataclass
class Images:
    """The engine, and the names of the images."""

    engine: Engine

    def name(self, image: str) -> str:
        """Return an image's name with its tag; fails where it was not built."""
        name = f"localhost/{image}:{TAG}"
        if not self.engine.has(name):
            pytest.fail(f"{name} does not exist: run make images first")
        return name


@pytest.fixture(scope="session")
def images() -> Images:
    """The images; podman and runc must be on this machine."""
    if shutil.which("podman") is None:
        pytest.fail("podman is not on this machine: apt-get install podman runc buildah")
    return Images(find_engine(os.environ.get("BASES") or "registry"))


Make = Callable[..., Container]


@pytest.fixture
def make_container(images: Images, tmp_path: Path) -> Iterator[Make]:
    """Make containers, removed after the test: make_container(image, *command, **fields)."""
    made: list[Container] = []

    def make(image: str, *command: str, **fields: object) -> Container:
        name = f"vigil-{tmp_path.name.replace('_', '-')}-{len(made)}"
        made.append(
            Container(images.engine, name, images.name(image), command, **fields)  # type: ignore[arg-type]
        )
        return made[-1]

    yield make
    for container in made:
        container.remove()

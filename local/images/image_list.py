"""Which images there are, and what each is built from."""

from dataclasses import dataclass
from pathlib import Path

CLOUD = Path("ops/images/cloud.Dockerfile")
EDGE = Path("edge_bridge/container/Dockerfile")
DOCKERFILES = (CLOUD, EDGE)


@dataclass(frozen=True)
class Image:
    """One image. `ignore` names what is not in its build context."""

    name: str
    dockerfile: Path
    target: str
    ignore: Path
    venv: str
    """Folder of its Python packages."""
    gpu: bool = False


_CLOUD_IGNORE = Path("ops/images/cloud.Dockerfile.dockerignore")
_EDGE_IGNORE = Path(".dockerignore")

IMAGES = (
    Image("vigil-cloud", CLOUD, "cloud", _CLOUD_IGNORE, "/opt/vigil"),
    Image("vigil-edge-cpu", EDGE, "cpu", _EDGE_IGNORE, "/opt/cpu"),
    Image("vigil-inference", CLOUD, "inference", _CLOUD_IGNORE, "/opt/vigil"),
    Image("vigil-edge-gpu", EDGE, "gpu", _EDGE_IGNORE, "/opt/gpu", gpu=True),
    Image("vigil-inference-gpu", CLOUD, "inference-gpu", _CLOUD_IGNORE, "/opt/vigil", gpu=True),
)


def chosen(names: list[str], *, gpu: bool) -> list[Image]:
    """Return the images of these names; all where none is named, those for GPUs if `gpu`."""
    by_name = {image.name: image for image in IMAGES}
    unknown = sorted(set(names) - set(by_name))
    if unknown:
        raise SystemExit(f"images: there is no image {', '.join(unknown)}: {', '.join(by_name)}")
    if names:
        return [by_name[name] for name in names]
    return [image for image in IMAGES if gpu or not image.gpu]

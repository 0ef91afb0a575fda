"""The images' Dockerfiles: linted, with the same bases, and with what they copy."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from local.folder import project_root
from local.images.bases import pins
from local.images.image_list import CLOUD, DOCKERFILES, IMAGES, Image

ROOT = project_root()


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=str)
def test_it_passes_hadolint(dockerfile: Path) -> None:
    linter = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([linter, ROOT / dockerfile], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_all_have_the_same_bases_by_digest() -> None:
    first, *rest = (pins(ROOT / dockerfile) for dockerfile in DOCKERFILES)
    assert set(first) == {"PYTHON", "RUST"}
    assert all(each == first for each in rest)


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
def test_its_target_and_its_context_exist(image: Image) -> None:
    text = (ROOT / image.dockerfile).read_text()
    assert re.search(rf"^FROM \S+ AS {image.target}$", text, re.MULTILINE)
    ignored = (ROOT / image.ignore).read_text().splitlines()
    assert ignored[1] == "*", "only what is named is part of the context"


def test_what_the_cloud_copies_exists_and_is_not_ignored() -> None:
    text = (ROOT / CLOUD).read_text()
    ignore = (ROOT / f"{CLOUD}.dockerignore").read_text().splitlines()
    kept = {line[1:] for line in ignore if line.startswith("!")}
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", text, flags=re.MULTILINE)
        for source in line.split()[:-1]
    } - {"web/dashboard"}  # fmt: skip
    assert copied and copied <= kept
    assert [each for each in copied if not (ROOT / each).exists()] == []


def test_the_last_stages_run_without_rights() -> None:
    for dockerfile in DOCKERFILES:
        text = (ROOT / dockerfile).read_text()
        for image in IMAGES:
            if image.dockerfile == dockerfile:
                stage = text.partition(f" AS {image.target}\n")[2].partition("\nFROM ")[0]
                assert "\nUSER 10001:10001\n" in stage + "\n", image.name


def test_the_cloud_has_no_onnx_runtime_and_inference_has_one() -> None:
    for name, runtimes in (
        ("cloud", set()), ("inference", {"onnxruntime"}), ("inference-gpu", {"onnxruntime-gpu"})
    ):  # fmt: skip
        lines = (ROOT / "requirements" / f"{name}.txt").read_text()
        found = set(re.findall(r"^(onnxruntime[a-z-]*)(?:\[.*\])?==", lines, flags=re.MULTILINE))
        assert found == runtimes, name

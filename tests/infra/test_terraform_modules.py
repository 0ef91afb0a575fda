"""Each module and root of Terraform: its form, its validity and its own tests."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.infra.terraform import FOLDER, MODULES, ROOTS, Terraform

pytestmark = pytest.mark.infra


def test_all_files_have_terraforms_form(tmp_path: Path) -> None:
    Terraform(FOLDER, tmp_path).run("fmt", "-check", "-recursive", "-diff")


@pytest.mark.parametrize("folder", MODULES + ROOTS, ids=lambda folder: folder.name)
def test_it_is_valid_and_its_tests_pass(folder: Path, tmp_path: Path) -> None:
    terraform = Terraform(folder, tmp_path)
    lock = folder / ".terraform.lock.hcl"
    had_lock = lock.exists()
    try:
        terraform.run("init", "-backend=false", "-input=false", "-no-color")
        terraform.run("validate", "-no-color")
        if (folder / "tests").is_dir() and any((folder / "tests").glob("*.tftest.hcl")):
            printed = terraform.run("test", "-no-color")
            assert ", 0 failed" in printed
    finally:
        if not had_lock:
            lock.unlink(missing_ok=True)


@pytest.mark.parametrize("folder", MODULES + ROOTS, ids=lambda folder: folder.name)
def test_each_has_tests_or_says_where_they_are(folder: Path) -> None:
    """A module without tests of its own is applied by a test of tests/infra."""
    own = list((folder / "tests").glob("*.tftest.hcl")) if (folder / "tests").is_dir() else []
    named = subprocess.run(
        ["grep", "-rl", folder.name, str(Path(__file__).parent), "--include=test_*.py"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    ).stdout
    used_by_a_root = folder.parent.name == "roots"
    assert own or named or used_by_a_root, f"{folder.name} has no test"


def test_all_roots_have_the_same_lock_of_the_provider() -> None:
    """h1: the package of this platform; zh: the archives of all platforms."""
    locks = {(root / ".terraform.lock.hcl").read_text() for root in ROOTS}
    assert len(locks) == 1
    assert locks.pop().count('"zh:') == 15

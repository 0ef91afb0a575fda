"""Runs Terraform in tests: the binary and the provider of this machine, never a download."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "terraform"
MODULES = sorted((FOLDER / "modules").iterdir())
ROOTS = sorted((FOLDER / "roots").iterdir())
_MIRRORS = ("/opt/tf-plugins", "/usr/share/terraform/plugins", "/usr/local/share/terraform/plugins")


def mirror() -> Path:
    """Return the folder that has the AWS provider; VIGIL_TERRAFORM_MIRROR names another one."""
    for place in filter(None, (os.environ.get("VIGIL_TERRAFORM_MIRROR"), *_MIRRORS)):
        if list(Path(place).glob("*/hashicorp/aws")):
            return Path(place)
    pytest.skip("the AWS provider of Terraform is not on this machine: VIGIL_TERRAFORM_MIRROR")


class Terraform:
    """One configuration in a working folder of its own."""

    def __init__(self, configuration: Path, work: Path) -> None:
        """`configuration`: the folder of the root or module; it is not written to."""
        binary = shutil.which("terraform")
        if binary is None:
            pytest.skip("terraform is not on this machine")
        self._binary = binary
        self.folder = configuration
        settings = work / "terraform.rc"
        settings.write_text(
            f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror()}"\n  }}\n}}\n'
        )
        self._env = os.environ | {
            "TF_CLI_CONFIG_FILE": str(settings),
            "TF_DATA_DIR": str(work / "data"),
            "TF_IN_AUTOMATION": "1",
            "CHECKPOINT_DISABLE": "1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def run(self, *arguments: str, ok: bool = True) -> str:
        """Run a command; return what it printed, both streams. Asserts that it succeeds if `ok`."""
        done = subprocess.run(
            [self._binary, f"-chdir={self.folder}", *arguments],
            env=self._env,
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
        printed = done.stdout + done.stderr
        if ok:
            assert done.returncode == 0, f"terraform {' '.join(arguments)}:\n{printed}"
        else:
            assert done.returncode != 0, f"terraform {' '.join(arguments)} succeeded:\n{printed}"
        return printed

    def plan(self, work: Path, *arguments: str) -> dict[str, Any]:
        """Return the plan as JSON."""
        saved = work / "plan"
        self.run("plan", "-input=false", "-no-color", f"-out={saved}", *arguments)
        shown: dict[str, Any] = json.loads(self.run("show", "-json", str(saved)))
        return shown


def changes(plan: dict[str, Any]) -> dict[str, list[str]]:
    """Return the actions by address of what a plan changes."""
    return {
        change["address"]: change["change"]["actions"]
        for change in plan.get("resource_changes", [])
        if change["mode"] == "managed" and change["change"]["actions"] != ["no-op"]
    }


@contextmanager
def copied(names: list[str]) -> Iterator[Path]:
    """Copy folders of terraform/ to a temporary one, so that a test can write in them."""
    with tempfile.TemporaryDirectory(prefix="vigil-terraform-") as work:
        for name in names:
            shutil.copytree(
                FOLDER / name,
                Path(work) / "terraform" / name,
                ignore=shutil.ignore_patterns(".terraform*", "tests"),
            )
        yield Path(work)

"""The golden image: its template is valid, and no secret is in what it is made from."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.infra
IMAGE = Path("ops/edge/image").resolve()


def packer(folder: Path) -> subprocess.CompletedProcess[str]:
    """Validate a template as build.sh builds it."""
    return subprocess.run(
        ["bash", folder / "build.sh", "2026.11.30", folder / "edge.pkr.hcl"],
        check=False, capture_output=True, text=True,
        env={**os.environ, "PACKER_COMMAND": "validate", "CHECKPOINT_DISABLE": "1",
             "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )  # fmt: skip


@pytest.mark.skipif(shutil.which("packer") is None, reason="needs packer")
def test_the_template_is_valid(tmp_path: Path) -> None:
    result = packer(IMAGE)
    assert result.returncode == 0, result.stdout + result.stderr
    # The control: a mistake is found.
    repository = tmp_path / "repository"
    (repository / "ops/edge").mkdir(parents=True)
    for name in ("roles", "ansible.cfg", "image.yml"):
        (repository / "ops/edge" / name).symlink_to(IMAGE.parent / name)
    shutil.copytree(IMAGE, repository / "ops/edge/image")
    template = repository / "ops/edge/image/edge.pkr.hcl"
    template.write_text(template.read_text().replace("disk_size", "disk_sise"))
    assert packer(template.parent).returncode != 0


def test_the_installer_gets_no_password_and_the_layout_of_the_tests() -> None:
    text = (IMAGE / "user-data.in").read_text()
    install = yaml.safe_load(text)["autoinstall"]
    assert install["ssh"]["allow-pw"] is False
    assert "identity" not in install
    assert all(user["lock_passwd"] for user in install["user-data"]["users"])
    assert not re.search(r"passwd: [^t]|\$6\$|\$y\$|PRIVATE KEY", text)
    slots = [one["id"] for one in install["storage"]["config"] if one["type"] == "partition"]
    made = re.findall(r"name=(\S+)$", (IMAGE / "disk.sh").read_text(), re.MULTILINE)
    # The footage is a disk of its own there.
    assert ["ESP", *slots[1:]] == made[:-1]
    assert f"--change-name={len(slots)}:state" in text


@pytest.mark.skipif(shutil.which("grub-script-check") is None, reason="needs grub-common")
def test_grub_can_read_the_choice_of_the_slot() -> None:
    subprocess.run(["grub-script-check", IMAGE / "grub.cfg"], check=True)


def test_no_key_is_in_the_repository() -> None:
    listed = subprocess.run(
        ["git", "grep", "-lE", "BEGIN ([A-Z]+ )?PRIVATE KEY", "--", "ops"],
        check=False, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert not listed

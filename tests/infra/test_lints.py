"""What linters say of scripts, roles of Ansible and YAML. Those of Terraform: test_scanners.py."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.infra.edge_site import ANSIBLE, example_site, rendered
from tests.infra.helm import FOLDER

pytestmark = pytest.mark.infra

ROOT = FOLDER.parent
BIN = Path(sys.executable).parent


def lint(*command: str | Path, folder: Path = ROOT) -> None:
    """Run a linter; what it finds is the test's failure."""
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def tracked(*patterns: str) -> list[str]:
    """Return the files of the repository that match."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *patterns],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return [each for each in listed.split("\0") if each]


def test_scripts() -> None:
    scripts = tracked("*.sh", ".ci/run")
    assert len(scripts) > 10
    lint(BIN / "shellcheck", *scripts)


def test_a_mistake_in_a_script_is_found(tmp_path: Path) -> None:
    """So the test above can fail."""
    (tmp_path / "wrong.sh").write_text("#!/bin/sh\nrm -r $1/\n")
    with pytest.raises(AssertionError, match="SC2086"):
        lint(BIN / "shellcheck", tmp_path / "wrong.sh")


def test_the_scripts_that_ansible_writes(tmp_path: Path) -> None:
    templates = sorted(ANSIBLE.glob("roles/*/templates/*.sh.j2"))
    assert templates
    for each in templates:
        lint(BIN / "shellcheck", rendered(each.parts[-3], each.name, example_site(), tmp_path))


def test_roles_of_ansible() -> None:
    """Profile production: the strictest one."""
    lint(BIN / "ansible-lint", "--offline", "--nocolor", "--profile=production", folder=ANSIBLE)


def test_yaml() -> None:
    """Templates of Helm are not YAML before they are rendered."""
    lint(BIN / "yamllint", "--strict", *tracked("*.yaml", "*.yml", ":!helm/*/templates/*"))


@pytest.mark.skipif(
    not Path("/usr/sbin/nft").exists() or os.geteuid() != 0, reason="nft needs root"
)
@pytest.mark.parametrize("key", ["", "ssh-ed25519 AAAA people"])
def test_the_firewall_is_valid(tmp_path: Path, key: str) -> None:
    """As the role asks before it writes the file. With real packets: test_edge_firewall.py."""
    rules = rendered(
        "firewall", "nftables.conf.j2", example_site(), tmp_path, ssh_ca_public_key=key
    )
    lint("/usr/sbin/nft", "--check", "--file", rules)

"""A device's network in namespaces: the device between cameras and the management network."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from domain.site_file import SiteFile
from domain.site_file.inventory import inventory
from tests.infra.terraform import FOLDER

ROOT = FOLDER.parent
ANSIBLE = ROOT / "ops/edge"
EXAMPLE = ROOT / "ops/sites/example/s0042.yaml"
BIN = Path(sys.executable).parent


def example_site(**changes: Any) -> SiteFile:
    """Return the example's site, without VLANs: each of them is a veth here."""
    data = yaml.safe_load(EXAMPLE.read_text())
    del data["management"]["vlan"], data["cameras"]["vlan"]
    return SiteFile.model_validate({**data, **changes})


def rendered(role: str, template: str, site: SiteFile, work: Path, **variables: Any) -> Path:
    """Return a role's template as Ansible renders it for a site's first device."""
    hosts = inventory([site], {site.id: ["198.51.100.1", "198.51.100.2"]})
    (work / "inventory.json").write_text(json.dumps(hosts))
    (work / "inventory.sh").write_text(f"#!/bin/sh\ncat {work}/inventory.json\n")
    (work / "inventory.sh").chmod(0o755)
    target = work / template.removesuffix(".j2")
    play = [
        {
            "hosts": "edge",
            "gather_facts": False,
            "connection": "local",
            "vars_files": [
                str(ANSIBLE / "group_vars/edge.yml"),
                *(
                    str(ANSIBLE / "roles" / each / "defaults/main.yml")
                    for each in ("network", "ssh", role)
                ),
            ],
            "vars": {"ansible_python_interpreter": sys.executable},
            "tasks": [
                {
                    "ansible.builtin.template": {
                        "src": str(ANSIBLE / "roles" / role / "templates" / template),
                        "dest": str(target),
                    }
                }
            ],
        }
    ]
    (work / "play.yml").write_text(yaml.safe_dump(play))
    subprocess.run(
        [BIN / "ansible-playbook", "-i", "inventory.sh", "-e", json.dumps(variables), "play.yml"],
        cwd=work, check=True, stdout=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,  # Ansible refuses one that does not block
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8",
             "ANSIBLE_LOCALHOST_WARNING": "false"},
    )  # fmt: skip
    return target


def run_tasks(
    role: str, files: Sequence[str], work: Path, *, variables: Mapping[str, Any],
    fails: bool = False,
) -> str:  # fmt: skip
    """Run files of a role's tasks on this machine; return what Ansible printed, in one line.

    Programs in the folder `bin` of `work` take the place of the system's.
    """
    tasks = [{"ansible.builtin.include_role": {"name": role, "tasks_from": each}} for each in files]
    play = [{"hosts": "localhost", "connection": "local", "gather_facts": False,
             "vars": {"ansible_python_interpreter": sys.executable}, "tasks": tasks}]  # fmt: skip
    (work / "play.yml").write_text(yaml.safe_dump(play))
    done = subprocess.run(
        [BIN / "ansible-playbook", "-i", "localhost,", "-e", json.dumps(variables), "play.yml"],
        cwd=work, check=False, capture_output=True, text=True,
        stdin=subprocess.DEVNULL,  # Ansible refuses one that does not block
        env={**os.environ, "PATH": f"{work}/bin:{BIN}:{os.environ['PATH']}",
             "ANSIBLE_ROLES_PATH": str(ANSIBLE / "roles"), "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    assert (done.returncode != 0) == fails, done.stdout[-3000:] + done.stderr[-1000:]
    return " ".join(done.stdout.split())


@dataclass(frozen=True)
class Namespace:
    """A network namespace of this machine."""

    name: str

    def run(self, *command: str | Path, ok: bool = True) -> str:
        """Run a command in it; return what it printed."""
        return subprocess.run(
            ["ip", "netns", "exec", self.name, *command],
            check=ok, capture_output=True, text=True, timeout=60,
        ).stdout  # fmt: skip

    def start(self, *command: str | Path) -> "subprocess.Popen[bytes]":
        """Start a program in it."""
        return subprocess.Popen(["ip", "netns", "exec", self.name, *command])


@contextmanager
def namespaces(*names: str) -> Iterator[list[Namespace]]:
    """Make namespaces with a loopback; remove them at the end."""
    made = [Namespace(f"vigil{os.getpid()}-{name}") for name in names]
    try:
        for each in made:
            subprocess.run(["ip", "netns", "add", each.name], check=True)
            each.run("ip", "link", "set", "lo", "up")
        yield made
    finally:
        for each in made:
            subprocess.run(["ip", "netns", "del", each.name], check=False)


def join(
    one: Namespace, one_interface: str, one_addresses: Sequence[str],
    other: Namespace, other_interface: str, other_addresses: Sequence[str],
) -> None:  # fmt: skip
    """Join two namespaces by a cable."""
    subprocess.run(
        ["ip", "link", "add", one_interface, "netns", one.name, "type", "veth",
         "peer", "name", other_interface, "netns", other.name],
        check=True,
    )  # fmt: skip
    for namespace, interface, addresses in (
        (one, one_interface, one_addresses),
        (other, other_interface, other_addresses),
    ):
        for address in addresses:
            nodad = ["nodad"] if ":" in address else []
            namespace.run("ip", "addr", "add", address, "dev", interface, *nodad)
        namespace.run("ip", "link", "set", interface, "up")

"""What can be wrong at a site ends a run with a sentence; the next run goes on."""

from pathlib import Path
from typing import Any

import pytest

from domain.site_file.inventory import inventory
from tests.infra.edge_site import example_site, run_tasks

pytestmark = pytest.mark.lab
NO_ANSWER = "^,?,192.0.2.1,0,6,0,4294967295,0.0,0.0,0.0"
ANSWER = "^,*,192.0.2.1,2,6,377,12,0.000012,0.000013,0.000220"


def variables() -> dict[str, Any]:
    """Return what the inventory says of the example's device."""
    site = example_site()
    hosts = inventory([site], {})
    device: dict[str, Any] = hosts["_meta"]["hostvars"]["s0042-edge-1"]
    return {**hosts["s0042"]["vars"], **device}


def test_an_interface_that_is_not_there_is_named_before_anything_changes(tmp_path: Path) -> None:
    facts = {"ansible_facts": {"interfaces": ["lo", "enp3s0", "eno1"]}}
    printed = run_tasks(
        "base", ("check.yml",), tmp_path, variables=variables() | facts, fails=True
    )  # fmt: skip
    assert "This device has no interface eno2: it has eno1, enp3s0." in printed
    facts["ansible_facts"]["interfaces"].append("eno2")
    run_tasks("base", ("check.yml",), tmp_path, variables=variables() | facts)


def test_a_host_that_no_site_names_is_refused(tmp_path: Path) -> None:
    printed = run_tasks("base", ("check.yml",), tmp_path, variables={}, fails=True)
    assert "This host has no site. Make the inventory by `vigil site inventory`" in printed


def test_a_site_without_ntp_learns_it_at_the_end(tmp_path: Path) -> None:
    """In chrony's place a program that prints its table."""
    program = tmp_path / "bin/chronyc"
    program.parent.mkdir()
    own = {**variables(), "time_answer_tries": 1}
    for line, fails in ((NO_ANSWER, True), (ANSWER, False)):
        program.write_text(f"#!/bin/sh\necho '{line}'\n")
        program.chmod(0o755)
        printed = run_tasks("time", ("check.yml",), tmp_path, variables=own, fails=fails)
        assert ("No time server answers (time.aws.com, " in printed) == fails

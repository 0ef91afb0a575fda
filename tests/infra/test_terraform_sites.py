"""Sites in Terraform: one more or one less changes nothing that another site has.

Plans from an empty state are compared. What two plans say alike of an address does not change by
the step from one to the other. moto keeps only a part of a VPN: a state of it would always drift.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.aws import client
from tests.infra.moto import REGION, moto_server, provider
from tests.infra.terraform import Terraform, copied

pytestmark = pytest.mark.infra

CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate"
SHARED = {
    "network": {
        "isolated_networks": ["10.64.244.0/24"],
        "transit_gateway_id": "tgw-1",
        "sites_route_table_id": "tgw-rtb-1",
        "vpc_route_table_id": "tgw-rtb-2",
    },
    "data": {
        "log_kms_key_arn": "arn:aws:kms:us-east-1:123456789012:key/1",
        "alarm_topic_arn": "arn:aws:sns:us-east-1:123456789012:alarms",
    },
}
RESOURCES_OF_A_SITE = 9


def write_sites(folder: Path, numbers: list[int]) -> None:
    """Write a file for each site, and remove the others."""
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.yaml"):
        old.unlink()
    for number in numbers:
        network = f"10.128.{number // 16}.{number % 16 * 16}/28"
        (folder / f"s{number:04d}.yaml").write_text(
            f"id: s{number:04d}\nsite: acme/site-{number}\nring: rest\n"
            f"management: {{network: {network}}}\n"
            f'vpn: {{certificate_arn: "{CERTIFICATE}/{number}"}}\n'
        )


@pytest.fixture(scope="module")
def root() -> Iterator[tuple[Terraform, Path]]:
    """The root of sites in a copy; the parameters of other roots are in moto's SSM."""
    with moto_server() as address, copied(["modules", "roots/sites"]) as work:
        ssm = client("ssm", address, region=REGION)
        for name, value in SHARED.items():
            ssm.put_parameter(
                Name=f"/vigil/vigil-dev/{name}", Type="String", Value=json.dumps(value)
            )
        folder = work / "terraform/roots/sites"
        (folder / "versions.tf").write_text(provider(address))
        (folder / "terraform.tfvars.json").write_text(
            json.dumps({"environment": "dev", "account_id": "123456789012", "sites_dir": "sites"})
        )
        terraform = Terraform(folder, work)
        terraform.run("init", "-input=false", "-no-color")
        yield terraform, work


def planned(root: tuple[Terraform, Path], numbers: list[int]) -> dict[str, Any]:
    """Return what a plan for these sites says of each address."""
    terraform, work = root
    write_sites(terraform.folder / "sites", numbers)
    plan = terraform.plan(work)
    return {
        change["address"]: (change["change"]["after"], change["change"]["after_unknown"])
        for change in plan["resource_changes"]
        if change["mode"] == "managed"
    }


FIFTY = list(range(1, 51))


@pytest.fixture(scope="module")
def fifty(root: tuple[Terraform, Path]) -> dict[str, Any]:
    """What is planned for fifty sites."""
    found = planned(root, FIFTY)
    assert len(found) == 50 * RESOURCES_OF_A_SITE + 1  # and the check of the file
    return found


def test_the_51st_site_touches_only_its_own(
    root: tuple[Terraform, Path], fifty: dict[str, Any]
) -> None:
    more = planned(root, [51, *FIFTY])
    assert {address: more.get(address) for address in fifty} == fifty
    added = more.keys() - fifty.keys()
    assert len(added) == RESOURCES_OF_A_SITE
    assert all(address.startswith('module.site["s0051"].') for address in added)


def test_without_the_25th_site_no_other_changes(
    root: tuple[Terraform, Path], fifty: dict[str, Any]
) -> None:
    less = planned(root, [number for number in FIFTY if number != 25])
    gone = fifty.keys() - less.keys()
    assert len(gone) == RESOURCES_OF_A_SITE
    assert all(address.startswith('module.site["s0025"].') for address in gone)
    assert {address: fifty[address] for address in less} == less


def test_the_files_are_checked_before_anything_is_planned(root: tuple[Terraform, Path]) -> None:
    terraform, _ = root
    write_sites(terraform.folder / "sites", [1, 2])
    second = terraform.folder / "sites/s0002.yaml"
    text = second.read_text().replace("acme/site-2", "Acme/site-2")
    second.write_text(text.replace("10.128.0.32", "10.128.0.16"))
    third = terraform.folder / "sites/s0003.yaml"
    third.write_text(
        text.replace("acme/site-2", "acme/site-3").replace("10.128.0.32", "10.128.9.0")
    )
    printed = terraform.run("plan", "-input=false", "-no-color", ok=False)
    plain = " ".join(printed.replace("│", " ").split())
    assert "s0002.yaml: the site Acme/site-2 is not tenant/site in lower-case letters" in plain
    assert "the management networks of s0001 and s0002 overlap" in plain
    assert "the id s0002 is there 2 times" in plain

"""Site files: the example is right, and each mistake is explained in words."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from domain.site_file import SiteFile, problems_between, warnings_of
from domain.site_file.inventory import inventory
from domain.validation_text import explain_all

EXAMPLE_FILE = Path(__file__).parents[4] / "ops/sites/example/s0042.yaml"
EXAMPLE: dict[str, Any] = yaml.safe_load(EXAMPLE_FILE.read_text())


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    data = deepcopy(EXAMPLE)
    change(data)
    return data


def wrong(change: Callable[[dict[str, Any]], object]) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        SiteFile.model_validate(changed(change))
    return explain_all(caught.value, SiteFile)


def second_device(**values: Any) -> Callable[[dict[str, Any]], object]:
    """Add a device with other values than the first one's."""
    own = {"name": "edge-2", "address": "10.128.2.163", "camera_address": "192.168.50.3", **values}
    return lambda data: data["devices"].append({**data["devices"][0], **own})


def test_the_example_is_right() -> None:
    site = SiteFile.model_validate(EXAMPLE)
    assert problems_between({"s0042.yaml": site}) == []
    assert warnings_of(site) == []
    assert site.upload_kbit == 80_000
    assert site.maintenance.minutes == 120


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda d: d.update(time_zone="Europe/Berln"), "'Europe/Berln' is not a known time zone"),
        (lambda d: d.update(site="Acme/berlin"), "`site`: String should match pattern"),
        (lambda d: d.update(rings="rest"), "unknown key `rings`: did you mean `ring`?"),
        (lambda d: d.pop("ring"), "`ring` is missing"),
        (lambda d: d["maintenance"].update(too="03:00"), "did you mean `to`?"),
        (lambda d: d["maintenance"].update(to="02:30"), "it has 30 minutes"),
        (lambda d: d["maintenance"].update(days=["mon", "mon"]), "a day is there twice"),
        (lambda d: d["cameras"].update(vlan=10), "the same VLAN 10"),
        (lambda d: d["cameras"].update(network="10.128.2.0/24"), "overlaps the management network"),
        (lambda d: d["cameras"].update(network="8.8.8.0/24"), "is not in 10/8"),
        (lambda d: d["cameras"].update(network="192.168.50.1/24"), "write 192.168.50.0/24"),
        (lambda d: d["management"].update(network="10.0.0.0/16"), "not of the size /24 to /29"),
        (lambda d: d["management"].update(gateway="10.128.2.160"), "no host has it"),
        (lambda d: d["devices"][0].update(address="10.128.3.1"), "is not in 10.128.2.160/28"),
        (lambda d: d["devices"][0].update(address="10.128.2.161"), "has the gateway's address"),
        (lambda d: d["devices"][0].update(footage_disk="/dev/sdb"), "String should match pattern"),
        (lambda d: d["devices"][0].update(camera_adress="1"), "did you mean `camera_address`?"),
        (second_device(name="edge-1"), "two devices have the name edge-1"),
        (second_device(address="10.128.2.162"), "two devices have the address 10.128.2.162"),
        (lambda d: d.update(devices=[]), "at least 1 item"),
    ],
)  # fmt: skip
def test_a_mistake_is_explained_in_words(
    change: Callable[[dict[str, Any]], object], text: str
) -> None:
    assert any(text in each for each in wrong(change)), wrong(change)


def test_all_mistakes_are_reported_at_once() -> None:
    def two(data: dict[str, Any]) -> None:
        data["ring"] = "soon"
        data["uplink"]["mbit_s"] = 0

    assert len(wrong(two)) == 2


def test_cameras_need_a_network_of_their_own() -> None:
    def same_interface(data: dict[str, Any]) -> None:
        data["devices"][0]["interfaces"]["cameras"] = "eno1"

    assert SiteFile.model_validate(changed(same_interface))

    def untagged(data: dict[str, Any]) -> None:
        same_interface(data)
        del data["cameras"]["vlan"]

    assert "give the cameras a VLAN" in wrong(untagged)[0]


def test_a_line_that_is_too_thin_is_unwise() -> None:
    site = SiteFile.model_validate(changed(lambda d: d["uplink"].update(mbit_s=50)))
    assert "16 cameras of 4 Mbit/s are 64, and Vigil may use 40" in warnings_of(site)[0]


def test_the_cameras_networks_of_two_sites_may_be_the_same() -> None:
    one = SiteFile.model_validate(EXAMPLE)

    def other(data: dict[str, Any]) -> None:
        data.update(id="s0043", site="acme/bonn")
        data["management"].update(network="10.128.2.176/28", gateway="10.128.2.177")
        data["devices"][0].update(address="10.128.2.178")

    two = SiteFile.model_validate(changed(other))
    assert problems_between({"s0042.yaml": one, "s0043.yaml": two}) == []
    assert [each.split(":")[0] for each in problems_between({"a.yaml": one, "b.yaml": one})] == [
        "a.yaml holds the site s0042",
        "b.yaml holds the site s0042",
        "a.yaml and b.yaml have the id s0042",
        "a.yaml and b.yaml are both acme/berlin",
        "The management networks of a.yaml and b.yaml overlap (10.128.2.160/28, 10.128.2.160/28)",
    ]


def test_the_inventory_names_each_device_once() -> None:
    site = SiteFile.model_validate(changed(second_device()))
    found = inventory([site], {"s0042": ["198.51.100.1", "198.51.100.2"]})
    assert found["ring_rest"]["hosts"] == ["s0042-edge-1", "s0042-edge-2"]
    assert found["s0042"]["vars"]["vigil_tunnel_addresses"] == ["198.51.100.1", "198.51.100.2"]
    assert found["s0042"]["vars"]["vigil_upload_kbit"] == 40_000  # of each of two
    assert found["_meta"]["hostvars"]["s0042-edge-2"]["ansible_host"] == "10.128.2.163"

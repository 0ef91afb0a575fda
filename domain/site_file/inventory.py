"""The inventory of Ansible by the site files: one host per device, groups by site and ring."""

from collections.abc import Iterable, Mapping
from typing import Any

from domain.site_file.model import SiteDevice, SiteFile


def inventory(
    sites: Iterable[SiteFile], tunnels: Mapping[str, list[str]]
) -> dict[str, dict[str, Any]]:
    """Return what Ansible expects of an inventory script (`--list`).

    tunnels: outside addresses of both tunnels by the site's id, from Terraform. A host is called
    id of the site and name of the device, such as s0042-edge-1.
    """
    hosts: dict[str, dict[str, Any]] = {}
    groups: dict[str, dict[str, Any]] = {}
    for site in sites:
        names = [f"{site.id}-{device.name}" for device in site.devices]
        groups[site.id] = {"hosts": names, "vars": _site_variables(site, tunnels)}
        groups.setdefault(f"ring_{site.ring}", {"hosts": []})["hosts"] += names
        for name, device in zip(names, site.devices, strict=True):
            hosts[name] = _device_variables(device)
    groups["edge"] = {"hosts": list(hosts)}
    return {**groups, "_meta": {"hostvars": hosts}}


def _site_variables(site: SiteFile, tunnels: Mapping[str, list[str]]) -> dict[str, Any]:
    """Return the site's variables; their names begin with vigil_, as roles ask for."""
    values = site.model_dump(mode="json", by_alias=True)
    management = values["management"]
    management["dns"] = management["dns"] or [management["gateway"]]
    return {
        "vigil_site_id": site.id,
        "vigil_site": site.site,
        "vigil_time_zone": site.time_zone,
        "vigil_ring": site.ring,
        "vigil_maintenance": values["maintenance"],
        "vigil_uplink": values["uplink"],
        "vigil_upload_kbit": site.upload_kbit,
        "vigil_management": management,
        "vigil_cameras": values["cameras"],
        "vigil_tunnel_addresses": tunnels.get(site.id, []),
    }


def _device_variables(device: SiteDevice) -> dict[str, Any]:
    return {
        "ansible_host": str(device.address),
        "vigil_device": device.name,
        "vigil_address": str(device.address),
        "vigil_camera_address": str(device.camera_address),
        "vigil_interfaces": device.interfaces.model_dump(),
        "vigil_footage_disk": device.footage_disk,
        "vigil_gpu": device.gpu,
    }

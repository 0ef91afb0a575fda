"""What a site file holds, and the rules inside one file.

The form is a public contract: Terraform (roots/sites), the roles of Ansible and `vigil site` read
it. docs/how-to/site.md explains each key.
"""

from datetime import time
from ipaddress import IPv4Address, IPv4Network
from itertools import combinations
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from domain.identity import SITE_PATTERN
from domain.time_of_day import TimeOfDay
from domain.zone_name import ZoneName

VERSION = 1
ID_PATTERN = r"^s[0-9]{4}$"
Ring = Literal["lab", "canary", "early", "rest"]
"""Order in which sites get a change; the first is one that no customer sees."""
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MIN_WINDOW_MIN = 60
"""Shortest maintenance window, minutes: an update with its health check and a rollback fits."""
MAX_CAMERAS = 64


def _parse_network(value: object) -> object:
    """Parse a network. For an address in one, the error has the network that is meant."""
    if not isinstance(value, str) or "/" not in value:
        raise ValueError("write a network such as 192.168.50.0/24")
    try:
        meant = IPv4Network(value, strict=False)
    except ValueError:
        raise ValueError(f"{value} is not an IPv4 network, such as 192.168.50.0/24") from None
    if value != str(meant):
        raise ValueError(f"{value} is an address in a network: write {meant}")
    return meant


Network = Annotated[IPv4Network, BeforeValidator(_parse_network)]
Vlan = Annotated[int, Field(ge=1, le=4094)]
InterfaceName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{0,14}$")]
"""As the kernel names it, such as eno1: VLANs add a point and a number, 15 characters in all."""


class _SiteSection(BaseModel):
    """Settings that belong together. Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_name=True)


class MaintenanceWindow(_SiteSection):
    """When devices of the site may install updates, by its own clock."""

    days: tuple[Weekday, ...] = Field(WEEKDAYS, min_length=1, description="days it begins on")
    begin: TimeOfDay = Field(alias="from", description="such as 02:00")
    end: TimeOfDay = Field(alias="to", description="before `from`: on the next day")

    @field_validator("days")
    @classmethod
    def _once_each(cls, days: tuple[Weekday, ...]) -> tuple[Weekday, ...]:
        if len(set(days)) < len(days):
            raise ValueError("a day is there twice")
        return days

    @model_validator(mode="after")
    def _long_enough(self) -> Self:
        if self.minutes < MIN_WINDOW_MIN:
            raise ValueError(
                f"it has {self.minutes} minutes, and an update with its health check needs "
                f"{MIN_WINDOW_MIN}"
            )
        return self

    @property
    def minutes(self) -> int:
        """How long it is. Equal ends are a whole day."""
        return (_minute(self.end) - _minute(self.begin)) % 1_440 or 1_440


class Uplink(_SiteSection):
    """The site's way out."""

    mbit_s: float = Field(gt=0, le=100_000, description="upload rate of the line")
    share: float = Field(0.8, gt=0, le=1, description="part of it that Vigil may use")
    mtu: int = Field(1_500, ge=1_280, le=9_000, description="of the line, before IPsec")


class Vpn(_SiteSection):
    """The tunnel's end at the site."""

    certificate_arn: str = Field(
        pattern=r"^arn:aws[a-z-]*:acm:", description="ACM certificate of the site's gateway"
    )


class ManagementNetwork(_SiteSection):
    """The network of the devices themselves. It is reachable over the VPN."""

    network: Network
    vlan: Vlan | None = Field(None, description="absent: untagged")
    gateway: IPv4Address
    dns: tuple[IPv4Address, ...] = Field((), max_length=3, description="absent: the gateway")
    ntp: tuple[str, ...] = Field((), max_length=4, description="absent: AWS's and Ubuntu's servers")

    @field_validator("network")
    @classmethod
    def _small_and_private(cls, network: IPv4Network) -> IPv4Network:
        _check_private(network)
        if network.prefixlen < 24 or network.prefixlen > 29:
            raise ValueError(f"{network} is not of the size /24 to /29")
        return network


class CameraNetwork(_SiteSection):
    """The network of the cameras. Nothing is routed to or from it."""

    network: Network
    vlan: Vlan | None = Field(None, description="absent: untagged, on an interface of its own")
    count: int = Field(ge=1, le=MAX_CAMERAS, description="cameras of the site, when all are there")
    mbit_s: float = Field(4.0, gt=0, le=50, description="of one camera, for the plan of the line")

    @field_validator("network")
    @classmethod
    def _private(cls, network: IPv4Network) -> IPv4Network:
        _check_private(network)
        if network.prefixlen < 16 or network.prefixlen > 29:
            raise ValueError(f"{network} is not of the size /16 to /29")
        return network


class Interfaces(_SiteSection):
    """Network interfaces of a device, as Linux names them."""

    management: InterfaceName
    cameras: InterfaceName


class SiteDevice(_SiteSection):
    """One edge device."""

    name: str = Field(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$", description="edge-1")
    address: IPv4Address = Field(description="in the management network")
    camera_address: IPv4Address = Field(description="in the cameras' network")
    interfaces: Interfaces
    footage_disk: str = Field(
        pattern=r"^/dev/disk/by-(id|path)/[A-Za-z0-9._:+@-]+$",
        description="disk of the footage, by id or path: /dev/sdb can be another one tomorrow",
    )
    gpu: bool = False


class SiteFile(_SiteSection):
    """One site."""

    version: Literal[1]
    id: str = Field(pattern=ID_PATTERN, description="never changes, and no other site gets it")
    site: str = Field(pattern=SITE_PATTERN, description="tenant/site as the catalog knows it")
    name: str = Field("", max_length=100, description="shown to people")
    time_zone: ZoneName = Field(description="IANA name, such as Europe/Berlin")
    ring: Ring
    maintenance: MaintenanceWindow
    uplink: Uplink
    vpn: Vpn
    management: ManagementNetwork
    cameras: CameraNetwork
    devices: tuple[SiteDevice, ...] = Field(min_length=1, max_length=2)

    @model_validator(mode="after")
    def _networks_are_apart(self) -> Self:
        if self.management.network.overlaps(self.cameras.network):
            raise ValueError(
                f"the cameras' network {self.cameras.network} overlaps the management network "
                f"{self.management.network}"
            )
        if self.management.vlan is not None and self.management.vlan == self.cameras.vlan:
            raise ValueError(
                f"cameras and management have the same VLAN {self.cameras.vlan}: cameras could "
                "reach the VPN"
            )
        return self

    @model_validator(mode="after")
    def _addresses_fit(self) -> Self:
        _check_host(self.management.gateway, self.management.network, "the gateway")
        for device in self.devices:
            _check_host(device.address, self.management.network, f"{device.name}'s address")
            _check_host(
                device.camera_address, self.cameras.network, f"{device.name}'s camera_address"
            )
            if device.address == self.management.gateway:
                raise ValueError(f"{device.name} has the gateway's address {device.address}")
        return self

    @model_validator(mode="after")
    def _devices_are_distinct(self) -> Self:
        for one, other in combinations(self.devices, 2):
            for what in ("name", "address", "camera_address"):
                if getattr(one, what) == getattr(other, what):
                    raise ValueError(f"two devices have the {what} {getattr(one, what)}")
        return self

    @model_validator(mode="after")
    def _interfaces_are_apart(self) -> Self:
        for device in self.devices:
            shared = device.interfaces.management == device.interfaces.cameras
            if shared and self.cameras.vlan is None:
                raise ValueError(
                    f"{device.name} has cameras and management on {device.interfaces.cameras}: "
                    "give the cameras a VLAN or an interface of their own"
                )
        return self

    @property
    def upload_kbit(self) -> int:
        """Limit of uploads for each device, 1,000 bits a second."""
        return int(self.uplink.mbit_s * self.uplink.share * 1_000 / len(self.devices))


def _minute(at: time) -> int:
    return at.hour * 60 + at.minute


def _check_private(network: IPv4Network) -> None:
    private = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
    if not any(network.subnet_of(IPv4Network(each)) for each in private):
        raise ValueError(f"{network} is not in 10/8, 172.16/12 or 192.168/16")


def _check_host(address: IPv4Address, network: IPv4Network, what: str) -> None:
    if address not in network:
        raise ValueError(f"{what} {address} is not in {network}")
    if address in (network.network_address, network.broadcast_address):
        raise ValueError(f"{what} {address} is the first or last of {network}: no host has it")

"""The `central` part of the edge's configuration."""

import re
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from domain.errors import ConfigError
from edge_bridge.config.secrets import read_secret


class CentralConfig(BaseModel):
    """Where the site's configuration is, and how this device fetches it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str | None = Field(
        None,
        min_length=8,
        description="address of the web workers, https://host[:port]; absent: only an enrolled "
        "device, which asks at the devices' address",
    )
    key_file: Path | None = Field(None, description="file that holds this device's key")
    key_env: str | None = Field(None, description="environment variable of that key")
    ca_file: Path | None = Field(None, description="PEM file of a certificate authority")
    every_s: float = Field(
        60, ge=1, le=86_400, description="seconds between two fetches, approximately"
    )
    trial_s: float = Field(
        60, ge=5, le=3_600, description="seconds that a new version has to become healthy"
    )
    files: Path = Field(
        Path("site"),
        description="folder for relative paths in the site's configuration; no password outside "
        "of it is read",
    )

    hosts: tuple[str, ...] | None = Field(
        None,
        description="networks (192.168.7.0/24) and names of cameras that the site's configuration "
        "may use; absent: any but this device itself and link-local addresses",
    )
    allow_clips: bool = Field(
        False, description="whether the site's configuration may use file:// addresses"
    )

    allow_basic: bool = Field(
        True,
        description="false: cameras of the site's configuration must have allow_basic: false, so "
        "that none gets a password in clear text",
    )
    password_hosts: dict[str, tuple[str, ...]] | None = Field(
        None,
        description="password_file or password_env of the site's configuration -> networks and "
        "names of cameras that may get this password; absent: any camera of `hosts`",
    )
    allow_disable: bool = Field(
        True,
        description="whether people may disable a camera of this device without a new version of "
        "the site's configuration",
    )
    config_key_file: Path | None = Field(
        None,
        description="file with the configuration key in hex, as `vigil config-key list` shows it: "
        "take only what it has signed. An enrolled device has the key from its enrolment",
    )

    @field_validator("hosts")
    @classmethod
    def _networks(cls, hosts: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return _checked(hosts)

    @field_validator("password_hosts")
    @classmethod
    def _password_networks(
        cls, named: dict[str, tuple[str, ...]] | None
    ) -> dict[str, tuple[str, ...]] | None:
        for hosts in (named or {}).values():
            _checked(hosts)
        return named

    @field_validator("url")
    @classmethod
    def _address(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if not parts.hostname or parts.username or parts.query or parts.fragment:
            raise ValueError("write https://host or https://host:port")
        if parts.scheme != "https" and not (
            parts.scheme == "http" and _is_loopback(parts.hostname)
        ):
            raise ValueError("must begin with https://, because http sends the key in clear text")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        keys = bool(self.key_file) + bool(self.key_env)
        if self.url is not None and keys != 1:
            raise ValueError("set either key_file or key_env, one of the two")
        if self.url is None and keys:
            raise ValueError("a key needs `url`, the address where it is valid")
        return self

    def key(self) -> SecretStr:
        """Read the key now, so that a new key is used at the next request. ConfigError."""
        key = read_secret("central", self.key_file, self.key_env)
        text = key.get_secret_value().strip() if key else ""
        if key is None or not text or not (text.isascii() and text.isprintable()):
            raise ConfigError("central: the key is not valid: create one with `vigil key create`.")
        return key

    def config_key(self) -> bytes | None:
        """Return the raw public key in `config_key_file`; None if none is named. ConfigError."""
        key = read_secret("central", self.config_key_file, None)
        if key is None:
            return None
        if not re.fullmatch(r"[0-9a-f]{64}", text := key.get_secret_value().strip().lower()):
            raise ConfigError(
                f"central.config_key_file: {self.config_key_file} is not a public key: write the "
                "64 hex digits that `vigil config-key list` shows."
            )
        return bytes.fromhex(text)

    def rooted(self, folder: Path) -> "CentralConfig":
        """Return a copy with paths relative to `folder` made absolute."""
        named = {
            name: folder / path
            for name in ("key_file", "ca_file", "files", "config_key_file")
            if (path := getattr(self, name)) is not None
        }
        return self.model_copy(update=named)


def _checked(hosts: tuple[str, ...] | None) -> tuple[str, ...] | None:
    for host in hosts or ():
        if "/" in host:
            ip_network(host)  # raises ValueError
    return hosts


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False

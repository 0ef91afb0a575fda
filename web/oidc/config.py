"""The file of OpenID providers (VIGIL_OIDC_FILE): which providers, and which groups have access."""

from functools import cached_property
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from domain.access import Grant, Role, parse_grant
from domain.errors import ConfigError, InvalidIdError
from domain.identity import SLUG
from stores.addresses import HostNetwork, is_loopback
from streams.settings import Settings

MAX_FILE_BYTES = 1 << 20

Text = Annotated[str, Field(min_length=1, max_length=500)]


class ProviderConfig(BaseModel):
    """One OpenID provider."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    id: str = Field(pattern=rf"^{SLUG}$", description="its name in addresses and metrics")
    name: str = Field(min_length=1, max_length=60, description="text of the button")
    issuer: str = Field(max_length=500, description="exactly as the provider writes it")
    client_id: Text = Field(description="our name at the provider")
    client_secret: SecretStr | None = Field(None, description="better: client_secret_file")
    client_secret_file: Path | None = Field(None, description="file that holds the secret")
    scopes: tuple[Text, ...] = Field(
        ("openid", "profile"), description="add offline_access where it gives refresh tokens"
    )
    groups_claim: str | tuple[Text, ...] = Field(
        "groups", description="the claim that lists groups; a list names a claim within claims"
    )
    groups: dict[str, tuple[str, ...]] = Field(
        min_length=1, max_length=2_000, description="group -> roles, each as role:scope"
    )
    ca_file: Path | None = Field(None, description="PEM file of its certificate authority")
    private_networks: tuple[str, ...] = Field(
        (), description="networks that are not of the internet, where the provider may be"
    )
    loopback_http: bool = Field(
        False, description="http and loopback addresses are allowed: for tests and the demo only"
    )
    second_factor_amr: tuple[Text, ...] = Field(
        (), description="values of the claim amr of which a sign-in must have one, such as mfa"
    )
    second_factor_acr: tuple[Text, ...] = Field(
        (), description="values of the claim acr of which a sign-in may have one instead"
    )
    unreachable_minutes: int = Field(
        60, ge=5, le=24 * 60, description="how long sessions live on while it does not answer"
    )

    @field_validator("issuer")
    @classmethod
    def _issuer(cls, issuer: str) -> str:
        parts = urlsplit(issuer)
        if parts.scheme not in {"https", "http"} or not parts.hostname or parts.query:
            raise ValueError("write https://host/path, exactly as the provider does")
        return issuer

    @field_validator("groups")
    @classmethod
    def _groups(cls, groups: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for group, roles in groups.items():
            for role in roles:
                try:
                    grant = parse_grant(role)
                except InvalidIdError as error:
                    raise ValueError(f"group {group!r}: {error}") from None
                if grant.role is Role.EDGE:
                    raise ValueError(f"group {group!r}: the role edge is for devices only")
        return groups

    @field_validator("private_networks")
    @classmethod
    def _networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for text in networks:
            try:
                network = ip_network(text)
            except ValueError as error:
                raise ValueError(f"{text!r}: {error}") from None
            if network.is_link_local or network.is_multicast or network.is_unspecified:
                # Cloud machines answer there with their own credentials.
                raise ValueError(f"{text!r}: no provider is at such an address")
        return networks

    @cached_property
    def grants(self) -> dict[str, tuple[Grant, ...]]:
        """The roles of each group."""
        return {
            group: tuple(parse_grant(role) for role in roles)
            for group, roles in self.groups.items()
        }

    @cached_property
    def claim_path(self) -> tuple[str, ...]:
        """The claim of the groups, as the names that lead to it."""
        claim = self.groups_claim
        return (claim,) if isinstance(claim, str) else claim

    @property
    def unreachable_ms(self) -> int:
        """How long sessions live on while the provider does not answer."""
        return self.unreachable_minutes * 60_000

    @property
    def networks(self) -> tuple[HostNetwork, ...]:
        """Networks that are reached although they are not of the internet."""
        return tuple(ip_network(text) for text in self.private_networks)

    def secret(self) -> str | None:
        """Return the client's secret; None for a public client. Raises ConfigError."""
        if self.client_secret_file is None:
            return None if self.client_secret is None else self.client_secret.get_secret_value()
        if self.client_secret is not None:
            raise ConfigError(
                f"Provider {self.id}: client_secret and client_secret_file are both set: "
                "keep one of them."
            )
        try:
            secret = self.client_secret_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            secret = ""
        if not secret:
            raise ConfigError(
                f"Provider {self.id}: client_secret_file {self.client_secret_file} is empty or "
                "cannot be read."
            )
        return secret


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    providers: tuple[ProviderConfig, ...] = Field(min_length=1, max_length=20)


def read_providers(settings: Settings) -> tuple[ProviderConfig, ...]:
    """Return the configured providers; empty where VIGIL_OIDC_FILE is not set.

    Raises ConfigError that names the first wrong key.
    """
    if settings.oidc_file is None:
        return ()
    providers = _read(settings.oidc_file)
    if len({each.id for each in providers}) != len(providers):
        raise ConfigError(f"{settings.oidc_file}: two providers have the same id.")
    # A person is (issuer, subject): two maps for one issuer would be ambiguous.
    if len({each.issuer for each in providers}) != len(providers):
        raise ConfigError(f"{settings.oidc_file}: two providers have the same issuer.")
    for each in providers:
        each.secret()
        check_url(each, each.issuer, "issuer")
    _check_public_url(settings.public_url, any(each.loopback_http for each in providers))
    return providers


def _read(file: Path) -> tuple[ProviderConfig, ...]:
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_FILE_BYTES + 1)
        content: Any = yaml.safe_load(data) if len(data) <= MAX_FILE_BYTES else None
    except OSError as error:
        raise ConfigError(f"VIGIL_OIDC_FILE: {file} cannot be read: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"VIGIL_OIDC_FILE: {file} is not YAML: {str(error)[:300]}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"VIGIL_OIDC_FILE: {file} has no list `providers`.")
    try:
        return _File.model_validate(content).providers
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"VIGIL_OIDC_FILE: {file}: {place}: {first['msg']}.") from None


def check_url(provider: ProviderConfig, url: str, name: str) -> None:
    """Raise ConfigError where the provider's address is not https.

    `loopback_http` allows http too, to this machine only.
    """
    try:
        parts = urlsplit(url)
        port_fits = parts.port is None or parts.port > 0
    except ValueError:
        raise ConfigError(f"Provider {provider.id}: its {name} is not an address.") from None
    host = parts.hostname or ""
    plain = parts.scheme == "http" and provider.loopback_http and is_loopback(host)
    if not (parts.scheme == "https" or plain) or not host or not port_fits or parts.username:
        raise ConfigError(f"Provider {provider.id}: its {name} is not an https address.")


def _check_public_url(url: str, loopback_http: bool) -> None:
    parts = urlsplit(url)
    plain = parts.scheme == "http" and loopback_http and is_loopback(parts.hostname or "")
    if not (parts.scheme == "https" or plain) or not parts.netloc or parts.path not in {"", "/"}:
        raise ConfigError(
            "VIGIL_PUBLIC_URL: sign-in by an OpenID provider needs the address of this server as "
            "browsers see it, such as https://vigil.example.com."
        )

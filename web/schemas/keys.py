"""API keys."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from domain.display_text import check_text
from domain.key_limits import MAX_GRANTS, MAX_NETWORKS, check_networks
from web.schemas.base import ApiAnswer, ApiRequest
from web.schemas.common import UtcMs
from web.schemas.editable import GrantText, Moment
from web.schemas.pages import PageAnswer, PageQuery
from web.schemas.parameters import Flag

NAME_CHARS = 100


def _check_key_name(name: str) -> str:
    return check_text(name, "name", NAME_CHARS)


def _check_network(network: str) -> str:
    return check_networks([network])[0]


KeyName = Annotated[
    str,
    Field(min_length=1, max_length=NAME_CHARS, description="Name of the key's owner."),
    AfterValidator(_check_key_name),
]
Network = Annotated[str, Field(max_length=50), AfterValidator(_check_network)]


class KeyItem(ApiAnswer):
    """An API key, without the key itself."""

    id: int = Field(description="Its number.")
    name: str = Field(description="Name of its owner.")
    hint: str = Field(description="Its first characters.")
    state: Literal["valid", "expired", "revoked"] = Field(description="Whether it is accepted.")
    grants: list[str] = Field(description="What it may do, and where: role:scope.")
    edge_of: str | None = Field(description="The site of a device's key; null: no device's.")
    networks: list[str] | None = Field(
        description="Only clients of these networks may use it; null: any."
    )
    created_ms: UtcMs = Field(description="When it was created.")
    created_by: str | None = Field(
        description="Who created it, such as `user:3` or `key:1`; null: a command on the server."
    )
    expires_ms: UtcMs | None = Field(description="When it expires; null: it does not.")
    revoked_ms: UtcMs | None = Field(description="When it was revoked; null: it was not.")
    used_ms: UtcMs | None = Field(description="Its last use, to the minute; null: none.")
    rotated_from: int | None = Field(description="Number of the key that it replaces.")
    owner: str | None = Field(
        description="The person whose key it is, such as `user:3`: it may do no more than he, and "
        "stops where he is disabled, erased, or refused by his provider. null: a service's or a "
        "device's."
    )


class CreatedKey(KeyItem):
    """A key that was created just now."""

    key: str = Field(description="The key itself. It is shown once, and stored nowhere.")


class Keys(PageAnswer):
    """A page of keys, the newest first."""

    keys: list[KeyItem]


class KeysQuery(PageQuery):
    """Which keys."""

    ended: Flag = Field(False, description="1: also keys that expired or were revoked.")


class NewKeyRequest(ApiRequest):
    """A key to create. No one gives what he does not have."""

    name: KeyName
    grants: list[GrantText] = Field(
        min_length=1,
        max_length=MAX_GRANTS,
        description="What it may do, and where. The key of a device has the one grant "
        "`edge:TENANT/SITE`.",
    )
    expires_ms: Moment | None = Field(
        None, description="When it expires, UTC ms, within 366 days; null: never."
    )
    networks: list[Network] | None = Field(
        None,
        min_length=1,
        max_length=MAX_NETWORKS,
        description="Only clients of these may use it, such as `10.1.0.0/16`; null: any.",
    )

    service: bool = Field(
        False,
        description="true: for a program that goes on without the person who creates the key. "
        "false: a user's own key, which ends with him. Keys that a service's key creates, and keys "
        "of devices, are never a person's.",
    )


class KeyRotation(ApiRequest):
    """How a key is replaced by a new one with the same name, grants and networks."""

    old_expires_ms: Moment = Field(
        description="When the old key expires, UTC ms, within 31 days. Both are valid until then."
    )
    expires_ms: Moment | None = Field(
        None,
        description="When the new key expires, UTC ms. null: it lives as long as the old one did.",
    )

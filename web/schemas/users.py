"""Users and groups."""

from typing import Annotated

from pydantic import AfterValidator, Field

from domain.access import check_scope
from domain.sign_in import check_login
from web.schemas.base import ApiAnswer, ApiRequest
from web.schemas.common import UtcMs
from web.schemas.editable import DisplayName, GrantText
from web.schemas.pages import PageAnswer, PageQuery

MAX_GRANTS = 200
MAX_MEMBERS = 1_000
MAX_ID = 64

Login = Annotated[
    str,
    Field(
        max_length=100,
        description="Name for the sign-in: a-z, 0-9 and ._@+-. It is stored in lower case.",
    ),
    AfterValidator(check_login),
]
ManagedBy = Annotated[
    str,
    Field(
        max_length=191,
        description="`*`, tenant, tenant/site or tenant/site/camera: who has `users:manage` there "
        "manages it.",
    ),
    AfterValidator(check_scope),
]


class UserItem(ApiAnswer):
    """A user. Grants and groups that the caller does not manage are left out."""

    id: str = Field(description="16 hex digits. The principal is `user:ID`.")
    login: str | None = Field(description="null: he signs in by OpenID Connect only.")
    display_name: str = Field(description="As lists show it.")
    scope: str = Field(description="Who has `users:manage` on this scope manages him.")
    source: str = Field(description="`local`, or `oidc`.")
    iss: str | None = Field(description="Issuer of his OpenID provider; null: he is local.")
    disabled_ms: UtcMs | None = Field(description="Since when he may not sign in; null: he may.")
    created_ms: UtcMs = Field(description="When he was created.")
    updated_ms: UtcMs = Field(description="Last change.")
    has_password: bool = Field(description="Whether he has a password.")
    has_totp: bool = Field(description="Whether he has a second factor.")
    grants: list[str] = Field(description="His own: `role:scope`.")
    groups: list[str] = Field(description="Ids of his groups.")
    group_grants: list[str] = Field(description="What he has by his groups only.")


class Users(PageAnswer):
    """A page of users."""

    users: list[UserItem] = Field(description="The users, by id.")


class UsersQuery(PageQuery):
    """Which users."""


class NewUser(ApiRequest):
    """A user to create. His password is made, and shown once."""

    login: Login
    display_name: DisplayName
    scope: ManagedBy = "*"
    grants: list[GrantText] = Field(
        [], max_length=MAX_GRANTS, description="What he may do, and where."
    )


class CreatedUser(UserItem):
    """A user that was created just now."""

    password: str = Field(description="It is shown once, and stored nowhere. He changes it.")


class UserChange(ApiRequest):
    """What to change; what is missing stays."""

    display_name: DisplayName | None = Field(None, description="The new name.")
    disabled: bool | None = Field(None, description="Whether he may not sign in.")
    grants: list[GrantText] | None = Field(
        None,
        max_length=MAX_GRANTS,
        description="All his own grants that you manage. Others stay as they are.",
    )


class NewPassword(ApiAnswer):
    """A password that was made just now."""

    password: str = Field(description="It is shown once, and stored nowhere. He changes it.")


class GroupItem(ApiAnswer):
    """A group of users with the same grants."""

    id: str = Field(description="16 hex digits.")
    name: str = Field(description="As lists show it; one of its kind in the scope.")
    scope: str = Field(description="Who has `users:manage` on this scope manages it.")
    created_ms: UtcMs = Field(description="When it was created.")
    grants: list[str] = Field(description="What its members have: `role:scope`.")
    members: list[str] = Field(description="Ids of users.")


class Groups(PageAnswer):
    """A page of groups."""

    groups: list[GroupItem] = Field(description="The groups, by id.")


class GroupsQuery(PageQuery):
    """Which groups."""


UserId = Annotated[str, Field(max_length=MAX_ID)]


class NewGroup(ApiRequest):
    """A group to create."""

    name: DisplayName
    scope: ManagedBy = "*"
    grants: list[GrantText] = Field([], max_length=MAX_GRANTS, description="What its members have.")
    members: list[UserId] = Field([], max_length=MAX_MEMBERS, description="Ids of users.")


class GroupChange(ApiRequest):
    """What to change; what is missing stays."""

    name: DisplayName | None = Field(None, description="The new name.")
    grants: list[GrantText] | None = Field(
        None, max_length=MAX_GRANTS, description="All its grants."
    )
    members: list[UserId] | None = Field(
        None,
        max_length=MAX_MEMBERS,
        description="Ids of all users in it. Members by OpenID Connect stay.",
    )

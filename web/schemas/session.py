"""Signing in, and the person's own account."""

from typing import Self

from pydantic import Field, model_validator

from web.schemas.base import ApiAnswer, ApiQuery, ApiRequest
from web.schemas.common import UtcMs

MAX_LOGIN = 256
MAX_SENT_PASSWORD = 1_000
LENGTH_RULE = "12 to 128 characters; no common password."


class SignInRequest(ApiRequest):
    """Either `login` and `password`, and `totp` where the user has a second factor; or `key`."""

    login: str | None = Field(
        None, min_length=1, max_length=MAX_LOGIN, description="Login of a user."
    )
    password: str | None = Field(
        None, min_length=1, max_length=MAX_SENT_PASSWORD, description="His password."
    )
    totp: str | None = Field(
        None,
        max_length=100,
        description="Code of his authenticator app, or a recovery code. Where it is missing, the "
        "answer is 401 of the kind `code-required`.",
    )
    key: str | None = Field(
        None, min_length=1, max_length=1_000, description="An API key, instead of a login."
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        by_key = self.key is not None
        given = (self.login is not None, self.password is not None)
        if given != (not by_key, not by_key) or (by_key and self.totp is not None):
            raise ValueError("send login and password, or key")
        return self


class ScopePermissions(ApiAnswer):
    """What the caller may do below a scope."""

    scope: str = Field(description="`*`, tenant, tenant/site or tenant/site/camera.")
    permissions: list[str] = Field(description="Such as `footage:read`.")


class SessionInfo(ApiAnswer):
    """Who is signed in, and what he may do."""

    id: str = Field(description="The principal: `user:ID` or `key:NUMBER`.")
    name: str = Field(description="Name of the key or the user.")
    login: str | None = Field(description="Of a user with a password; null: none.")
    grants: list[str] = Field(description="What it may do where: `role:scope`.")
    may: list[ScopePermissions] = Field(description="The permissions of the grants, by scope.")
    session: str | None = Field(description="Id of the session; null: the key came directly.")
    has_password: bool = Field(description="Whether it is a user who can change his password.")
    has_totp: bool = Field(description="Whether it is a user with a second factor.")
    must_enrol: bool = Field(
        description="Whether his roles need a second factor, and he has none. Then all else "
        "answers 403 of the kind `second-factor-required`."
    )
    recovery_codes: int | None = Field(
        description="How many are left; null: there is no second factor."
    )


class SessionsQuery(ApiQuery):
    """Whose sessions."""

    user: str | None = Field(
        None,
        max_length=64,
        description="Id of a user, for administrators. Absent: the caller's own.",
    )


class SessionItem(ApiAnswer):
    """An open session."""

    id: str = Field(description="It opens nothing.")
    user: str | None = Field(description="Id of the user; null: an API key signed in.")
    key: int | None = Field(description="Number of the API key; null: a user signed in.")
    current: bool = Field(description="Whether this request uses it.")
    created_ms: UtcMs = Field(description="The sign-in.")
    seen_ms: UtcMs = Field(description="The last request, to the minute.")
    until_ms: UtcMs = Field(description="When it ends even if it is in use.")
    address: str = Field(description="Of the browser at the sign-in.")
    agent: str = Field(description="`User-Agent` of the browser at the sign-in.")


class SessionList(ApiAnswer):
    """Open sessions, the newest first; at most 1,000."""

    sessions: list[SessionItem]


class PasswordChange(ApiRequest):
    """The person's own password."""

    password: str = Field(min_length=1, max_length=MAX_SENT_PASSWORD, description="The one so far.")
    new_password: str = Field(max_length=MAX_SENT_PASSWORD, description=LENGTH_RULE)
    totp: str | None = Field(
        None, max_length=100, description="A code, where there is a second factor."
    )


class PasswordProof(ApiRequest):
    """Shows that it is the person, and not a browser that was left open."""

    password: str = Field(min_length=1, max_length=MAX_SENT_PASSWORD, description="The password.")
    totp: str | None = Field(
        None, max_length=100, description="A code, where there is a second factor."
    )


class TotpEnrolment(ApiAnswer):
    """The secret for the authenticator app. It is shown once."""

    secret: str = Field(description="Base 32, to type in.")
    uri: str = Field(description="`otpauth:` address, for a QR code.")


class TotpConfirmation(ApiRequest):
    """A first code of the authenticator app."""

    totp: str = Field(max_length=100, description="The code that the app shows.")


class RecoveryCodes(ApiAnswer):
    """Codes for a lost phone. They are shown once; each works once."""

    recovery_codes: list[str] = Field(description="Each may be used once instead of a code.")

"""Signing in."""

from pydantic import Field

from web.schemas.base import ApiAnswer, ApiRequest


class KeySignIn(ApiRequest):
    """An API key, to be exchanged for a cookie."""

    key: str = Field(max_length=1_000, description="The API key.")


class SessionInfo(ApiAnswer):
    """Who is signed in."""

    name: str = Field(description="Name of the key or the user.")
    grants: list[str] = Field(description="What it may do where: `role:scope`.")

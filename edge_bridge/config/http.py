"""The `http` section: the local port."""

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator

from edge_bridge.config.secrets import read_secret
from edge_bridge.config.section import ConfigSection


class HttpConfig(ConfigSection):
    """Health and metrics for the site's network, and the page if it has a password."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(ge=0, le=65_535, description="port to listen on; 0: any free one")
    password_file: Path | None = Field(None, description="file that holds the page's password")
    password_env: str | None = Field(None, description="environment variable of that password")
    certificate_file: Path | None = Field(None, description="PEM file; the port then uses HTTPS")
    key_file: Path | None = Field(None, description="PEM file of the certificate's private key")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.password_file and self.password_env:
            raise ValueError("give password_file or password_env, not both")
        if self.key_file and not self.certificate_file:
            raise ValueError("key_file needs a certificate_file")
        return self

    def password(self) -> SecretStr | None:
        """Read the page's password now; None: no page. Raises ConfigError if it is missing."""
        return read_secret("http", self.password_file, self.password_env)

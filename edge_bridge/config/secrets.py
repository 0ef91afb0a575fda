"""Secrets. The configuration names a file or a variable; it never contains the secret."""

import os
from pathlib import Path

from pydantic import SecretStr

from domain.errors import ConfigError


def read_secret(owner: str, file: Path | None, variable: str | None) -> SecretStr | None:
    """Return the content of a file or a variable; None if neither is named. ConfigError."""
    if variable:
        value = os.environ.get(variable)
        if value is None:
            raise ConfigError(f"{owner}: the environment variable {variable} is missing: set it.")
        return SecretStr(value)
    if file:
        try:
            return SecretStr(file.read_text().strip())
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not a text file"
            raise ConfigError(f"{owner}: {file} cannot be read ({reason}).") from error
    return None

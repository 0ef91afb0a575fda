"""Secrets: in a file or a variable that the configuration names, never in it."""

import os
from pathlib import Path

from pydantic import SecretStr

from domain.errors import ConfigError


def read_secret(whose: str, file: Path | None, variable: str | None) -> SecretStr | None:
    """Return what a file or a variable holds, None where neither is named; ConfigError."""
    if variable:
        value = os.environ.get(variable)
        if value is None:
            raise ConfigError(f"{whose}: the environment has no {variable}: set it.")
        return SecretStr(value)
    if file:
        try:
            return SecretStr(file.read_text().strip())
        except (OSError, UnicodeDecodeError) as error:
            said = getattr(error, "strerror", None) or "it is no text"
            raise ConfigError(f"{whose}: {file} cannot be read ({said}).") from error
    return None

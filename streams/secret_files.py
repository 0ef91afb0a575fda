"""Secrets from files, and the complete address of the database. Nothing here prints a secret."""

import ssl
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from domain.errors import ConfigError

SECRETS = (
    "kafka_password",
    "database_url",
    "database_password",
    "web_database_url",
    "link_database_url",
    "index_database_url",
    "admin_database_url",
    "session_secret",
    "link_secret",
)
"""Settings that may be in a file: VIGIL_<NAME>_FILE."""


def from_files(given: dict[str, Any]) -> dict[str, Any]:
    """Return the settings with what the files named in them hold.

    Raises ConfigError where a secret is given twice, or its file cannot be read or is empty.
    """
    read = dict(given)
    for name in SECRETS:
        file = given.get(f"{name}_file")
        if not file:
            continue
        variable = f"VIGIL_{name.upper()}"
        if given.get(name):
            raise ConfigError(f"{variable} and {variable}_FILE are both set: keep one of them.")
        read[name] = read_secret(Path(str(file)), f"{variable}_FILE")
    return read


def read_secret(path: Path, variable: str) -> str:
    """Return the secret in a file that the setting `variable` names; raises ConfigError."""
    try:
        text = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "it is not a text file"
        raise ConfigError(f"{variable}: {path} cannot be read: {cause}.") from None
    if not text:
        raise ConfigError(f"{variable}: {path} is empty.")
    return text


def complete_database_url(url: str, *, password: str, verify: bool, ca_file: Path | None) -> str:
    """Return the address with the password and what TLS has to check.

    A password in the address wins over `password`. Raises ConfigError where the address asks
    for less than is to be checked. It is idempotent.
    """
    try:
        parts = urlsplit(url)
        netloc = _with_password(parts.netloc, password) if password else parts.netloc
    except ValueError:
        raise ConfigError(
            "VIGIL_DATABASE_URL is not an address such as postgresql://user@host/db."
        ) from None
    query = dict(parse_qsl(parts.query))
    if verify:
        if query.get("sslmode", "verify-full") != "verify-full":
            raise ConfigError(
                f"VIGIL_DATABASE_URL says sslmode={query['sslmode']}, but VIGIL_DATABASE_TLS or "
                "VIGIL_DATABASE_CA_FILE ask for verify-full: remove sslmode from the address."
            )
        query["sslmode"] = "verify-full"
        authorities = ca_file or query.get("sslrootcert") or _of_the_system()
        if authorities:
            query["sslrootcert"] = str(authorities)
    return urlunsplit((parts.scheme, netloc, parts.path, urlencode(query), parts.fragment))


def _with_password(netloc: str, password: str) -> str:
    user, at, host = netloc.rpartition("@")
    if not at or ":" in user:
        return netloc
    return f"{user}:{quote(password, safe='')}@{host}"


def _of_the_system() -> str | None:
    return ssl.get_default_verify_paths().cafile

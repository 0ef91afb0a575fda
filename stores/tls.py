"""TLS: the only place that decides which certificates we trust.

A server needs a certificate for the host name that we connect to. A trusted authority must have
signed it: one of the system's, or one in a configured PEM file. No setting turns that off.
"""

import ssl
from pathlib import Path

from domain.errors import ConfigError

WRONG_HOST = 62
"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH."""
WRONG_ADDRESS = 64
"""OpenSSL's X509_V_ERR_IP_ADDRESS_MISMATCH."""
EXPIRED = 10
"""OpenSSL's X509_V_ERR_CERT_HAS_EXPIRED."""
ANSWERS_WITHOUT_TLS = (
    "it answers without TLS, as a login page of the site's network or a proxy does"
)
_NO_TLS_REASONS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")
"""Names that OpenSSL has for what is not TLS at all."""


def client_context(ca_file: Path | str | None) -> ssl.SSLContext:
    """Return the TLS context of a client: TLS 1.2 or newer, with all checks.

    Raises ConfigError where `ca_file` cannot be read or contains no certificate.
    """
    try:
        created = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except ssl.SSLError as error:
        raise ConfigError(
            f"{ca_file} contains no certificate. Configure a PEM file of certificate authorities."
        ) from error
    except OSError as error:
        raise ConfigError(f"The CA file {ca_file} cannot be read: {error.strerror}.") from error
    created.minimum_version = ssl.TLSVersion.TLSv1_2
    return created


def certificate_error_text(error: BaseException | None) -> str | None:
    """Return what is wrong with a server's certificate; None for any other error.

    Checks the causes too: clients wrap OpenSSL's error.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        wraps = getattr(
            error, "certificate_error", None
        )  # aiohttp's wrapper is a subclass of these
        if isinstance(error, ssl.SSLCertVerificationError) and wraps is None:
            return _verification_text(error)
        # Another wrapper of aiohttp is one of these without being initialised as one.
        if isinstance(error, ssl.SSLError) and wraps is None and not hasattr(error, "os_error"):
            if error.reason in _NO_TLS_REASONS:
                return ANSWERS_WITHOUT_TLS
            return f"it does not offer TLS that we accept ({error.reason or error})"
        error = _cause_of(error)
    return None


def _verification_text(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in (WRONG_HOST, WRONG_ADDRESS):
        return f"its certificate is for another host ({error.verify_message.rstrip('.')})"
    if error.verify_code == EXPIRED:
        return "its certificate has expired"
    return (
        "its certificate is not signed by an authority that we trust "
        f"({error.verify_message.rstrip('.')})"
    )


def _cause_of(error: BaseException) -> BaseException | None:
    for name in ("__cause__", "certificate_error", "os_error", "kwargs"):
        inner = getattr(error, name, None)
        if isinstance(inner, dict):  # botocore stores the wrapped error there
            inner = inner.get("error")
        if isinstance(inner, BaseException):
            return inner
    return error.__context__

"""How every client of Kafka authenticates: TLS and SCRAM, from the settings, in one place.

SCRAM and no tokens: aiokafka does not authenticate again when a token expires, and the broker then
ends the connection.
"""

import asyncio
from typing import Any

import faust
from aiokafka.conn import create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from faust.types.auth import CredentialsT

from domain.errors import ConfigError
from stores import tls
from streams import aiokafka_fixes
from streams.settings import Settings

aiokafka_fixes.install()

_REFUSED = (
    AuthenticationFailedError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
    IllegalSaslStateError,
)


def client_options(settings: Settings) -> dict[str, Any]:
    """Return what each aiokafka client is given; raises ConfigError for an unusable CA file."""
    return {"bootstrap_servers": settings.kafka_brokers, **_security(settings)}


def faust_credentials(settings: Settings) -> CredentialsT | None:
    """Return the same for Faust, which hands it to its consumer and its producer alike."""
    if settings.kafka_security == "PLAINTEXT":
        return None
    context = tls.client_context(settings.kafka_ca_file)
    if settings.kafka_security == "SSL":
        return faust.SSLCredentials(context)
    return faust.SASLCredentials(
        username=settings.kafka_username,
        password=settings.kafka_password.get_secret_value(),
        mechanism=settings.kafka_sasl_mechanism,
        ssl_context=context,
    )


def _security(settings: Settings) -> dict[str, Any]:
    if settings.kafka_security == "PLAINTEXT":
        return {}
    options: dict[str, Any] = {
        "security_protocol": settings.kafka_security,
        "ssl_context": tls.client_context(settings.kafka_ca_file),
    }
    if settings.kafka_security == "SASL_SSL":
        options |= {
            "sasl_mechanism": settings.kafka_sasl_mechanism,
            "sasl_plain_username": settings.kafka_username,
            "sasl_plain_password": settings.kafka_password.get_secret_value(),
        }
    return options


async def check_admission(settings: Settings, *, within_s: float = 5.0) -> None:
    """Raise ConfigError if a broker rejects the login, or its certificate is not valid.

    aiokafka reports that only in its log, and raises "unable to bootstrap", as for a broker that
    is down. If the broker is down, this function returns.
    """
    for broker in settings.kafka_brokers.split(","):
        host, _, port = broker.strip().rpartition(":")
        try:
            async with asyncio.timeout(within_s):
                connection = await create_conn(
                    host.strip("[]"),
                    int(port) if port.isdecimal() else 9092,
                    client_id="vigil-admission",
                    request_timeout_ms=round(within_s * 1_000),
                    **_security(settings),
                )
        except (KafkaError, OSError) as error:
            if (refusal := _refusal(error, settings)) is not None:
                raise ConfigError(f"Kafka at {broker.strip()}: {refusal}") from error
        else:
            connection.close()


def _refusal(error: BaseException, settings: Settings) -> str | None:
    if (fault := tls.certificate_error_text(error)) is not None:
        return (
            f"the broker is not trusted: {fault}. Check the host name in VIGIL_KAFKA_BROKERS, "
            "VIGIL_KAFKA_CA_FILE and VIGIL_KAFKA_SECURITY."
        )
    if isinstance(error, _REFUSED):
        return (
            f"the broker rejected the login of {settings.kafka_username!r}. Check "
            "VIGIL_KAFKA_USERNAME, VIGIL_KAFKA_PASSWORD or its file, and "
            "VIGIL_KAFKA_SASL_MECHANISM."
        )
    return None

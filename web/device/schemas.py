"""Bodies of requests and answers at the devices' address."""

from pydantic import Field

from domain.device_renewal import RENEWAL_ID
from domain.identity import CAMERA_PATTERN
from web.schemas.base import ApiAnswer, ApiRequest

DEVICE_ID = Field(pattern=f"^{CAMERA_PATTERN}$", max_length=191, description="tenant/site/device")


class EnrolmentRequest(ApiRequest):
    """An enrolment by a code."""

    code: str = Field(min_length=1, max_length=100, description="The code, as people type it.")
    device: str = DEVICE_ID
    csr: str = Field(
        max_length=8_000,
        description="Certificate request, PKCS#10 in PEM, signed by the device's Ed25519 key. "
        "Its names and extensions are ignored.",
    )


class RenewalRequest(ApiRequest):
    """A renewal, signed by the key of the device."""

    device: str = DEVICE_ID
    generation: int = Field(ge=1, le=999_999_999, description="Of the certificate it replaces.")
    renewal_id: str = Field(
        pattern=f"^{RENEWAL_ID}$", description="Random; kept by the device until it is answered."
    )
    certificate: str | None = Field(
        None,
        max_length=8_000,
        description="The newest that the device has, PEM. It proves a generation that a restored "
        "catalog does not know.",
    )
    signature: str = Field(
        min_length=86, max_length=86, description="Ed25519, base64url without padding."
    )


class IssuedAnswer(ApiAnswer):
    """A certificate."""

    device: str = Field(description="tenant/site/device")
    generation: int = Field(description="Of the certificate.")
    certificate: str = Field(description="PEM.")
    now_ms: int = Field(description="The time of the server, UTC ms.")


class EnrolmentAnswer(IssuedAnswer):
    """What a device gets by its enrolment."""

    ca: str = Field(description="Certificate of the authority that signed, PEM.")
    config_key: str | None = Field(
        description="Public key of configurations, base64 of 32 bytes; null: none is set up."
    )

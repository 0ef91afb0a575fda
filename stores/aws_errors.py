"""What AWS's error codes mean, and the texts for them: for each client of S3 and SQS."""

from domain.errors import CredentialsError, ObjectMissingError, StoreError
from stores import tls

CREDENTIAL_ERROR_CODES = {
    "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken",
    "InvalidAccessKeyId", "InvalidClientTokenId", "UnrecognizedClientException",
    "SignatureDoesNotMatch", "InvalidSignatureException", "MissingAuthenticationToken",
    "RequestExpired", "AuthFailure",
}  # fmt: skip
"""Codes with which AWS rejects credentials."""

_SENDER_FAULT_CODES = {
    "InvalidMessageContents", "BatchRequestTooLong", "InvalidParameterValue",
    "InvalidAttributeValue", "InvalidBatchEntryId", "RequestEntityTooLarge", "413",
}  # fmt: skip
"""Codes with which SQS rejects the content of a request: sending it again is useless."""

_OTHER_REGION = ": the bucket is in another region; configure that region"
NO_BUCKET = "NoSuchBucket"
_STORE_REMEDIES = {
    NO_BUCKET: ": the bucket does not exist; correct its name in the settings, or create it",
    "RequestTimeTooSkewed": ": this machine's clock is wrong; set it by NTP",
    "AccessDenied": ": these credentials need access to the bucket's objects",
    "PermanentRedirect": _OTHER_REGION,
    "AuthorizationHeaderMalformed": _OTHER_REGION,
    "IllegalLocationConstraintException": _OTHER_REGION,
}


class AwsResponseError(Exception):
    """An error response of S3 or SQS."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.status = status
        self.code = code
        """AWS's error code; the status where there is none."""


def store_remedy(code: str) -> str:
    """Return what to do about an error of S3, for the end of a sentence; empty: not known."""
    return _STORE_REMEDIES.get(code, "")


def is_missing(status: int | None, code: str) -> bool:
    """Say whether S3 has no such object. A missing bucket is a fault of the configuration."""
    return code != NO_BUCKET and (status == 404 or code in {"404", "NoSuchKey", "NotFound"})


def store_error(action: str, status: int | None, code: str) -> StoreError:
    """Return the error for an error response of S3; its text starts with the action."""
    if is_missing(status, code):
        return ObjectMissingError(f"{action}: no such object.")
    if (rejected := rejected_credentials_text(code)) is not None:
        return CredentialsError(f"{action}: {rejected}.")
    return StoreError(f"{action}: the store answered {status} {code}{store_remedy(code)}.")


def is_sender_fault(code: str) -> bool:
    """Say whether SQS rejects the content of a request."""
    return code.rsplit(".", 1)[-1] in _SENDER_FAULT_CODES


def rejected_credentials_text(code: str) -> str | None:
    """Return that AWS rejects the credentials, and what to do; None: `code` means another error."""
    if code not in CREDENTIAL_ERROR_CODES:
        return None
    return _renew(f"the credentials are rejected ({code})")


def no_credentials_text(reason: object) -> str:
    """Return that there are no credentials, and what to do, for the end of a sentence."""
    return _renew(f"there are no credentials ({reason})")


def _renew(fault: str) -> str:
    return f"{fault}: renew them in AWS's credentials file or provider; they are read again"


def connection_error_text(error: Exception) -> str:
    """Return why there was no response, and what to do, for the end of a sentence."""
    if (fault := tls.certificate_error_text(error)) is not None:
        return (
            f"the server's certificate is not trusted: {fault}; check its address and the CA file"
        )
    return f"it cannot be reached ({error})"

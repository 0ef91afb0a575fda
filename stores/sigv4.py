"""AWS Signature Version 4, for requests without a query: pure, the time is passed in.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
botocore has a signer too, but 4 MiB of modules come with it (docs/design/edge-memory.md). The
tests compare this one with it.
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote

from stores.aws_credentials import AwsCredentials

_ALGORITHM = "AWS4-HMAC-SHA256"


def encode_path(path: str) -> str:
    """Return a path as S3 signs it: all but unreserved characters and slashes is encoded."""
    return quote(path, safe="/")


def sign(
    method: str,
    path: str,
    headers: Mapping[str, str],
    *,
    payload_sha256: str,
    credentials: AwsCredentials,
    region: str,
    service: str,
    now_ms: int,
) -> dict[str, str]:
    """Return the headers to send: the given ones (with Host) and those of the signature.

    `path` is encoded already. `payload_sha256` is the hash of the body in hex.
    """
    timestamp = datetime.fromtimestamp(now_ms // 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
    signed = {
        **headers,
        "X-Amz-Content-SHA256": payload_sha256,
        "X-Amz-Date": timestamp,
    }
    if credentials.session_token is not None:
        signed["X-Amz-Security-Token"] = credentials.session_token
    canonical = sorted((name.lower(), " ".join(value.split())) for name, value in signed.items())
    names = ";".join(name for name, _ in canonical)
    canonical_request = "\n".join(
        (
            method,
            path,
            "",  # the query
            *(f"{name}:{value}" for name, value in canonical),
            "",
            names,
            payload_sha256,
        )
    )
    scope = f"{timestamp[:8]}/{region}/{service}/aws4_request"
    request_sha256 = hashlib.sha256(canonical_request.encode()).hexdigest()
    to_sign = "\n".join((_ALGORITHM, timestamp, scope, request_sha256))
    key = f"AWS4{credentials.secret_access_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    return {
        **signed,
        "Authorization": f"{_ALGORITHM} Credential={credentials.access_key_id}/{scope}, "
        f"SignedHeaders={names}, Signature={signature}",
    }

"""A key in a KMS, in the form of a private key of cryptography: it signs, and never leaves the KMS.

builder of a certificate ──► sign(data) ──► KMS: Sign, ECDSA_SHA_256 ──► signature

The KMS hashes the data itself, up to 4 KiB: a certificate has half a KiB.

The calls wait for the KMS: call `sign` in a thread. Only ECDSA P-256 is supported.
"""

from typing import Any, NoReturn

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from domain.errors import ConfigError, StoreError
from stores.aws_endpoint import AwsEndpoint

CONNECT_S = 2.0
READ_S = 5.0
TRIES = 3


class KmsKey(ec.EllipticCurvePrivateKey):
    """A private key that stays in a KMS. It can do nothing but sign by ECDSA with SHA-256."""

    def __init__(
        self, client: Any, key: str, public_key: ec.EllipticCurvePublicKey
    ) -> None:  # boto3 makes the class of the client
        self._client = client
        self._key = key
        self._public_key = public_key

    @classmethod
    def open(cls, endpoint: AwsEndpoint, key: str) -> "KmsKey":
        """Return the key by its id, ARN or alias. ConfigError: it cannot be used."""
        import boto3  # noqa: PLC0415 - slow to import, and only where a KMS is used
        from botocore.config import Config  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        client = boto3.client(
            "kms",
            region_name=endpoint.region,
            endpoint_url=endpoint.url,
            verify=endpoint.ca_file,
            config=Config(
                connect_timeout=CONNECT_S,
                read_timeout=READ_S,
                retries={"total_max_attempts": TRIES, "mode": "standard"},
            ),
        )
        try:
            answer = client.get_public_key(KeyId=key)
            public_key = serialization.load_der_public_key(answer["PublicKey"])
        except (BotoCoreError, ClientError, ValueError) as error:
            raise ConfigError(
                f"The key {key} of the KMS cannot be read: {error} This program needs the rights "
                "kms:GetPublicKey and kms:Sign on it."
            ) from None
        if not isinstance(public_key, ec.EllipticCurvePublicKey) or not isinstance(
            public_key.curve, ec.SECP256R1
        ):
            raise ConfigError(
                f"The key {key} of the KMS is not ECC_NIST_P256 for SIGN_VERIFY. Make one that is."
            )
        return cls(client, key, public_key)

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Return the public key."""
        return self._public_key

    @property
    def curve(self) -> ec.EllipticCurve:
        """P-256."""
        return self._public_key.curve

    @property
    def key_size(self) -> int:
        """Bits."""
        return self._public_key.key_size

    def sign(
        self,
        data: bytes | bytearray | memoryview,
        signature_algorithm: ec.EllipticCurveSignatureAlgorithm,
    ) -> bytes:
        """Return the KMS's signature of `data`, DER. StoreError: the KMS does not sign now."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        assert isinstance(signature_algorithm.algorithm, hashes.SHA256)
        try:
            answer = self._client.sign(
                KeyId=self._key,
                Message=bytes(data),
                MessageType="RAW",
                SigningAlgorithm="ECDSA_SHA_256",
            )
        except (BotoCoreError, ClientError) as error:
            raise StoreError(f"The KMS does not sign with the key {self._key}: {error}") from error
        return bytes(answer["Signature"])

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> NoReturn:
        """Refuse: this key only signs."""
        raise TypeError("a key in a KMS only signs")

    def private_numbers(self) -> NoReturn:
        """Refuse: the private key is not here."""
        raise TypeError("the private key does not leave the KMS")

    def private_bytes(
        self,
        encoding: serialization.Encoding,
        format: serialization.PrivateFormat,
        encryption_algorithm: serialization.KeySerializationEncryption,
    ) -> NoReturn:
        """Refuse: the private key is not here."""
        raise TypeError("the private key does not leave the KMS")

    def __copy__(self) -> "KmsKey":
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> "KmsKey":
        return self

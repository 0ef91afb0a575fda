"""Devices with keys of their own, for tests of signatures."""

from dataclasses import dataclass, field, replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.device_identity import Device, DeviceKey, DeviceState, EventSignature, key_id


@dataclass
class SigningDevice:
    """A device that signs as an enrolled one does. Each id has its own key."""

    id: str = "acme/hq/edge-1"
    generation: int = 1
    private_key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def public_key(self) -> bytes:
        """Raw, 32 bytes."""
        return self.private_key.public_key().public_bytes_raw()

    @property
    def key(self) -> str:
        """Id of the key."""
        return key_id(self.public_key)

    def sign(self, body: bytes) -> str:
        """As the signer of an edge."""
        return str(EventSignature.sign(self.private_key, self.key, self.id, self.generation, body))

    def known(self, state: DeviceState = "enrolled") -> Device:
        """Return what the cloud knows of it."""
        return Device(self.id, state, self.generation, {self.key: DeviceKey(self.public_key, 1)})

    def with_key_revoked(self) -> Device:
        """Return what the cloud knows of it once its key was revoked."""
        known = self.known()
        return replace(
            known, keys={name: replace(one, revoked=True) for name, one in known.keys.items()}
        )

"""The steps of a change of the device CA. The workers read the files again after each one.

trust next    a new key in KEY.next, its certificate in the file: both are trusted
use next      KEY.next takes the place of KEY: the new one signs
retire        only the certificate of the key in use is left: the old one is not trusted any more

Between two steps all workers must have read the files: else one worker signs what another refuses.
"""

from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from domain.errors import ConfigError
from stores.device_ca import certify, private_pem, read_ca, write_new


def next_key_file(key_file: Path) -> Path:
    """Return where the key of the next authority is until it is used."""
    return key_file.with_name(key_file.name + ".next")


def trust_next(certificate_file: Path, key_file: Path, name: str, now: datetime) -> None:
    """Make the next authority's key and trust its certificate. ConfigError."""
    read_ca(certificate_file, key_file)
    following = next_key_file(key_file)
    key = ec.generate_private_key(ec.SECP256R1())
    write_new(following, private_pem(key), 0o600)
    try:
        trust_key(certificate_file, key, name, now)
    except BaseException:
        following.unlink()
        raise


def trust_key(
    certificate_file: Path, key: ec.EllipticCurvePrivateKey, name: str, now: datetime
) -> None:
    """Trust the certificate of a key that signs later, such as one in a KMS. ConfigError."""
    before = _read(certificate_file)
    _replace(certificate_file, before + certify(key, name, now))


def use_next(certificate_file: Path, key_file: Path) -> None:
    """Let the next authority sign. Its key takes the place of the old one. ConfigError."""
    following = next_key_file(key_file)
    read_ca(certificate_file, following)
    try:
        following.replace(key_file)
    except OSError as error:
        raise ConfigError(f"{key_file} cannot be replaced: {error.strerror}.") from None


def retire(certificate_file: Path, key: Path | ec.EllipticCurvePrivateKey) -> None:
    """Trust only the authority of the key in use. ConfigError."""
    ca = read_ca(certificate_file, key)
    if not ca.is_rotating:
        raise ConfigError(f"{certificate_file} has one certificate only: there is none to retire.")
    if isinstance(key, Path) and next_key_file(key).exists():
        raise ConfigError(
            f"{next_key_file(key)} is not in use yet: `vigil device ca switch` first."
        )
    _replace(certificate_file, ca.certificate_pem.encode())


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}.") from None


def _replace(file: Path, data: bytes) -> None:
    """Replace a file in one step: a worker reads the old one or the new one."""
    new = file.with_name(file.name + ".new")
    try:
        new.unlink(missing_ok=True)
        write_new(new, data, 0o644)
        new.replace(file)
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}.") from None

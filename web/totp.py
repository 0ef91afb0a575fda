"""Second factors: time-based one-time passwords (RFC 6238) and recovery codes."""

import base64
import hmac
import secrets

import pyotp
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from domain.sign_in import TOTP_DRIFT, TOTP_STEP_MS

ISSUER = "Vigil"
NONCE_BYTES = 12
RECOVERY_CODES = 10
_RECOVERY_BYTES = 10


class TotpSecrets:
    """Encrypts the secrets that the catalog stores. The key is derived from the session secret."""

    def __init__(self, session_secret: str) -> None:
        derived = HKDF(SHA256(), 32, None, b"vigil totp").derive(session_secret.encode())
        self._cipher = AESGCM(derived)

    def encrypt(self, user: str, secret: str) -> bytes:
        """Return a secret as the catalog stores it; it can only be read for the same user."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret.encode(), user.encode())

    def decrypt(self, user: str, stored: bytes) -> str | None:
        """Return a stored secret; None where the session secret is not the one of its enrolment."""
        nonce, sealed = stored[:NONCE_BYTES], stored[NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, sealed, user.encode()).decode()
        except (InvalidTag, ValueError):
            return None


def new_totp_secret() -> str:
    """Return a new secret: 160 random bits in base 32."""
    return pyotp.random_base32()


def totp_uri(secret: str, login: str) -> str:
    """Return the address that an authenticator app reads from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=login, issuer_name=ISSUER)


def totp_code(secret: str, now_ms: int) -> str:
    """Return the code of a time."""
    return str(pyotp.TOTP(secret).generate_otp(now_ms // TOTP_STEP_MS))


def totp_step(secret: str, code: str, now_ms: int) -> int | None:
    """Return the time step that a code is of, now or one step off; None where it is wrong."""
    given = "".join(code.split()).encode("utf-8", "replace")
    totp = pyotp.TOTP(secret)
    now = now_ms // TOTP_STEP_MS
    found = None
    for step in range(max(0, now - TOTP_DRIFT), now + TOTP_DRIFT + 1):
        if hmac.compare_digest(str(totp.generate_otp(step)).encode(), given):
            found = step
    return found


def new_recovery_codes() -> list[str]:
    """Return new recovery codes: 80 random bits each, in groups of four letters and digits."""
    return [_grouped(secrets.token_bytes(_RECOVERY_BYTES)) for _ in range(RECOVERY_CODES)]


def normal_recovery_code(code: str) -> str:
    """Return a recovery code as it was made, however it was typed."""
    letters = "".join(each for each in code.lower() if each.isalnum())
    return "-".join(letters[at : at + 4] for at in range(0, len(letters), 4))


def _grouped(data: bytes) -> str:
    return normal_recovery_code(base64.b32encode(data).decode())

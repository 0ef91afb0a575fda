"""Enrolment codes: 100 random bits in letters and digits that people can read and type.

    4XK7P-9QWTA-03BZM-HJ5ND

The letters I, L, O and U are not used. I and L are read as 1, and O as 0.
"""

import hashlib

from domain.errors import InvalidTextError

MAX_LIFETIME_MS = 86_400_000
MAX_OPEN_CODES = 1_000
"""Codes of one site that are not used yet."""
MAX_FAILURES = 10
"""Refused enrolments with one code, for another site for instance. Then it is refused always."""
RANDOM_BYTES = 13
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CHARS, _GROUP = 20, 5
_READ_AS = str.maketrans({"I": "1", "L": "1", "O": "0", "-": None, " ": None})


def enrolment_code(random: bytes) -> str:
    """Return the code of 13 random bytes."""
    assert len(random) == RANDOM_BYTES
    number = int.from_bytes(random) >> 4
    digits = "".join(_ALPHABET[number >> (5 * place) & 31] for place in range(_CHARS))
    return "-".join(digits[at : at + _GROUP] for at in range(0, _CHARS, _GROUP))


def code_hash(code: str) -> bytes:
    """Return what is stored of a code as people type it; raise InvalidTextError."""
    digits = code.strip().upper().translate(_READ_AS)
    if len(digits) != _CHARS or not set(digits) <= set(_ALPHABET):
        raise InvalidTextError(
            "This is not an enrolment code: it has 4 groups of 5 letters and digits."
        )
    return hashlib.sha256(b"vigil-enrolment-code\0" + digits.encode()).digest()

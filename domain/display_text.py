"""Names and reasons that people write: kept as text, in one line, and readable.

Nothing is escaped here: each page or terminal that shows a text escapes it. What would mislead a
reader or break a terminal is refused: control characters, and marks that reorder the text.
"""

import unicodedata

from domain.errors import InvalidTextError

NAME_CHARS = 200
REASON_CHARS = 500

_REORDERING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_UNREADABLE = frozenset({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories: controls, surrogates, private use, unassigned, line and paragraph ends."""


def check_name(text: str) -> str:
    """Return a display name without outer blanks, in NFC; raise InvalidTextError."""
    return check_text(text, "name", NAME_CHARS)


def check_reason(text: str) -> str:
    """Return a reason without outer blanks, in NFC; raise InvalidTextError."""
    return check_text(text, "reason", REASON_CHARS)


def check_text(text: str, what: str, most: int) -> str:
    """Return one readable line of 1 to `most` characters; raise InvalidTextError."""
    if len(text) > 2 * most:  # normalizing a huge text takes long
        raise InvalidTextError(f"The {what} is too long: use at most {most} characters.")
    if any(unicodedata.category(each) in _UNREADABLE for each in text):
        raise InvalidTextError(f"The {what} has a control character: write one line of text.")
    if not _REORDERING.isdisjoint(text):
        raise InvalidTextError(f"The {what} has a mark that changes the direction of the text.")
    normal = unicodedata.normalize("NFC", text).strip()
    if not 1 <= len(normal) <= most:
        raise InvalidTextError(f"The {what} must have 1 to {most} characters.")
    return normal

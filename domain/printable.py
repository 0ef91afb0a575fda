"""Text of strangers, made fit for a terminal and a log: one line, without control characters."""

MAX_TEXT = 500


def printable(untrusted: str, limit: int = MAX_TEXT) -> str:
    """Return an untrusted text in one line, without control characters, at most `limit` long."""
    return "".join(c if c.isprintable() else " " for c in untrusted[:limit]).strip()


def escaped(text: str) -> str:
    r"""Return a text with each character that does not print as an escape, such as `\u001b`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"

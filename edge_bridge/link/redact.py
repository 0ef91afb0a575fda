"""Takes secrets out of texts before they leave the device.

Known secrets are replaced wherever they are. Paths of cameras' addresses, queries, passwords in
addresses and tokens are replaced by their form: an address may hold a password that is not known.
"""

import os
import re
from collections.abc import Collection, Iterable
from typing import Any
from urllib.parse import quote

from domain.errors import ConfigError
from edge_bridge.config import EdgeConfig

REDACTED = "[redacted]"
MIN_CHARS = 4
"""A shorter secret would be found everywhere; such a text is only replaced as a whole."""
_SECRET_NAME = re.compile(
    r"SECRET|TOKEN|PASSWORD|PASSWD|CREDENTIAL|PRIVATE|(?:^|_)KEY(?:$|_)", re.IGNORECASE
)
_SCHEME = r"\b[a-zA-Z][a-zA-Z0-9+.-]{0,20}://"
# Each repetition has a bound: a long text must not take quadratic time.
_FORMS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(\brtsps?://)[^\s\"'<>@]{0,300}@"), r"\1"),
    (re.compile(r"(\brtsps?://[^/\s\"'<>]{1,300})/[^\s\"'<>]*"), rf"\1/{REDACTED}"),
    (re.compile(rf"({_SCHEME})[^/\s\"'<>@]{{0,300}}@"), rf"\1{REDACTED}@"),
    (re.compile(rf"({_SCHEME}[^\s\"'<>?]{{1,500}})\?[^\s\"'<>]*"), rf"\1?{REDACTED}"),
    (re.compile(r"\b(Bearer|Basic|Digest)\s+[^\s\"']+", re.IGNORECASE), rf"\1 {REDACTED}"),
    (
        re.compile(
            r"((?:password|passwd|pwd|secret|token|signature|api[_-]?key)"
            r"[\"']?\s{0,3}[=:]\s{0,3}[\"']?)[^\s\"'&,;]+",
            re.IGNORECASE,
        ),
        rf"\1{REDACTED}",
    ),
    (re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[^-]*"), REDACTED),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), REDACTED),
    (re.compile(r"\bvigil_[A-Za-z0-9_-]{20,}"), REDACTED),
)
MAX_TEXT = 64 << 10
"""Longer texts are cut before they are searched."""


def known_secrets(config: EdgeConfig) -> set[str]:
    """Return the secrets that this device was given, in each form in which a text may hold them."""
    found: set[str] = set()
    for read in (
        *(camera.password for camera in config.cameras),
        *((config.http.password,) if config.http is not None else ()),
        *((config.central.key,) if config.central is not None else ()),
    ):
        try:
            secret = read()
        except ConfigError:
            continue
        if secret is not None:
            found.add(secret.get_secret_value().strip())
    found.update(value for name, value in os.environ.items() if _SECRET_NAME.search(name))
    return {form for secret in found for form in (secret, quote(secret, safe="")) if form}


def redact(value: Any, secrets: Collection[str]) -> Any:
    """Return a copy of a JSON value whose texts hold no secret."""
    ordered = sorted(secrets, key=len, reverse=True)
    return _redacted(value, ordered)


def _redacted(value: Any, secrets: Iterable[str]) -> Any:
    if isinstance(value, str):
        return redact_text(value, secrets)
    if isinstance(value, dict):
        return {redact_text(str(k), secrets): _redacted(v, secrets) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(each, secrets) for each in value]
    return value


def redact_text(text: str, secrets: Iterable[str]) -> str:
    """Return a text without secrets; `secrets`: the longest first."""
    text = text[:MAX_TEXT]
    for secret in secrets:
        if len(secret) >= MIN_CHARS:
            text = text.replace(secret, REDACTED)
        elif text == secret:
            return REDACTED
    for pattern, form in _FORMS:
        text = pattern.sub(form, text)
    return text

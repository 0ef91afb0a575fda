"""Which configuration key this device pins, and what it takes because of that."""

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path

from domain.site_config import OfferedConfig

log = logging.getLogger(__name__)


class ConfigTrust:
    """The pinned key. It comes from the enrolment, or from a file that edge.yaml names.

    A rotation that the pinned key has signed replaces it; the file keeps the newest one. Its
    methods block.
    """

    def __init__(self, path: Path, required: bool, pin: Callable[[], bytes | None]) -> None:
        """`path`: keeps the newest key. `required`: take signed configurations only.

        `pin`: returns the raw key of the enrolment. Raises ConfigError.
        """
        self._path = path
        self.required = required
        self._pin = pin

    def check(
        self, offer: OfferedConfig, site: str, newest: tuple[int, str] | None, now_ms: int | None
    ) -> None:
        """Raise ConfigError where this device must not take an offer (domain/signed_config.py)."""
        if not self.required:
            return
        # cryptography costs memory that a device without an identity saves.
        from domain.signed_config import check_offer  # noqa: PLC0415

        first = self._pin()
        pinned = None if first is None else self._newest(first)
        key = check_offer(offer, site, pinned, newest, now_ms)
        if first is not None and key != pinned:
            log.info("the configuration key was rotated, as the key before it has signed")
            self._store(first, key)

    def _newest(self, first: bytes) -> bytes:
        """Return the newest key that followed `first`. After a new enrolment, it is that one."""
        try:
            stored = json.loads(self._path.read_bytes())
            if stored["first"] == first.hex():
                return bytes.fromhex(stored["newest"])
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            log.error("%s is damaged and is ignored", self._path)
        return first

    def _store(self, first: bytes, newest: bytes) -> None:
        temporary = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("w") as file:
                json.dump({"first": first.hex(), "newest": newest.hex()}, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path)
        except OSError as error:
            log.error("%s cannot be written: %s", self._path, error.strerror)

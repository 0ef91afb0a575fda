"""Which configuration key this device pins, and what it takes because of that."""

import json
import logging
import os

from domain.site_config import OfferedConfig
from edge_bridge.config import EdgeConfig
from edge_bridge.config.remote import CentralConfig
from edge_bridge.identity.identity import DeviceIdentity

log = logging.getLogger(__name__)


class ConfigTrust:
    """The pinned key. It comes from the enrolment, or from a file that edge.yaml names.

    A rotation that the pinned key has signed replaces it; the file keeps the newest one. Its
    methods block.
    """

    def __init__(self, own: EdgeConfig, central: CentralConfig, identity: DeviceIdentity) -> None:
        """`own`: the device's own file; its spool's folder keeps the newest key."""
        self._path = own.spool.dir / "central" / "config-key.json"
        self._central = central
        self._identity = identity

    @property
    def required(self) -> bool:
        """Whether this device takes signed configurations only."""
        return self._identity.state != "none" or self._central.config_key_file is not None

    def _pin(self) -> bytes | None:
        """Return the raw key that was pinned first; ConfigError. edge.yaml goes before."""
        if (named := self._central.config_key()) is not None:
            return named
        key = self._identity.config_key
        return None if key is None else key.public_bytes_raw()

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

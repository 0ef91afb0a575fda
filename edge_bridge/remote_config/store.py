"""The site's configuration on the device's disk, to start without the cloud.

- good.json: the version in force
- before.json: the version that was in force before it
- notes.json: the version on trial, the version that was rejected, the newest signed one

The names of the files and of their fields are public: a newer program reads what an older one
wrote.
"""

import json
import logging
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from domain.errors import ConfigError
from domain.site_config import SiteVersion
from edge_bridge.remote_config.rollout import Rejection, RolloutState, VersionId

log = logging.getLogger(__name__)


class ConfigStore:
    """One folder on the device's disk. Its methods block; writing raises OSError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self) -> RolloutState:
        """Return what is stored. A damaged file is logged and counts as missing."""
        accepted = self._version("good.json")
        previous = self._version("before.json")
        # A damaged version in force: roll back to the one before it.
        state = RolloutState(accepted=accepted or previous, previous=previous if accepted else None)
        try:
            notes = self._read("notes.json") or {}
            on_trial, rejected = notes.get("trying"), notes.get("refused")
            newest = notes.get("newest")
            return RolloutState(
                accepted=state.accepted,
                previous=state.previous,
                on_trial=None if on_trial is None else _version_id(on_trial),
                attempts=int(notes.get("tries", 0)),
                rejected=None
                if rejected is None
                else Rejection(_version_id(rejected["what"]), str(rejected["why"])),
                newest=None if newest is None else _version_id(newest),
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            log.error(
                "%s is damaged and is ignored: a rejected version may be tried again",
                self._folder / "notes.json",
            )
            return state

    def save(self, state: RolloutState) -> None:
        """Write the files that have changed, each one atomically."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for name, version in (("before.json", state.previous), ("good.json", state.accepted)):
            if version is not None:
                self._write(name, asdict(version))
        rejected = state.rejected
        self._write(
            "notes.json",
            {
                "trying": None if state.on_trial is None else asdict(state.on_trial),
                "tries": state.attempts,
                "refused": None
                if rejected is None
                else {"what": asdict(rejected.id), "why": rejected.reason},
            }
            | ({} if state.newest is None else {"newest": asdict(state.newest)}),
        )

    def _version(self, name: str) -> SiteVersion | None:
        try:
            stored = self._read(name)
            if stored is None:
                return None
            version = SiteVersion(
                int(stored["version"]), str(stored["digest"]), str(stored["text"])
            )
            version.document()  # compares the text with its digest
        except (ValueError, KeyError, TypeError, ConfigError):
            log.error(
                "the site's configuration in %s is damaged and is ignored", self._folder / name
            )
            return None
        return version

    def _read(self, name: str) -> Any:
        """Return the content of a file, None if it is missing; ValueError if it is not JSON."""
        try:
            return json.loads((self._folder / name).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, RecursionError) as error:
            raise ValueError(str(error)) from error

    def _write(self, name: str, value: Any) -> None:
        path, data = self._folder / name, json.dumps(value).encode()
        if path.exists() and path.read_bytes() == data:
            return
        temporary = path.with_suffix(".new")
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        # The rename is durable only after the folder is synced.
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _version_id(stored: dict[str, Any]) -> VersionId:
    return VersionId(int(stored["version"]), str(stored["digest"]))

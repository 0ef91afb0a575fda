"""What the edge keeps of the site's configuration, for a boot without a cloud.

good.json    the version in force      before.json  the one that was in force before
notes.json   which one is on trial, and which one was refused
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
    """One folder of the device's disk. Its methods block; writing raises OSError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self) -> RolloutState:
        """Return what stands there. What is damaged is said in the log and counts as missing."""
        good, before = self._version("good.json"), self._version("before.json")
        try:
            notes = self._read("notes.json") or {}
            trying, refused = notes.get("trying"), notes.get("refused")
            return RolloutState(
                good=good or before,
                before=before if good else None,
                trying=None if trying is None else _named(trying),
                tries=int(notes.get("tries", 0)),
                refused=None
                if refused is None
                else Rejection(_named(refused["what"]), str(refused["why"])),
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            log.error("what was noted of the site's configuration is damaged; it is forgotten")
            return RolloutState(good=good or before, before=before if good else None)

    def save(self, standing: RolloutState) -> None:
        """Write what has changed, each file whole or not at all."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for name, version in (("before.json", standing.before), ("good.json", standing.good)):
            if version is not None:
                self._write(name, asdict(version))
        notes = asdict(standing)
        self._write("notes.json", {name: notes[name] for name in ("trying", "tries", "refused")})

    def _version(self, name: str) -> SiteVersion | None:
        try:
            said = self._read(name)
            if said is None:
                return None
            found = SiteVersion(int(said["version"]), str(said["digest"]), str(said["text"]))
            found.document()
        except (ValueError, KeyError, TypeError, ConfigError):
            log.error("the site's configuration in %s is damaged", self._folder / name)
            return None
        return found

    def _read(self, name: str) -> Any:
        """Return what a file says, None where it is not there; ValueError where it is no JSON."""
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
        beside = path.with_suffix(".new")
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _named(said: dict[str, Any]) -> VersionId:
    return VersionId(int(said["version"]), str(said["digest"]))

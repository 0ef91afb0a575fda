"""Loads the configuration: the file, errors in one sentence, relative paths."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from domain.errors import ConfigError
from domain.validation_text import explain
from edge_bridge.config.edge import EdgeConfig


def load(path: Path) -> EdgeConfig:
    """Load a configuration file. Relative paths in it count from its folder.

    Raises ConfigError with one sentence that names the key and says what to do.
    """
    return validated(read(path), str(path), path.resolve().parent)


def read(path: Path, example: str = "edge.example.yaml") -> dict[str, Any]:
    """Return the content of a YAML file, not validated. ConfigError."""
    try:
        data = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        at = getattr(error, "problem_mark", None)
        where = f" (line {at.line + 1})" if at is not None else ""
        raise ConfigError(f"{path} is not valid YAML{where}: correct it.") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path} contains no settings: start from a copy of {example}.")
    return data


def validated(data: Mapping[str, Any], source: str, root: Path) -> EdgeConfig:
    """Validate settings from `source`. Relative paths count from `root`. ConfigError."""
    try:
        config = EdgeConfig.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"{source}: {explain(error, EdgeConfig)}") from None
    return _rooted(config, root)


def _rooted(config: EdgeConfig, root: Path) -> EdgeConfig:
    cameras = [
        camera.model_copy(update={"password_file": root / camera.password_file})
        if camera.password_file
        else camera
        for camera in config.cameras
    ]
    spool = config.spool.model_copy(update={"dir": root / config.spool.dir})
    cloud = config.cloud
    if cloud.ca_file:
        cloud = cloud.model_copy(update={"ca_file": root / cloud.ca_file})
    inference = config.inference.rooted(root, spool.dir)
    http = config.http
    if http is not None:
        files = ("password_file", "certificate_file", "key_file")
        named = {name: getattr(http, name) for name in files if getattr(http, name)}
        http = http.model_copy(update={name: root / path for name, path in named.items()})
    return config.model_copy(
        update={
            "cameras": cameras,
            "spool": spool,
            "cloud": cloud,
            "inference": inference,
            "http": http,
            "identity_dir": config.identity_dir and root / config.identity_dir,
            "central": config.central and config.central.rooted(root),
        }
    )

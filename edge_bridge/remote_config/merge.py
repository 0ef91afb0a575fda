"""Lays a site's configuration over the device's own file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from domain.errors import ConfigError
from domain.site_config import SITE_KEYS, check_secrets
from edge_bridge.config import EdgeConfig, validated


def merge(own: EdgeConfig, document: Mapping[str, Any], where: str) -> EdgeConfig:
    """Return what counts: the document's keys, and the device's own for all others.

    Relative paths in the document count from `central.files`. Raises ConfigError, a sentence that
    begins with `where`.
    """
    others = sorted(set(document) - set(SITE_KEYS))
    if others:
        raise ConfigError(
            f"{where}: `{others[0][:100]}` is not kept in the catalog; "
            f"known there: {', '.join(SITE_KEYS)}."
        )
    if not document.get("cameras"):
        raise ConfigError(f"{where}: `cameras` is missing: name one at least.")
    try:
        check_secrets(document)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    files = own.central.files if own.central else Path()
    kept = {name: getattr(own, name) for name in EdgeConfig.model_fields if name not in document}
    config = validated({**kept, **document}, where, files)
    for camera in config.cameras if own.central else ():
        file = camera.password_file
        if file is not None and not file.resolve().is_relative_to(files.resolve()):
            raise ConfigError(f"{where}: camera {camera.id}: {file} leads out of {files}.")
    return config

"""Merges a site's configuration into the device's own file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from domain.errors import ConfigError
from domain.site_config import SITE_KEYS, check_secrets
from edge_bridge.config import EdgeConfig, validated
from edge_bridge.remote_config.confinement import check_confined


def merge(
    own: EdgeConfig, document: Mapping[str, Any], source: str, *, confined: bool = True
) -> EdgeConfig:
    """Return the document's keys, and the device's own values for all other keys.

    Relative paths in the document count from `central.files`. Raises ConfigError with one
    sentence that begins with `source`. `confined`: the document must also stay within what
    `central` allows (confinement.py); a stored one that was accepted before need not.
    """
    unknown = sorted(set(document) - set(SITE_KEYS))
    if unknown:
        raise ConfigError(
            f"{source}: `{unknown[0][:100]}` is not kept in the catalog; "
            f"allowed there: {', '.join(SITE_KEYS)}."
        )
    if not document.get("cameras"):
        raise ConfigError(f"{source}: `cameras` is missing: add at least one camera.")
    try:
        check_secrets(document)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None
    files = own.central.files if own.central else Path()
    local = {name: getattr(own, name) for name in EdgeConfig.model_fields if name not in document}
    config = validated({**local, **document}, source, files)
    for camera in config.cameras if own.central else ():
        file = camera.password_file
        # A symbolic link must not lead to another file of the device.
        if file is not None and not file.resolve().is_relative_to(files.resolve()):
            raise ConfigError(f"{source}: camera {camera.id}: {file} leads out of {files}.")
    if own.central is not None and confined:
        check_confined(config, own.central, document, source)
    return config

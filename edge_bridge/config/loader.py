"""Loads the configuration: the file, errors in one sentence, relative paths."""

import difflib
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from domain.errors import ConfigError
from edge_bridge.config.edge import EdgeConfig


def load(path: Path) -> EdgeConfig:
    """Load a configuration file. Relative paths in it count from its folder.

    Raises ConfigError with one sentence that names the key and says what to do.
    """
    return validated(read(path), str(path), path.resolve().parent)


def read(path: Path) -> dict[str, Any]:
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
        raise ConfigError(f"{path} contains no settings: start from a copy of edge.example.yaml.")
    return data


def validated(data: Mapping[str, Any], source: str, root: Path) -> EdgeConfig:
    """Validate settings from `source`. Relative paths count from `root`. ConfigError."""
    try:
        config = EdgeConfig.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"{source}: {explain(error)}") from None
    return _rooted(config, root)


def explain(error: ValidationError) -> str:
    """Return the first error of a configuration as one sentence."""
    first = error.errors(include_url=False)[0]
    loc = first["loc"]
    name = ".".join(str(part) for part in loc) or "the file"
    if first["type"] == "extra_forbidden":
        known = _fields_at(loc[:-1])
        near = difflib.get_close_matches(str(loc[-1]), known, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"known keys: {', '.join(sorted(known))}."
        return f"unknown key `{name}`: {hint}"
    if first["type"] == "missing":
        return f"`{name}` is missing."
    message = first["msg"].removeprefix("Value error, ")
    return f"`{name}`: {message}."


def _fields_at(loc: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = EdgeConfig
    for part in loc:
        if isinstance(part, str) and part in model.model_fields:
            inner = _model_in(model.model_fields[part].annotation)
            if inner is None:
                return []
            model = inner
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (list, Union, types.UnionType, Annotated):
        for inner in get_args(annotation):
            if (found := _model_in(inner)) is not None:
                return found
    return None


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

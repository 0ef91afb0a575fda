"""The settings of the update agent: a file of its own, next to the recorder's."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from domain.errors import ConfigError
from domain.fleet.release import HARDWARE
from domain.validation_text import explain
from edge_bridge.config.loader import read
from edge_bridge.config.section import ConfigSection

_Key = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class UpdateConfig(ConfigSection):
    """What `vigil edge update run` needs."""

    identity_dir: Path = Field(description="the recorder's identity: SPOOL/identity")
    folder: Path = Field(description="the agent's notes; a file `lock` in it locks updates")
    hardware: str = Field(pattern=HARDWARE, description="which target of a release fits: x86-64")
    repository: str = Field(
        pattern=r"^[a-z0-9][a-z0-9._:/-]{0,254}$", description="of images, without tag and digest"
    )
    release_keys: tuple[_Key, ...] = Field(
        min_length=1, max_length=8, description="raw public keys of releases, hex"
    )
    health_url: str = Field(
        "http://127.0.0.1:9500/healthz",
        pattern=r"^https?://",
        max_length=300,
        description="the recorder's health",
    )
    env_file: Path = Field(
        Path("/etc/vigil/compose.env"), description="names the image, for Compose"
    )
    unit: str = Field("vigil-edge.service", description="unit that runs the recorder")
    container: str = Field("vigil-edge-edge-1", description="name of the recorder's container")
    engine: str = Field("docker", pattern="^(docker|podman)$", description="docker or podman")


def load_update_config(path: Path) -> UpdateConfig:
    """Load the file. ConfigError: one sentence that names the key."""
    data = read(path, "the file that the playbook wrote")
    try:
        return UpdateConfig.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"{path}: {explain(error, UpdateConfig)}") from None

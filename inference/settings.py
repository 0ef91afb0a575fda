"""Settings of the inference server, read from the environment (prefix VIGIL_INFERENCE_)."""

from functools import lru_cache
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from domain.errors import ConfigError
from streams.secret_files import read_secret
from vision.gpu import GpuOptions

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class InferenceSettings(BaseSettings):
    """Where the server listens, which models it has, and how they are computed."""

    model_config = SettingsConfigDict(
        env_prefix="VIGIL_INFERENCE_", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    host: str = Field("127.0.0.1", description="address of the server")
    port: int = Field(8001, ge=0, le=65_535, description="port; 0: any that is free")
    token: SecretStr = Field(SecretStr(""), description="bearer token that clients show")
    token_file: Path | None = Field(None, description="file that holds it")
    tls_certificate_file: Path | None = Field(None, description="PEM; then it serves HTTPS")
    tls_key_file: Path | None = Field(None, description="PEM; key of the certificate")
    models: str = Field("", description="cards of models (YAML), separated by commas")
    engine: Literal["embedded", "oip"] = Field(
        "embedded", description="oip: another server that speaks the Open Inference Protocol"
    )
    oip_url: str = Field("", description="oip: its address, without /v2")
    oip_token: SecretStr = Field(SecretStr(""), description="oip: bearer token that is shown to it")
    oip_token_file: Path | None = Field(None, description="oip: file that holds it")
    oip_ca_file: Path | None = Field(None, description="oip: PEM file of its authority")
    providers: str = Field(
        "cpu", description="execution providers, best first: cpu, cuda, tensorrt, openvino"
    )
    fallback: bool = Field(
        False, description="let the next provider compute; readiness is false then"
    )
    runners: int = Field(
        0, ge=0, le=64, description="batches at once; 0: one on a GPU, else one for each core"
    )
    batch_wait_ms: float = Field(8, ge=0, le=1_000, description="how long a batch is collected")
    recycle_mib: int = Field(
        4_096, ge=64, description="a model's process with more memory is replaced"
    )
    gpu_device: int = Field(0, ge=0, le=63, description="number of the GPU")
    gpu_memory_mib: int | None = Field(None, ge=64, description="most GPU memory of one model")
    gpu_half: bool = Field(False, description="TensorRT may compute in 16 bits")
    engine_cache: Path | None = Field(None, description="folder of TensorRT's engines")
    tenant_pictures_s: float = Field(
        100, gt=0, description="pictures a second of one tenant; more are refused for a while"
    )
    max_body_mib: int = Field(64, ge=1, le=1_024, description="largest request, MiB")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="of the log"
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.tls_certificate_file is None) != (self.tls_key_file is None):
            raise ValueError(
                "VIGIL_INFERENCE_TLS_CERTIFICATE_FILE and _TLS_KEY_FILE belong together"
            )
        if self.engine == "oip" and not self.oip_url:
            raise ValueError("VIGIL_INFERENCE_OIP_URL must be set for the engine oip")
        if self.host not in LOOPBACK and not (self.token_text and self.tls_certificate_file):
            raise ValueError(
                "VIGIL_INFERENCE_HOST is not loopback: set a token and a TLS certificate"
            )
        return self

    @property
    def token_text(self) -> str:
        """The token of clients; empty: everyone may ask."""
        return _secret(self.token, self.token_file, "TOKEN")

    @property
    def oip_token_text(self) -> str:
        """The token that is shown to the other server; empty: none."""
        return _secret(self.oip_token, self.oip_token_file, "OIP_TOKEN")

    @property
    def cards(self) -> list[Path]:
        """Files of the models' cards."""
        return [Path(part.strip()) for part in self.models.split(",") if part.strip()]

    @property
    def provider_names(self) -> tuple[str, ...]:
        """Execution providers, best first."""
        return tuple(part.strip() for part in self.providers.split(",") if part.strip())

    def gpu(self) -> GpuOptions:
        """Return which GPU is used, and how much of it."""
        return GpuOptions(self.gpu_device, self.gpu_memory_mib, self.gpu_half, self.engine_cache)


def _secret(text: SecretStr, file: Path | None, name: str) -> str:
    if file is None:
        return text.get_secret_value()
    return read_secret(file, f"VIGIL_INFERENCE_{name}_FILE")


@lru_cache(maxsize=1)
def get_inference_settings() -> InferenceSettings:
    """Read the settings once; raises ConfigError that names what is wrong."""
    try:
        return InferenceSettings()
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f"VIGIL_INFERENCE_{str(part).upper()}: " for part in first["loc"])
        text = str(first["msg"]).removeprefix("Value error, ")
        raise ConfigError(f"{where}{text}.") from None

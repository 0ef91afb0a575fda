"""Settings of the cloud side, read from the environment (prefix VIGIL_)."""

from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from domain.errors import ConfigError


class Settings(BaseSettings):
    """Where the outside systems are and how much of each is used."""

    model_config = SettingsConfigDict(env_prefix="VIGIL_", extra="ignore", frozen=True)

    kafka_brokers: str = Field("127.0.0.1:9092", description="host:port, comma-separated")
    kafka_wait_s: int = Field(
        60, ge=1, le=3600, description="how long a starting worker waits for a broker"
    )
    database_url: SecretStr = Field(
        SecretStr("postgresql://vigil@127.0.0.1:5432/vigil"), description="PostgreSQL, asyncpg DSN"
    )
    s3_endpoint: str | None = Field(None, description="only for stores that are not AWS S3")
    s3_bucket: str = Field("vigil", description="bucket of fragments and chunks")
    sqs_endpoint: str | None = Field(None, description="only for queues that are not AWS SQS")
    sqs_queue_url: str = Field("", description="queue that edges send their events to")
    sqs_dead_letter_url: str = Field("", description="queue for messages nobody could read")
    aws_region: str = Field("eu-central-1", description="region of bucket and queue")
    data_dir: Path = Field(Path(".vigil"), description="folder of tables and other local state")
    partitions: int = Field(8, ge=1, le=256, description="partitions of every topic")
    replication: int = Field(1, ge=1, le=5, description="replicas of every topic")
    retention_hours: int = Field(168, ge=1, description="retention of event topics")
    topic_prefix: str = Field(
        "", pattern=r"^[a-z0-9-]{0,40}$", description="put before every topic's name"
    )
    app_prefix: str = Field("vigil", pattern=r"^[a-z][a-z0-9-]{0,40}$", description="app id prefix")
    worker_instance: str = Field(
        "0", pattern=r"^[A-Za-z0-9-]{1,60}$", description="static member name of this worker"
    )
    session_timeout_s: int = Field(10, ge=6, le=300, description="Kafka group session")
    commit_interval_ms: int = Field(
        1_000, ge=100, le=60_000, description="how often progress is committed, ms"
    )
    table_store: Literal["memory", "rocksdb"] = Field("rocksdb", description="where tables live")
    metrics_host: str = Field("127.0.0.1", description="address of a worker's metrics and health")
    metrics_port: int = Field(
        0, ge=0, le=65535, description="port of a worker's metrics and health; 0: not served"
    )
    web_host: str = Field("127.0.0.1", description="address the web views listen on")
    web_port: int = Field(8080, ge=1, le=65535, description="port the web views listen on")
    session_secret: SecretStr = Field(
        SecretStr(""), description="signs session cookies; at least 32 characters for the web"
    )
    media_delivery: Literal["stream", "redirect"] = Field(
        "redirect", description="redirect: signed S3 address; stream: bytes through the API"
    )
    window_ms: int = Field(60_000, ge=2_000, le=3_600_000, description="chunk window, ms")
    grace_ms: int = Field(30_000, ge=0, le=3_600_000, description="see design: when a chunk is due")
    idle_ms: int = Field(60_000, ge=1_000, le=86_400_000, description="silence that closes windows")
    late_ms: int = Field(15_000, ge=0, le=3_600_000, description="late fragments are gathered, ms")
    tick_ms: int = Field(5_000, ge=100, le=60_000, description="how often silence is measured")


@lru_cache
def settings() -> Settings:
    """Return the process's settings; raises ConfigError naming the first wrong one."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "VIGIL_" + "_".join(str(part) for part in first["loc"]).upper()
        raise ConfigError(f"{name}: {first['msg']}. Set it in the environment.") from error

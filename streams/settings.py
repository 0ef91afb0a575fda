"""Settings of the cloud side, read from the environment (prefix VIGIL_)."""

from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from domain.errors import ConfigError
from streams.secret_files import complete_database_url, from_files


class Settings(BaseSettings):
    """Where the outside systems are and how much of each is used.

    A secret can be given as VIGIL_X or as the name of a file that holds it, VIGIL_X_FILE.
    `database_url` is whole after reading: password and TLS of the other settings are in it.
    """

    model_config = SettingsConfigDict(
        env_prefix="VIGIL_", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    kafka_brokers: str = Field("127.0.0.1:9092", description="host:port, comma-separated")
    kafka_security: Literal["PLAINTEXT", "SSL", "SASL_SSL"] = Field(
        "PLAINTEXT", description="SSL: encrypted; SASL_SSL: and with user and password"
    )
    kafka_ca_file: Path | None = Field(
        None, description="PEM file of the brokers' certificate authority; else the system's"
    )
    kafka_sasl_mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256"] = Field(
        "SCRAM-SHA-512", description="SASL mechanism"
    )
    kafka_username: str = Field("", max_length=200, description="user of SASL_SSL")
    kafka_password: SecretStr = Field(SecretStr(""), description="password of SASL_SSL")
    kafka_password_file: Path | None = Field(None, description="file that holds it")
    kafka_wait_s: int = Field(
        60, ge=1, le=3600, description="how long a starting worker waits for a broker"
    )
    database_url: SecretStr = Field(
        SecretStr("postgresql://vigil@127.0.0.1:5432/vigil"), description="PostgreSQL, asyncpg DSN"
    )
    database_url_file: Path | None = Field(None, description="file that holds it")
    database_password: SecretStr = Field(
        SecretStr(""), description="password, if the address has none"
    )
    database_password_file: Path | None = Field(None, description="file that holds it")
    database_tls: Literal["as-url", "verify-full"] = Field(
        "as-url", description="verify-full: encrypted, with certificate and host name checked"
    )
    database_ca_file: Path | None = Field(
        None, description="PEM file of PostgreSQL's certificate authority; means verify-full"
    )
    web_database_url: SecretStr | None = Field(
        None, description="PostgreSQL address of the web, with a user that is in role vigil_web"
    )
    web_database_url_file: Path | None = Field(None, description="file that holds it")
    link_database_url: SecretStr | None = Field(
        None,
        description="PostgreSQL address of the devices' address, with a user in role vigil_link; "
        "without it, that of the web",
    )
    link_database_url_file: Path | None = Field(None, description="file that holds it")
    index_database_url: SecretStr | None = Field(
        None,
        description="PostgreSQL address of workers and passes, with a user in role vigil_index",
    )
    index_database_url_file: Path | None = Field(None, description="file that holds it")
    admin_database_url: SecretStr | None = Field(
        None, description="PostgreSQL address of commands, with a user in role vigil_admin"
    )
    admin_database_url_file: Path | None = Field(None, description="file that holds it")
    row_security: Literal["auto", "require"] = Field(
        "auto", description="require: the web answers nothing where PostgreSQL checks no tenants"
    )
    s3_endpoint: str | None = Field(None, description="only for stores that are not AWS S3")
    s3_bucket: str = Field("vigil", description="bucket of fragments and chunks")
    sqs_endpoint: str | None = Field(None, description="only for queues that are not AWS SQS")
    sqs_queue_url: str = Field("", description="queue that edges send their events to")
    sqs_dead_letter_url: str = Field("", description="queue for messages that could not be read")
    aws_ca_file: Path | None = Field(
        None, description="PEM file of the authorities of S3 and SQS; else the system's"
    )
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
    session_timeout_s: int = Field(
        10, ge=6, le=300, description="session time-out of the consumer group"
    )
    commit_interval_ms: int = Field(
        1_000, ge=100, le=60_000, description="how often progress is committed, ms"
    )
    table_store: Literal["memory", "rocksdb"] = Field(
        "rocksdb", description="where tables are stored"
    )
    metrics_host: str = Field("127.0.0.1", description="address of a worker's metrics and health")
    metrics_port: int = Field(
        0, ge=0, le=65535, description="port of a worker's metrics and health; 0: not served"
    )
    metrics_tls_certificate_file: Path | None = Field(
        None, description="PEM file of the certificate for metrics and health: they are HTTPS"
    )
    metrics_tls_key_file: Path | None = Field(None, description="PEM file of its unencrypted key")
    web_host: str = Field("127.0.0.1", description="address the web views listen on")
    web_port: int = Field(8080, ge=1, le=65535, description="port the web views listen on")
    web_tls_certificate_file: Path | None = Field(
        None, description="PEM file of the web's certificate and its chain: the web speaks HTTPS"
    )
    web_tls_key_file: Path | None = Field(None, description="PEM file of its unencrypted key")
    device_host: str = Field("127.0.0.1", description="address that devices are answered on")
    device_port: int = Field(8443, ge=1, le=65535, description="port that devices are answered on")
    device_tls_certificate_file: Path | None = Field(
        None, description="PEM file of the certificate and its chain for the devices' address"
    )
    device_tls_key_file: Path | None = Field(None, description="PEM file of its unencrypted key")
    device_ca_certificate_file: Path | None = Field(
        None, description="PEM file of the device CA; with a second certificate: both are trusted"
    )
    device_ca_key_file: Path | None = Field(
        None, description="PEM file of the device CA's key, which signs devices' certificates"
    )
    device_ca_kms_key: str = Field(
        "",
        max_length=2_048,
        description="id, ARN or alias of the device CA's key in AWS KMS, in place of the file",
    )
    kms_endpoint: str | None = Field(None, description="only for a KMS that is not AWS's")
    device_role_arn: str = Field(
        "",
        max_length=2_000,
        description="AWS role whose credentials devices get, limited to their site; empty: none",
    )
    device_kms_key_arns: str = Field(
        "",
        max_length=2_000,
        description="ARNs of the KMS keys of bucket and queue, comma-separated, if they have any",
    )
    sts_endpoint: str | None = Field(None, description="only for STS that is not AWS's")
    device_certificate_s: int = Field(
        86_400, ge=10, le=86_400, description="life of a device's certificate, seconds"
    )
    trusted_proxies: str = Field(
        "127.0.0.0/8,::1/128,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7",
        description="networks of proxies whose X-Forwarded-For and -Proto the web believes",
    )
    connections_per_address: int = Field(
        256,
        ge=1,
        le=100_000,
        description="connections to the web, or requests by way of a proxy, of one address",
    )
    requests_per_s: int = Field(
        100,
        ge=0,
        le=1_000_000,
        description="requests a second of one user or key to one web worker; 0: no limit",
    )
    media_bytes_per_s: int = Field(
        64 << 20,
        ge=0,
        le=1 << 40,
        description="bytes of media a second of one user or key from one web worker; 0: no limit",
    )
    cors_origins: str = Field(
        "",
        max_length=10_000,
        description="origins of other sites' pages that may use the API with a key, "
        "comma-separated, such as https://portal.example.com",
    )
    hsts_subdomains: bool = Field(
        False, description="HTTPS only, also for all subdomains of the web's host"
    )
    session_secret: SecretStr = Field(
        SecretStr(""),
        description="signs cursors and encrypts second factors; at least 32 characters for the web",
    )
    session_secret_file: Path | None = Field(None, description="file that holds it")
    link_host: str = Field(
        "127.0.0.1", description="address that a link worker listens on for other workers"
    )
    link_port: int = Field(
        0, ge=0, le=65535, description="port for that; 0: any free one, which it makes known"
    )
    link_address: str = Field(
        "",
        max_length=300,
        description="host name by which other workers reach a link worker; else VIGIL_LINK_HOST",
    )
    trace_endpoint: str = Field(
        "",
        pattern=r"^(https?://\S+)?$",
        description="address that takes traces by OTLP over HTTP, such as "
        "http://collector:4318/v1/traces; empty: no traces",
    )
    trace_ratio: float = Field(
        0.01, ge=0, le=1, description="share of the fragments that are traced"
    )
    prometheus_url: str = Field(
        "",
        pattern=r"^(https?://\S+)?$",
        description="address of Prometheus, which the page of the installation's status asks",
    )
    prometheus_ca_file: Path | None = Field(
        None, description="PEM file of the authority of Prometheus; else the system's"
    )
    backup_days: int = Field(
        0,
        ge=0,
        le=36_500,
        description="how many days the database's backups reach back, for the page of the status; "
        "0: it says that it does not know",
    )
    restore_drill_date: date | None = Field(
        None,
        description="day of the last restore drill, such as 2026-11-30, for the page of the status",
    )
    link_secret: SecretStr = Field(
        SecretStr(""),
        description="by which link workers and web workers trust each other, at least 32 "
        "characters; else it is derived from the session secret",
    )
    link_secret_file: Path | None = Field(None, description="file that holds it")
    link_tls_certificate_file: Path | None = Field(
        None, description="PEM file of a link worker's certificate: other workers use HTTPS"
    )
    link_tls_key_file: Path | None = Field(None, description="PEM file of its unencrypted key")
    link_ca_file: Path | None = Field(
        None, description="PEM file of the authority of link workers; else the system's"
    )
    link_sockets: int = Field(
        5_000, ge=1, le=100_000, description="devices that one link worker holds at most"
    )
    link_ping_s: float = Field(
        45.0, ge=1, le=300, description="seconds between two signs of life of an idle device"
    )
    public_url: str = Field(
        "", max_length=500, description="address of the web as browsers see it, https://HOST"
    )
    oidc_file: Path | None = Field(
        None, description="YAML file of the OpenID providers by which people sign in"
    )
    config_key_file: Path | None = Field(
        None,
        description="PEM file of the Ed25519 key that signs sites' configurations; only for the "
        "command that sets them",
    )
    audit_key_file: Path | None = Field(
        None, description="PEM file of the Ed25519 key that signs the heads of the audit log"
    )
    audit_lock_days: int = Field(
        366, ge=1, le=36_500, description="how long Object Lock keeps a signed head, days"
    )
    media_delivery: Literal["stream", "redirect"] = Field(
        "redirect", description="redirect: presigned S3 URL; stream: bytes through the API"
    )
    window_ms: int = Field(60_000, ge=2_000, le=3_600_000, description="chunk window, ms")
    grace_ms: int = Field(30_000, ge=0, le=3_600_000, description="grace period of a window, ms")
    idle_ms: int = Field(60_000, ge=1_000, le=86_400_000, description="idle time of a run, ms")
    late_ms: int = Field(
        15_000, ge=0, le=3_600_000, description="how long late fragments are collected, ms"
    )
    tick_ms: int = Field(5_000, ge=100, le=60_000, description="time between two ticks, ms")
    joined_margin_ms: int = Field(
        3_600_000,
        ge=600_000,
        le=30 * 86_400_000,
        description="how long fragments are kept after their chunk was indexed, ms",
    )
    superseded_margin_ms: int = Field(
        3_600_000,
        ge=600_000,
        le=30 * 86_400_000,
        description="how long an older revision is kept after the newer was indexed, ms",
    )
    log_format: Literal["logfmt", "json"] = Field("logfmt", description="form of a log line")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="lowest level of Vigil's own log lines; libraries: warning"
    )

    @model_validator(mode="before")
    @classmethod
    def _secrets(cls, given: dict[str, Any]) -> dict[str, Any]:
        return from_files(given)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kafka_security == "SASL_SSL" and not (
            self.kafka_username and self.kafka_password.get_secret_value()
        ):
            raise ConfigError(
                "VIGIL_KAFKA_SECURITY=SASL_SSL needs VIGIL_KAFKA_USERNAME, and VIGIL_KAFKA_PASSWORD"
                " or VIGIL_KAFKA_PASSWORD_FILE."
            )
        if self.kafka_security == "PLAINTEXT" and (self.kafka_username or self.kafka_ca_file):
            raise ConfigError(
                "A user or CA file for Kafka is set, but VIGIL_KAFKA_SECURITY is PLAINTEXT, so "
                "that nothing would be encrypted: set it to SASL_SSL (or SSL)."
            )
        if (self.metrics_tls_certificate_file is None) != (self.metrics_tls_key_file is None):
            raise ConfigError(
                "Set both VIGIL_METRICS_TLS_CERTIFICATE_FILE and VIGIL_METRICS_TLS_KEY_FILE, or "
                "neither: with one of them metrics could not be served over HTTPS."
            )
        if (self.web_tls_certificate_file is None) != (self.web_tls_key_file is None):
            raise ConfigError(
                "Set both VIGIL_WEB_TLS_CERTIFICATE_FILE and VIGIL_WEB_TLS_KEY_FILE, or neither: "
                "with one of them the web could not speak HTTPS."
            )
        if self.device_ca_key_file is not None and self.device_ca_kms_key:
            raise ConfigError(
                "Set VIGIL_DEVICE_CA_KEY_FILE or VIGIL_DEVICE_CA_KMS_KEY, not both: the device CA "
                "has one key."
            )
        if (self.link_tls_certificate_file is None) != (self.link_tls_key_file is None):
            raise ConfigError(
                "Set both VIGIL_LINK_TLS_CERTIFICATE_FILE and VIGIL_LINK_TLS_KEY_FILE, or neither."
            )
        url = complete_database_url(
            self.database_url.get_secret_value(),
            password=self.database_password.get_secret_value(),
            verify=self.database_tls == "verify-full" or self.database_ca_file is not None,
            ca_file=self.database_ca_file,
        )
        object.__setattr__(self, "database_url", SecretStr(url))  # frozen for all others
        for name in (
            "web_database_url",
            "link_database_url",
            "index_database_url",
            "admin_database_url",
        ):
            if (given := getattr(self, name)) is None:
                continue
            url = complete_database_url(
                given.get_secret_value(),
                password="",  # it is another user's
                verify=self.database_tls == "verify-full" or self.database_ca_file is not None,
                ca_file=self.database_ca_file,
            )
            object.__setattr__(self, name, SecretStr(url))
        return self


@lru_cache
def get_settings() -> Settings:
    """Return the process's settings; raises ConfigError naming the first wrong one."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "VIGIL_" + "_".join(str(part) for part in first["loc"]).upper()
        raise ConfigError(f"{name}: {first['msg']}. Set it in the environment.") from error

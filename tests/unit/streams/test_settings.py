"""Settings: secrets from files, the database's address made whole, half a TLS refused."""

from collections.abc import Iterator
from pathlib import Path

import faust
import pytest
from pydantic import ValidationError

from domain.errors import ConfigError
from local.certificates import Certificates
from streams.kafka import client_options, faust_credentials
from streams.settings import Settings, get_settings

URL = "postgresql://vigil@db.example:5432/vigil"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import os

    for name in list(os.environ):
        if name.startswith("VIGIL_"):
            monkeypatch.delenv(name)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()  # no other test is to have what these set


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    made = Certificates(tmp_path / "tls")
    made.make()
    return made


def test_a_secret_comes_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "password"
    file.write_text("s3cr3t/of us\n")
    monkeypatch.setenv("VIGIL_DATABASE_URL", URL)
    monkeypatch.setenv("VIGIL_DATABASE_PASSWORD_FILE", str(file))
    settings = get_settings()
    assert settings.database_password.get_secret_value() == "s3cr3t/of us"
    assert settings.database_url.get_secret_value() == URL.replace("@", ":s3cr3t%2Fof%20us@")
    assert "s3cr3t" not in repr(settings) and "s3cr3t" not in str(settings)


@pytest.mark.parametrize(
    ("text", "reason"), [(None, "No such file"), ("", "is empty"), ("\n", "is empty")]
)
def test_a_file_without_a_secret_is_named(tmp_path: Path, text: str | None, reason: str) -> None:
    file = tmp_path / "password"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigError, match=f"VIGIL_SESSION_SECRET_FILE: .*password.*{reason}"):
        Settings(session_secret_file=file)


def test_a_secret_is_given_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="VIGIL_KAFKA_PASSWORD and VIGIL_KAFKA_PASSWORD_FILE"):
        Settings(kafka_password="x", kafka_password_file=tmp_path / "password")


def test_a_ca_file_means_that_everything_is_checked() -> None:
    settings = Settings(database_url=URL, database_ca_file="/etc/ca one.pem")
    whole = settings.database_url.get_secret_value()
    assert whole == f"{URL}?sslmode=verify-full&sslrootcert=%2Fetc%2Fca+one.pem"
    again = Settings(database_url=whole, database_ca_file="/etc/ca one.pem")
    assert again.database_url == settings.database_url


def test_the_systems_authorities_are_taken_where_none_is_named() -> None:
    whole = Settings(database_url=URL, database_tls="verify-full").database_url.get_secret_value()
    assert "sslmode=verify-full&sslrootcert=" in whole


def test_an_address_that_asks_for_less_is_refused() -> None:
    with pytest.raises(ConfigError, match="sslmode=require"):
        Settings(database_url=f"{URL}?sslmode=require", database_tls="verify-full")


def test_a_password_in_the_address_stays() -> None:
    url = URL.replace("@", ":own@")
    assert Settings(database_url=url, database_password="x").database_url.get_secret_value() == url


def test_a_user_without_a_password_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs VIGIL_KAFKA_USERNAME"):
        Settings(kafka_security="SASL_SSL", kafka_username="vigil")


@pytest.mark.parametrize("half", [{"kafka_username": "vigil"}, {"kafka_ca_file": "/etc/ca.pem"}])
def test_half_of_an_encryption_is_refused(half: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="nothing would be encrypted"):
        Settings(**half)


def test_a_wrong_setting_never_shows_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIGIL_KAFKA_SASL_MECHANISM", "hunter2")
    with pytest.raises(ConfigError, match="VIGIL_KAFKA_SASL_MECHANISM") as raised:
        get_settings()
    assert isinstance(raised.value.__cause__, ValidationError)
    assert "hunter2" not in str(raised.value) + str(raised.value.__cause__)


def test_every_client_of_kafka_gets_the_same(certificates: Certificates) -> None:
    settings = Settings(
        kafka_brokers="k1:9096,k2:9096",
        kafka_security="SASL_SSL",
        kafka_ca_file=certificates.ca_file,
        kafka_username="vigil",
        kafka_password_file=certificates.password_file,
    )
    options = client_options(settings)
    assert options["security_protocol"] == "SASL_SSL"
    assert options["sasl_mechanism"] == "SCRAM-SHA-512"
    assert options["sasl_plain_password"] == certificates.password
    assert options["ssl_context"].check_hostname
    credentials = faust_credentials(settings)
    assert isinstance(credentials, faust.SASLCredentials)
    assert credentials.protocol.value == "SASL_SSL"
    assert certificates.password not in repr(credentials)
    only_tls = settings.model_copy(update={"kafka_security": "SSL"})
    assert isinstance(faust_credentials(only_tls), faust.SSLCredentials)
    assert "sasl_mechanism" not in client_options(only_tls)
    assert client_options(Settings()) == {"bootstrap_servers": "127.0.0.1:9092"}
    assert faust_credentials(Settings()) is None


async def test_asyncpg_reads_what_the_address_says(certificates: Certificates) -> None:
    from asyncpg.connect_utils import SSLMode, _parse_connect_dsn_and_args

    settings = Settings(
        database_url=URL,
        database_ca_file=certificates.ca_file,
        database_password_file=certificates.password_file,
    )
    names = ("host", "port", "user", "password", "passfile", "database", "ssl", "service",
             "servicefile", "direct_tls", "server_settings", "target_session_attrs", "krbsrvname",
             "gsslib")  # fmt: skip
    given = dict.fromkeys(names) | {"dsn": settings.database_url.get_secret_value()}
    _, found = _parse_connect_dsn_and_args(**given)
    assert found.sslmode is SSLMode.verify_full and found.ssl.check_hostname
    assert found.password == certificates.password


def test_what_needs_no_key_listens_on_the_loopback_address() -> None:
    assert Settings().metrics_host == "127.0.0.1"
    assert Settings().web_host == "127.0.0.1"

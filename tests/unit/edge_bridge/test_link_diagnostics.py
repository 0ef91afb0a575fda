"""The diagnostics bundle holds no secret, whatever the configuration and the log hold."""

import json
import logging

import pytest

from edge_bridge.config.loader import validated
from edge_bridge.link.diagnostics import MAX_BYTES, make_bundle
from edge_bridge.link.redact import redact_text
from edge_bridge.logs import RECENT

SECRETS = ("hunter2+secret", "page-pass", "AwsSecretValue", "url-password")


@pytest.fixture
def config(tmp_path, monkeypatch):
    (tmp_path / "camera.pw").write_text(SECRETS[0] + "\n")
    monkeypatch.setenv("PAGE_PASSWORD", SECRETS[1])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRETS[2])
    return validated(
        {
            "site": "acme/hq",
            "edge": "box",
            "cloud": {
                "bucket": "vigil",
                "queue_url": "https://sqs.example.com/1/q?token=abcdef",
            },
            "spool": {"dir": str(tmp_path / "spool"), "max_bytes": 1 << 30},
            "http": {"port": 0, "password_env": "PAGE_PASSWORD"},
            "cameras": [
                {
                    "id": "gate",
                    "url": f"rtsp://10.0.0.7:554/user=admin_password={SECRETS[3]}_channel=1",
                    "username": "admin",
                    "password_file": str(tmp_path / "camera.pw"),
                }
            ],
        },
        "test",
        tmp_path,
    )


def test_no_secret_is_in_it(config) -> None:
    record = logging.LogRecord("x", logging.ERROR, "", 0, "%s", None, None)
    for text in (
        f"camera rejected {SECRETS[0]} and hunter2%2Bsecret",
        f"rtsp://admin:{SECRETS[3]}@10.0.0.7/stream failed",
        f"GET https://x.example.com/a?X-Amz-Signature={SECRETS[3]}",
        f"Authorization: Bearer {SECRETS[3]}",
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIurl-password",
    ):
        record.args = (text,)
        RECENT.emit(record)
    data = make_bundle(config, lambda: {"links": {"s3": {"detail": f"password={SECRETS[1]}"}}})
    text = data.decode()
    for secret in (*SECRETS, "hunter2%2Bsecret", "MC4CAQAwBQYDK2VwBCIE", "abcdef"):
        assert secret not in text, secret
    bundle = json.loads(data)
    assert bundle["config"]["cameras"][0]["url"] == "rtsp://10.0.0.7:554"
    assert len(bundle["log"]) >= 5
    assert bundle["process"]["VmRSS"]


def test_it_is_bounded(config) -> None:
    record = logging.LogRecord("x", logging.ERROR, "", 0, "%s", ("é" * 900,), None)
    for _ in range(2_000):
        RECENT.emit(record)
    data = make_bundle(config, lambda: {"detail": "x" * 400_000})
    assert len(data) <= MAX_BYTES
    assert json.loads(data)["log"]
    RECENT.lines.clear()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rtsp://u:p@cam/live", "rtsp://cam/[redacted]"),
        ("https://u:p@host/path", "https://[redacted]@host/path"),
        ("https://host/path?a=b", "https://host/path?[redacted]"),
        ('{"password": "x1y2"}', '{"password": "[redacted]"}'),
        ("token=abc, next", "token=[redacted], next"),
        ("AKIAABCDEFGHIJKLMNOP", "[redacted]"),
        ("the camera answers 401", "the camera answers 401"),
    ],
)
def test_forms_of_secrets(text: str, expected: str) -> None:
    assert redact_text(text, ()) == expected

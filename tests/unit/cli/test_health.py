"""`vigil health`: asks the program of the same settings."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

import cli.main
from streams.settings import get_settings


class Handler(BaseHTTPRequestHandler):
    """Healthy, but not ready."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthz" else 503)
        self.end_headers()
        self.wfile.write(self.path.encode())

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("VIGIL_METRICS_HOST", "0.0.0.0")
    monkeypatch.setenv("VIGIL_METRICS_PORT", str(server.server_port))
    get_settings.cache_clear()
    yield server.server_port
    server.shutdown()
    server.server_close()
    get_settings.cache_clear()


def result(*arguments: str) -> object:
    with pytest.raises(SystemExit) as ended:
        cli.main.main(["health", *arguments])
    return ended.value.code


def test_a_running_program_is_healthy(port: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert result() == 0
    assert capsys.readouterr().out == "/healthz\n"


def test_it_can_be_asked_whether_it_is_ready(port: int) -> None:
    assert result("--ready") == 1


def test_where_nothing_answers_the_address_is_named(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIGIL_METRICS_PORT", "1")
    get_settings.cache_clear()
    assert "Nothing answers at 127.0.0.1:1" in str(result())


def test_without_a_port_the_setting_is_named(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIGIL_METRICS_PORT", "0")
    get_settings.cache_clear()
    assert "VIGIL_METRICS_PORT is 0" in str(result())

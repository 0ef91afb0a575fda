"""Dashboards and rules, asked of a real Prometheus that has read the metrics of the real programs.

The programs' modules are imported, so their registries have what they export. Each metric gets
one series, so that joins of a query meet labels. Two targets have the same series: a query
that forgets the instance fails.
"""

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from local.ports import HOST, find_free

pytestmark = pytest.mark.infra
ROOT = Path(__file__).parents[2]
DASHBOARDS = sorted((ROOT / "ops/grafana").glob("*.json"))
RULES = (ROOT / "ops/prometheus/alerts.yaml", ROOT / "ops/prometheus/slo.yaml")
PROGRAMS = (
    "agents.assemble", "agents.heal", "agents.index", "agents.join", "agents.relay.relay",
    "agents.retention.deletion_stats", "cli.audit", "edge_bridge.inference.metrics",
    "edge_bridge.metrics", "web.app", "web.device.enrol", "web.device.link", "web.device.renew",
)  # fmt: skip
COLLECTED = ["vigil_commit_lag", "vigil_event_lag_seconds", "vigil_log_lag_seconds"]
"""Read from a running consumer; here they are written by hand."""
EXPORT = """
import importlib, sys
import prometheus_client
for name in sys.argv[1:]:
    importlib.import_module(name)
from streams.metrics import REGISTRY
for registry in (REGISTRY, prometheus_client.REGISTRY):
    for metric in list(registry._collector_to_names):
        labels = getattr(metric, "_labelnames", ())
        if labels and not metric._metrics:
            metric.labels(*("x" for _ in labels))
    print(prometheus_client.generate_latest(registry).decode())
"""
"""Imports programs and prints what their registries hold."""
VARIABLES = {"$job": ".*", "$__rate_interval": "1m", "$__range": "1h", "$__interval": "30s"}


def queries(dashboard: Path) -> Iterator[tuple[str, str]]:
    """Yield the title of each panel with each of its queries, and each variable's query."""
    board = json.loads(dashboard.read_text())
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], filled(target["expr"])
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            [asked] = re.findall(r"label_values\((.+), \w+\)$", variable["definition"])
            yield f"variable {variable['name']}", filled(asked)


def filled(query: str) -> str:
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    assert "$" not in query, f"{query}: a variable that no test fills"
    return query


def exported() -> str:
    """Return what all programs export, each metric with a series at least."""
    environment = {**os.environ, "VIGIL_SESSION_SECRET": secrets.token_urlsafe(48)}
    done = subprocess.run(
        [sys.executable, "-c", EXPORT, *PROGRAMS],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lags = "".join(f'{name}{{topic="x",partition="0"}} 1\n' for name in COLLECTED)
    # Both registries name the process's own metrics.
    kept = [line for line in done.stdout.splitlines() if "vigil_" in line]
    text = "\n".join(kept) + "\n" + lags
    assert len(list(text_string_to_metric_families(text))) > 60
    return text


class Prometheus:
    """A server that is asked over its API."""

    def __init__(self, port: int) -> None:
        self._url = f"http://{HOST}:{port}/api/v1/"

    def get(self, path: str, **parameters: str) -> Any:
        """Return the data of an answer; fails with Prometheus's own words."""
        url = f"{self._url}{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from error

    def ask(self, query: str) -> list[Any]:
        """Return the result of a query, now."""
        result: list[Any] = self.get("query", query=query)["result"]
        return result

    def has_metrics(self) -> bool:
        """Return whether all targets were read twice."""
        try:
            return len(self.ask("count_over_time(vigil_ready[1m]) >= 2")) == 4
        except (OSError, AssertionError):
            return False


class Page(BaseHTTPRequestHandler):
    """Serves `text` to Prometheus."""

    text = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(self.text)

    def log_message(self, *_: object) -> None:
        """Print no line for each request."""


@contextmanager
def served(text: str) -> Iterator[int]:
    """Serve a page of metrics; yields the port."""
    Page.text = text.encode()
    with ThreadingHTTPServer((HOST, 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    path = str(Path(sys.prefix) / "bin")
    binary = shutil.which("prometheus") or shutil.which("prometheus", path=path)
    if binary is None:
        pytest.skip("prometheus is not here: `make system` takes it from Debian's package")
    folder = tmp_path_factory.mktemp("prometheus")
    with served(exported()) as port:
        targets = [f"{HOST}:{port}", f"localhost:{port}"]
        settings = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(file) for file in RULES],
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": targets}]}
                for job in ("vigil-web", "vigil-index")
            ],
        }
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(settings))
        own_port = find_free()
        server = subprocess.Popen(
            [
                binary,
                f"--config.file={folder / 'prometheus.yaml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={HOST}:{own_port}",
                "--log.level=error",
            ]
        )
        try:
            asked = Prometheus(own_port)
            deadline = time.monotonic() + 60
            while not asked.has_metrics():
                assert time.monotonic() < deadline and server.poll() is None, "no metrics"
                time.sleep(0.2)
            yield asked
        finally:
            server.terminate()
            server.wait(30)


@pytest.fixture(scope="module")
def known(prometheus: Prometheus) -> set[str]:
    """The names of all series: those of the programs, and those that rules record."""
    names = set(prometheus.get("label/__name__/values"))
    recorded = {
        rule["record"]
        for file in RULES
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
        if "record" in rule
    }
    return names | recorded


def unknown(query: str, known: set[str]) -> set[str]:
    """Return the metrics of a query that no program exports and no rule records."""
    without_texts = re.sub(r'"[^"]*"', '""', query)
    return set(re.findall(r"\b(?:vigil|slo)[_:][\w:]+", without_texts)) - known


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: path.stem)
def test_every_panel_can_be_asked(prometheus: Prometheus, known: set[str], dashboard: Path) -> None:
    found = list(queries(dashboard))
    assert len(found) > 10
    for title, query in found:
        prometheus.ask(query)
        assert not unknown(query, known), f"{title}: {query}"


def test_every_rule_can_be_evaluated(prometheus: Prometheus, known: set[str]) -> None:
    for file in RULES:
        for group in yaml.safe_load(file.read_text())["groups"]:
            for rule in group["rules"]:
                prometheus.ask(rule["expr"])
                assert not unknown(rule["expr"], known), rule


def test_prometheus_loads_all_rules(prometheus: Prometheus) -> None:
    groups = (prometheus.get("rules"))["groups"]
    written = [g["name"] for file in RULES for g in yaml.safe_load(file.read_text())["groups"]]
    assert sorted(group["name"] for group in groups) == sorted(written)
    bad = [r for group in groups for r in group["rules"] if r["health"] == "err"]
    assert bad == []


def test_a_panel_of_a_metric_that_no_program_exports_is_found(
    prometheus: Prometheus, known: set[str]
) -> None:
    """The test itself: it sees a name that does not exist, and a query that is not one."""
    assert unknown('sum(rate(vigil_cameras_total{job="vigil_x"}[1m]))', known) == {
        "vigil_cameras_total"
    }
    with pytest.raises(AssertionError, match="parse error"):
        prometheus.ask("sum(rate(vigil_ready[1m])")

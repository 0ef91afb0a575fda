"""Alert rules and dashboard: they fire when they should, and name metrics that there are."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from domain.camera_state import ALERT_LIMITS

ROOT = Path(__file__).parents[3]
RULES = ROOT / "ops/prometheus/alerts.yaml"
TESTS = ROOT / "ops/prometheus/tests.yaml"
DASHBOARDS = sorted((ROOT / "ops/grafana").glob("*.json"))
PACKAGES = ("agents", "cli", "edge_bridge", "streams", "vision", "web")

ABOUT = {
    "lag in seconds of event time": "vigil_event_lag_seconds",
    "windows open": "vigil_windows_open",
    "seals by reason": "vigil_windows_sealed_total",
    "late fragments": "vigil_fragments_total",
    "how late": "vigil_fragment_late_seconds_bucket",
    "revisions": "vigil_chunk_revisions_total",
    "healed fragments": "vigil_fragments_healed_total",
    "offset jumps": "vigil_offset_jumps_total",
    "dead letters": "vigil_dead_letters_total",
    "S3 and PostgreSQL call times": "vigil_store_call_seconds_bucket",
    "recovery time": "vigil_recovery_seconds",
    "readiness": "vigil_ready",
}
"""What an operator must see -> what shows it."""


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    boards = [json.loads(path.read_text()) for path in DASHBOARDS]
    return [each for board in boards for each in board["panels"] if each["type"] != "row"]


def dashboard_queries() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def made() -> Iterator[str]:
    """Yield the names under which Prometheus knows what the code counts."""
    kind = re.compile(r'(Counter|Gauge|Histogram)\(\s*"(vigil_\w+)"')
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for what, name in kind.findall(path.read_text()):
                if what == "Counter":
                    yield f"{name}_total"
                elif what == "Gauge":
                    yield name
                else:
                    yield from (f"{name}_{part}" for part in ("bucket", "sum", "count"))
    # exported by a collector at each scrape
    yield from ("vigil_commit_lag", "vigil_event_lag_seconds", "vigil_log_lag_seconds")


def asked(queries: list[str]) -> set[str]:
    return {name for query in queries for name in re.findall(r"\bvigil_\w+", query)}


def test_rules_and_dashboard_ask_for_metrics_that_there_are() -> None:
    known = set(made())
    assert len(known) > 40
    assert asked([rule["expr"] for rule in rules()]) <= known
    assert asked(dashboard_queries()) <= known


@pytest.mark.parametrize(
    ("alert", "limits"),
    [
        (
            "VigilCameraSilent",
            [ALERT_LIMITS.camera_silent_ms / 1_000, ALERT_LIMITS.out_of_use_ms / 1_000],
        ),
        (
            "VigilEdgeSilent",
            [ALERT_LIMITS.edge_silent_ms / 1_000, ALERT_LIMITS.out_of_use_ms / 1_000],
        ),
        (
            "VigilSpoolAgeing",
            [ALERT_LIMITS.edge_silent_ms / 1_000, ALERT_LIMITS.spool_waiting_ms / 1_000],
        ),
        (
            "VigilEdgeDiskFilling",
            [ALERT_LIMITS.edge_silent_ms / 1_000, ALERT_LIMITS.disk_low_bytes],
        ),
    ],
)
def test_alerts_have_the_limits_of_the_domain(alert: str, limits: list[float]) -> None:
    [expression] = [rule["expr"] for rule in rules() if rule["alert"] == alert]
    assert [float(number) for number in re.findall(r"[<>]=? ([\d.]+)", expression)] == limits


@pytest.mark.parametrize("what", ABOUT)
def test_the_dashboard_shows(what: str) -> None:
    assert ABOUT[what] in asked(dashboard_queries())


def test_each_alert_says_what_to_do() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"] and rule["annotations"]["remedy"].endswith(".")


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: path.stem)
def test_panels_have_ids_and_places_of_their_own_and_say_what_they_show(dashboard: Path) -> None:
    every = json.loads(dashboard.read_text())["panels"]
    assert len({panel["id"] for panel in every}) == len(every)
    for one, two in combinations([panel["gridPos"] for panel in every], 2):
        apart = (
            one["x"] + one["w"] <= two["x"]
            or two["x"] + two["w"] <= one["x"]
            or one["y"] + one["h"] <= two["y"]
            or two["y"] + two["h"] <= one["y"]
        )
        assert apart, (one, two)
    assert all(panel["description"] for panel in panels())


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool") or shutil.which("promtool", path=str(Path(sys.prefix) / "bin"))
    if found is None:
        pytest.skip("promtool is not here: `make system` takes it from Debian's prometheus")
    return found


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_are_rules(promtool: str) -> None:
    run(promtool, "check", "rules", "--lint=all", "--lint-fatal", str(RULES))


@pytest.mark.slow
def test_the_rules_fire_when_they_should(promtool: str) -> None:
    run(promtool, "test", "rules", str(TESTS))


def test_every_rule_is_tested() -> None:
    tests = yaml.safe_load(TESTS.read_text())["tests"]
    expected = {
        case["alertname"]
        for test in tests
        for case in test["alert_rule_test"]
        if case.get("exp_alerts")
    }
    by_query = {query["expr"] for test in tests for query in test.get("promql_expr_test", ())}
    for rule in rules():
        name = rule["alert"]
        assert name in expected or any(f'alertname="{name}"' in query for query in by_query)


def test_the_dashboards_queries_can_be_asked(promtool: str, tmp_path: Path) -> None:
    written = [
        {
            "record": f"dashboard:query{number}",
            "expr": query.replace("$__rate_interval", "5m").replace("$job", ".*"),
        }
        for number, query in enumerate(dashboard_queries())
    ]
    assert len(written) > 30
    file = tmp_path / "dashboard.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": written}]}))
    run(promtool, "check", "rules", str(file))

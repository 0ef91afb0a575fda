"""Service levels: their alerts fire on a fast burn and a slow one, and where no program measures.

Promtool plays the time: each case is a few phases of (minutes, share of errors).
"""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from checks.slo import SPEC, main, rules, text
from domain.camera_state import SERVICE_LIMITS

SPECIFICATION = yaml.safe_load(SPEC.read_text())
SLOS = {slo["name"]: slo for slo in SPECIFICATION["slos"]}
HISTORY_MIN = 7 * 60
STEP_MIN = 2
FIRING = (
    'count by (alertname, severity, slo, site) (ALERTS{alertstate="firing", severity=~"SEVERITY"})'
)
DASHBOARD = 'route="/api/v1/cameras", job="vigil-web"'
Phases = Sequence[tuple[int, float]]
Series = dict[str, str]


def gauge(phases: Phases, step_min: int, value: Any) -> str:
    """Return a gauge's values: `value(share of errors)` at each step."""
    return " ".join(
        f"{value(share):.6f}x{minutes // step_min - 1}" for minutes, share in phases
    )  # fmt: skip


def counter(phases: Phases, step_min: int, per_minute: Any) -> str:
    """Return a counter's values: it grows by `per_minute(share of errors)`."""
    parts, total = ["0x0"], 0.0
    for minutes, share in phases:
        grown = per_minute(share) * step_min
        steps = minutes // step_min
        parts.append(f"{total + grown:.4f}+{grown:.4f}x{steps - 1}")
        total += grown * steps
    return " ".join(parts)


def series(slo: str, phases: Phases, step_min: int) -> Series:
    """Return what the programs export while a share of errors happens."""
    all_of = counter(phases, step_min, lambda _: 1_000)
    good = counter(phases, step_min, lambda share: 1_000 * (1 - share))
    bad = counter(phases, step_min, lambda share: 1_000 * share)
    calm = gauge(phases, step_min, lambda _: 100)
    left = gauge(phases, step_min, lambda share: 100 * (1 - share))
    return {
        "footage-arrives": {
            # Two indexers say the same; another site is well.
            'vigil_site_cameras{site="acme/hq", instance="a"}': calm,
            'vigil_site_cameras{site="acme/hq", instance="b"}': calm,
            'vigil_site_cameras_sending{site="acme/hq", instance="a"}': left,
            'vigil_site_cameras_sending{site="acme/hq", instance="b"}': left,
            'vigil_site_cameras{site="acme/oslo", instance="a"}': calm,
            'vigil_site_cameras_sending{site="acme/oslo", instance="a"}': calm,
        },
        "edge-online": {
            'vigil_site_edges{site="acme/hq", instance="a"}': calm,
            'vigil_site_edges_online{site="acme/hq", instance="a"}': left,
            'vigil_site_edges{site="acme/oslo", instance="a"}': calm,
            'vigil_site_edges_online{site="acme/oslo", instance="a"}': calm,
        },
        "playable-latency": {
            'vigil_playable_seconds_count{instance="a"}': all_of,
            'vigil_playable_seconds_bucket{instance="a", le="10.0"}': good,
        },
        "detection-latency": {
            'vigil_detection_seconds_count{instance="a"}': all_of,
            'vigil_detection_seconds_bucket{instance="a", le="10.0"}': good,
        },
        "api-availability": {
            f'vigil_http_requests_total{{{DASHBOARD}, status="200"}}': good,
            f'vigil_http_requests_total{{{DASHBOARD}, status="503"}}': bad,
        },
        "api-latency": {
            f"vigil_http_seconds_count{{{DASHBOARD}}}": all_of,
            f'vigil_http_seconds_bucket{{{DASHBOARD}, le="0.5"}}': good,
            # A stream that lasts for an hour is not slow.
            'vigil_http_seconds_count{route="/api/v1/events", job="vigil-web"}': all_of,
        },
    }[slo]


def case(
    name: str,
    shown: Series,
    step_min: int,
    *at: tuple[int, Sequence[tuple[str, str, str]]],
    severity: str = ".*",
) -> dict[str, Any]:
    """Return a test of promtool. `at`: (minute, the (alert, severity, slo) that fire then)."""
    return {
        "name": name,
        "interval": f"{step_min}m",
        "input_series": [{"series": key, "values": value} for key, value in shown.items()],
        "promql_expr_test": [
            {
                "expr": FIRING.replace("SEVERITY", severity),
                "eval_time": f"{minute}m",
                "exp_samples": [
                    {"labels": _labels(*firing), "value": 1} for firing in sorted(all_firing)
                ],
            }
            for minute, all_firing in at
        ],
    }


def _labels(alert: str, severity: str, slo: str) -> str:
    site = ', site="acme/hq"' if slo in ("footage-arrives", "edge-online") else ""
    site = "" if alert == "VigilSloNoData" else site
    return f'{{alertname="{alert}", severity="{severity}", slo="{slo}"{site}}}'


def burn(slo: str, severity: str) -> tuple[str, str, str]:
    return SLOS[slo]["alerting"]["name"], severity, slo


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool") or shutil.which("promtool", path=str(Path(sys.prefix) / "bin"))
    if found is None:
        pytest.skip("promtool is not here: `make system` takes it from Debian's prometheus")
    return found


def play(
    promtool: str, folder: Path, step_min: int, cases: list[dict[str, Any]], *slos: str
) -> None:
    """Run cases over the rules of some service levels; fails with promtool's words."""
    chosen = {**SPECIFICATION, "slos": [SLOS[slo] for slo in slos]}
    (folder / "rules.yaml").write_text(text(chosen))
    tests = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": f"{step_min}m",
        "group_eval_order": [group["name"] for group in rules(chosen)["groups"]],
        "tests": cases,
    }
    file = folder / "tests.yaml"
    file.write_text(yaml.safe_dump(tests, width=100_000))
    done = subprocess.run(
        [promtool, "test", "rules", str(file)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("slo", SLOS)
def test_a_fast_burn_pages_and_a_short_fault_does_not(
    promtool: str, tmp_path: Path, slo: str
) -> None:
    down = [(HISTORY_MIN, 0.0), (20, 1.0), (40, 0.0)]
    # Four minutes of all requests use 1.9 % of a budget of 216 minutes: 2 % call a person.
    share = min(1.0, (100 - SLOS[slo]["objective"]) * 2)
    fault = [(HISTORY_MIN, 0.0), (4, share), (40, 0.0)]
    page = burn(slo, "page")
    cases = [
        case(
            "all of it fails",
            series(slo, down, STEP_MIN),
            STEP_MIN,
            (HISTORY_MIN, []),
            (HISTORY_MIN + 14, [page]),
            # The failure has left the short windows.
            (HISTORY_MIN + 20 + 36, []),
            severity="page",
        ),
        case(
            "a short fault",
            series(slo, fault, STEP_MIN),
            STEP_MIN,
            *((HISTORY_MIN + minute, []) for minute in (2, 4, 6, 20)),
            severity="page",
        ),
    ]
    play(promtool, tmp_path, STEP_MIN, cases, slo)


@pytest.mark.parametrize("slo", SLOS)
def test_a_slow_burn_makes_a_ticket_and_a_budget_that_lasts_makes_none(
    promtool: str, tmp_path: Path, slo: str
) -> None:
    day = 24 * 60
    budget = 1 - SLOS[slo]["objective"] / 100
    slow = [(day, 0.0), (day, 5 * budget)]
    lasts = [(3 * day, 0.8 * budget)]
    fault = [(3 * day, 0.0), (10, 20 * budget), (60, 0.0)]
    cases = [
        case(
            "five times too fast for 16 hours",
            series(slo, slow, 10),
            10,
            (day + 16 * 60, [burn(slo, "ticket")]),
        ),
        case("it lasts", series(slo, lasts, 10), 10, (3 * day - 10, [])),
        case("one fault", series(slo, fault, 10), 10, (3 * day + 40, [])),
    ]
    play(promtool, tmp_path, 10, cases, slo)


def test_missing_data_calls_a_person(promtool: str, tmp_path: Path) -> None:
    measured: Series = {}
    for slo in SLOS:
        measured |= series(slo, [(90, 0.0)], 1)
    stopped = {key: f"{values} _x60" for key, values in measured.items()}
    no_footage = measured | {
        'vigil_playable_seconds_count{instance="a"}': "1000x90",
        'vigil_playable_seconds_bucket{instance="a", le="10.0"}': "1000x90",
    }
    unmeasured = [("VigilSloNoData", "page", slo) for slo in SLOS]
    cases = [
        case("nothing was ever measured", {"up": "1x60"}, 1, (9, []), (12, unmeasured)),
        case("all is well", measured, 1, (80, [])),
        # The last value counts for 5 minutes more.
        case("the programs are gone", stopped, 1, (89, []), (110, unmeasured)),
        case(
            "cameras send, and nothing becomes playable",
            no_footage,
            1,
            (60, [("VigilSloNoData", "page", "playable-latency")]),
        ),
    ]
    play(promtool, tmp_path, 1, cases, *SLOS)


def test_one_failure_in_a_quiet_night_wakes_no_one(promtool: str, tmp_path: Path) -> None:
    """Ten requests in an hour, of which one fails, are 10 % of errors."""
    shown = {
        f'vigil_http_requests_total{{{DASHBOARD}, status="200"}}': "0x60 1+0.15x60",
        f'vigil_http_requests_total{{{DASHBOARD}, status="500"}}': "0x90 1x30",
    }
    cases = [case("a quiet night", shown, 1, (95, []), (110, []))]
    play(promtool, tmp_path, 1, cases, "api-availability")


def test_the_rules_are_generated() -> None:
    assert main([]) == 0


def test_each_service_level_is_complete() -> None:
    made = {group["name"]: group["rules"] for group in rules(SPECIFICATION)["groups"]}
    alerts = [rule for rule in made["vigil-slo-alerts"] if rule["alert"] != "VigilSloNoData"]
    assert len(alerts) == 2 * len(SLOS)
    for slo in SLOS.values():
        assert slo["title"] and slo["description"].endswith(".")
        assert 90 <= slo["objective"] < 100
        assert slo["alerting"]["annotations"]["remedy"].endswith(".")


def test_the_words_name_the_limits_of_the_domain() -> None:
    assert SERVICE_LIMITS.camera_sending_ms == 60_000
    assert "at most a minute old" in SLOS["footage-arrives"]["description"]
    assert SERVICE_LIMITS.edge_online_ms == 3 * 60_000
    assert "last three minutes" in SLOS["edge-online"]["description"]

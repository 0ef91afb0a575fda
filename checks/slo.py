"""Recording rules and burn-rate alerts of the service levels in ops/slo/vigil.yaml.

    python -m checks.slo            say whether ops/prometheus/slo.yaml differs; exits with 1
    python -m checks.slo --write    write it (make docs)

An error budget is what the objective leaves: 0.5 % of 30 days for 99.5 %. A burn rate of 1 uses it
up in exactly 30 days. An alert needs a long window, so that a short fault calls no one. It also
needs a short one, so that it ends with the fault (Google's SRE workbook, chapter 5):

    severity   burn rate   windows        budget used when it fires
    page       14.4        1 h and 5 m    2 %
    page       6           6 h and 30 m   5 %
    ticket     3           1 d and 2 h    10 %
    ticket     1           3 d and 6 h    10 %
"""

import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
SPEC = ROOT / "ops/slo/vigil.yaml"
RULES = ROOT / "ops/prometheus/slo.yaml"
RUNBOOK = "docs/how-to/runbook.md"
PERIOD = "30d"
SHORT_WINDOWS = ("5m", "30m", "1h", "2h", "6h")
LONG_WINDOWS = ("1d", "3d")
BURN_RATES = (
    ("page", ((Decimal("14.4"), "5m", "1h"), (Decimal(6), "30m", "6h"))),
    ("ticket", ((Decimal(3), "2h", "1d"), (Decimal(1), "6h", "3d"))),
)
NO_DATA = "VigilSloNoData"
HEADER = """\
# Written by `make docs` from ops/slo/vigil.yaml: change that file. checks/slo.py says how.
"""

Rule = dict[str, Any]


def runbook_url(alert: str) -> str:
    """Return where the runbook's section of an alert is. The chart puts its address before it."""
    return f"{RUNBOOK}#{alert.lower()}"


def error_ratio(slo: dict[str, Any], window: str) -> str:
    """Return the query for the share of errors in a window. No traffic: no result."""
    sli = slo["sli"]
    if "raw" in sli:
        query = sli["raw"]["error_ratio_query"]
    else:
        query = f"(({sli['events']['error_query']}) / ({sli['events']['total_query']})) >= 0"
    return str(query).replace("{{.window}}", window)


def burns(name: str, budget: Decimal, rate: Decimal, short: str, long: str) -> str:
    """Return the condition that a budget burns faster than `rate` in both windows."""
    limit = f"{(rate * budget).normalize():f}"
    return (
        f'(slo:sli_error:ratio_rate{short}{{slo="{name}"}} > {limit}'
        f' and slo:sli_error:ratio_rate{long}{{slo="{name}"}} > {limit})'
    )


def _budget(slo: dict[str, Any]) -> Decimal:
    return 1 - Decimal(str(slo["objective"])) / 100


def _ratios(slos: list[dict[str, Any]], windows: tuple[str, ...]) -> list[Rule]:
    return [
        {
            "record": f"slo:sli_error:ratio_rate{window}",
            "expr": error_ratio(slo, window),
            "labels": {"slo": slo["name"]},
        }
        for slo in slos
        for window in windows
    ]


def _budgets(slo: dict[str, Any]) -> list[Rule]:
    """Return the rules of the whole period; a period without data counts what it has."""
    name, budget = slo["name"], f"{_budget(slo).normalize():f}"
    labels = {"slo": name}
    return [
        {
            "record": "slo:objective:ratio",
            "expr": f"vector({1 - _budget(slo)})",
            "labels": {**labels, "title": slo["title"]},
        },
        {
            "record": f"slo:sli_error:ratio_rate{PERIOD}",
            "expr": f'avg_over_time(slo:sli_error:ratio_rate5m{{slo="{name}"}}[{PERIOD}])',
            "labels": labels,
        },
        {
            "record": "slo:error_budget_remaining:ratio",
            "expr": f'1 - slo:sli_error:ratio_rate{PERIOD}{{slo="{name}"}} / {budget}',
            "labels": labels,
        },
    ]


def _alerts(slo: dict[str, Any]) -> list[Rule]:
    alert, name = slo["alerting"]["name"], slo["name"]
    annotations = {**slo["alerting"]["annotations"], "runbook_url": runbook_url(alert)}
    return [
        {
            "alert": alert,
            "expr": "\n  or ".join(burns(name, _budget(slo), *each) for each in rates),
            "labels": {"severity": severity, "slo": name},
            "annotations": annotations,
        }
        for severity, rates in BURN_RATES
    ]


def _no_data(slo: dict[str, Any]) -> Rule:
    return {
        "alert": NO_DATA,
        "expr": f"count({slo['no_data']}) > 0",
        "for": "10m",
        "labels": {"severity": "page", "slo": slo["name"]},
        "annotations": {
            "summary": f"No program measures whether this holds: {slo['title']}",
            "remedy": "Check that the program that measures it runs, and that Prometheus reads it.",
            "runbook_url": runbook_url(NO_DATA),
        },
    }


def rules(spec: dict[str, Any]) -> dict[str, Any]:
    """Return the groups of Prometheus's rules for a specification."""
    slos = spec["slos"]
    return {
        "groups": [
            {"name": "vigil-slo-records", "interval": "30s", "rules": spec["records"]},
            {
                "name": "vigil-slo-short",
                "interval": "30s",
                "rules": _ratios(slos, SHORT_WINDOWS),
            },
            {"name": "vigil-slo-long", "interval": "2m", "rules": _ratios(slos, LONG_WINDOWS)},
            {
                "name": "vigil-slo-period",
                "interval": "2m",
                "rules": [rule for slo in slos for rule in _budgets(slo)],
            },
            {
                "name": "vigil-slo-alerts",
                "interval": "30s",
                "rules": [
                    rule for slo in slos for rule in (*_alerts(slo), _no_data(slo))
                ],
            },
        ]
    }  # fmt: skip


def text(spec: dict[str, Any]) -> str:
    """Return the text of the file of rules."""
    return HEADER + yaml.safe_dump(rules(spec), sort_keys=False, width=1_000, allow_unicode=True)


def main(arguments: list[str]) -> int:
    """Compare or write the file; return the exit code."""
    new = text(yaml.safe_load(SPEC.read_text(encoding="utf-8")))
    if RULES.exists() and RULES.read_text(encoding="utf-8") == new:
        return 0
    if "--write" in arguments:
        RULES.write_text(new, encoding="utf-8")
        print(f"wrote {RULES.relative_to(ROOT)}")
        return 0
    print(f"{RULES.relative_to(ROOT)}: differs from ops/slo/vigil.yaml. Run `make docs`.")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

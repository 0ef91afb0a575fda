"""The runbook: a section for each alert, with commands and metrics that exist."""

import argparse
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.main import group_parser
from tests.unit.ops.test_prometheus import asked, made, rules

ROOT = Path(__file__).parents[3]
RUNBOOK = ROOT / "docs/how-to/runbook.md"
CLOUDWATCH = "Alarms of CloudWatch"
SHELL = re.compile(r"\s[|>]\s.*$")


def alerts() -> dict[str, dict[str, Any]]:
    groups = yaml.safe_load((ROOT / "ops/prometheus/slo.yaml").read_text())["groups"]
    generated = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    return {rule["alert"]: rule for rule in (*rules(), *generated)}


def sections() -> dict[str, str]:
    parts = re.split(r"^## (.+)$", RUNBOOK.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def commands() -> list[str]:
    """Return each `vigil` command of the runbook, from its blocks and from its sentences."""
    text = RUNBOOK.read_text()
    found = re.findall(r"^    (vigil .+)$", text, re.MULTILINE) + re.findall(
        r"`(vigil [^`…]+)`", text
    )
    return sorted({SHELL.sub("", each) for each in found})


def test_each_alert_has_its_section_and_each_section_its_alert() -> None:
    assert set(sections()) - {CLOUDWATCH} == set(alerts())


@pytest.mark.parametrize("alert", alerts())
def test_a_section_says_what_to_see_and_to_do(alert: str) -> None:
    text = sections()[alert]
    assert re.search(r"^    (vigil|kubectl|query:) ", text, re.MULTILINE), "no command"
    assert "**Do:** " in text and "**Escalate:** " in text
    url = alerts()[alert]["annotations"]["runbook_url"]
    assert url == f"docs/how-to/runbook.md#{alert.lower()}"


def test_sections_that_are_linked_exist() -> None:
    linked = re.findall(r"\]\(#([\w-]+)\)", RUNBOOK.read_text())
    assert set(linked) <= {title.lower().replace(" ", "-") for title in sections()}


def test_each_metric_exists() -> None:
    assert asked([RUNBOOK.read_text()]) <= set(made())


@pytest.mark.parametrize("command", commands())
def test_each_command_exists(command: str) -> None:
    """Its verbs are known, and its options are options of the last verb."""
    words = shlex.split(command)[1:]
    parser = group_parser(words[0])
    while words and (verbs := _verbs(parser)) is not None:
        assert words[0] in verbs, f"{command}: {words[0]} is none of {', '.join(verbs)}"
        parser = verbs[words.pop(0)]
    options = {option for action in parser._actions for option in action.option_strings}
    assert {word for word in words if word.startswith("-")} <= options, command


def _verbs(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser] | None:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return None

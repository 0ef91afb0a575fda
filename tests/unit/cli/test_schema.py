"""`vigil schema`, and the page of the reference that it makes."""

import json
import re
from pathlib import Path

import pytest

from cli.main import main
from cli.schema_page import markdown
from domain.events import EVENTS

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "events.md"


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        main(["schema", *arguments])
    assert caught.value.code == 0
    return capsys.readouterr().out


def test_lists_all_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert output(capsys).split() == list(EVENTS)


@pytest.mark.parametrize("name", list(EVENTS))
def test_prints_the_schema_of_one(capsys: pytest.CaptureFixture[str], name: str) -> None:
    schema = json.loads(output(capsys, name))
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["properties"]["type"]["const"] == name
    versions = schema["properties"]["version"]
    assert versions.get("enum", [versions.get("const")]) in ([1], [1, 2])
    assert "type" in schema["required"]


def test_an_unknown_name_gets_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["schema", "fragment-lost"])
    assert caught.value.code == (
        "vigil: there is no event 'fragment-lost'; `vigil schema` lists all names."
    )
    assert capsys.readouterr().out == ""


def test_a_name_and_the_page_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["schema", "tick", "--markdown"])
    assert caught.value.code == 2
    assert "not allowed with" in capsys.readouterr().err


def test_the_page_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    """Where this fails: `vigil schema --markdown > docs/reference/events.md`."""
    assert output(capsys, "--markdown") == PAGE.read_text(encoding="utf-8")


def test_the_page_shows_every_field_of_every_event() -> None:
    sections = dict(re.findall(r"^## ([a-z-]+)\n(.*?)(?=^## |\Z)", markdown(), re.M | re.S))
    for name, model in EVENTS.items():
        for field in model.model_fields:
            assert f"| `{field}` |" in sections[name]
        assert "```json" in sections[name]


def test_the_page_has_whole_tables_and_links() -> None:
    page = markdown()
    headings = {
        line[3:].lower().replace(" ", "-") for line in page.splitlines() if line[:3] == "## "
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", page)) <= headings
    for table in re.findall(r"(?:^\|.*\n)+", page, re.M):
        cells = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(cells) == 1, table

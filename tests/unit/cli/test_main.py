"""The vigil command: sentences and exit codes, and imports no more than it needs."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cli import main as command
from domain.errors import StoreError

ROOT = Path(__file__).parents[3]


def exit_of(arguments: list[str]) -> Any:
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    return ended.value.code


def group(monkeypatch: pytest.MonkeyPatch, run: Any) -> None:
    def add(commands: Any) -> None:
        parser = commands.add_parser("topics")
        parser.add_argument("word", nargs="?")
        parser.set_defaults(run=run)

    monkeypatch.setattr(command, "_module", lambda _: SimpleNamespace(add=add))


def test_a_fault_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Any) -> None:
        raise StoreError("Kafka does not answer; start it.")

    group(monkeypatch, fail)
    assert exit_of(["topics"]) == "vigil: Kafka does not answer; start it."


def test_ctrl_c_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: Any) -> None:
        raise KeyboardInterrupt

    group(monkeypatch, interrupted)
    assert exit_of(["topics"]) == 130


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (3, 3)])
def test_the_code_is_what_the_command_returns(
    monkeypatch: pytest.MonkeyPatch, returned: int | None, code: int
) -> None:
    group(monkeypatch, lambda given: returned if given.word == "x" else 99)
    assert exit_of(["topics", "x"]) == code


def test_all_groups_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_of([]) == 0
    shown = capsys.readouterr().out
    assert set(command.GROUPS) <= set(shown.split())


def test_a_misspelt_group_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_of(["servces"]) == 2
    assert "invalid choice: 'servces'" in capsys.readouterr().err


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> None:
        raise ModuleNotFoundError("No module named 'faust'", name="faust")

    monkeypatch.setattr(command.importlib, "import_module", missing)
    assert "needs the package faust, which is not installed" in exit_of(["topics"])


@pytest.mark.parametrize("name", command.GROUPS)
def test_every_group_has_help(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", name, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: vigil {name}")


def test_the_edge_needs_neither_the_stream_nor_the_catalog() -> None:
    code = (
        "import sys\n"
        "for name in ('faust', 'asyncpg', 'aiokafka', 'sqlalchemy', 'psutil'):\n"
        "    sys.modules[name] = None\n"
        "from cli.main import main\n"
        "main(['edge', '--help'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr

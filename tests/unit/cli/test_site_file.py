"""`vigil site check` and `inventory`, as they are called."""

import json
from pathlib import Path

import pytest

from cli.main import main as vigil
from tests.unit.domain.site_file.test_site_file import EXAMPLE_FILE


def main(arguments: list[str]) -> object:
    """Return the exit status of `vigil ARGUMENTS`."""
    with pytest.raises(SystemExit) as ended:
        vigil(arguments)
    return ended.value.code


def test_a_right_file_is_right(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["site", "check", str(EXAMPLE_FILE)]) == 0
    assert capsys.readouterr().out == "1 site is right.\n"


def test_a_folder_is_checked_wholly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = EXAMPLE_FILE.read_text()
    (tmp_path / "s0042.yaml").write_text(text)
    (tmp_path / "s0043.yaml").write_text(text.replace("ring: rest", "ring: soon"))
    (tmp_path / "s0044.yaml").write_text("id: [")
    assert main(["site", "check", str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert "wrong   s0043.yaml: `ring`: " in printed
    assert "s0044.yaml is not valid YAML" in printed
    assert main(["site", "inventory", str(tmp_path)]) == 1
    assert capsys.readouterr().out == ""


def test_the_inventory_takes_the_tunnels_from_terraform(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = tmp_path / "outputs.json"
    outputs.write_text('{"tunnel_addresses": {"value": {"s0042": ["198.51.100.1"]}}}')
    assert main(["site", "inventory", str(EXAMPLE_FILE), "--outputs", str(outputs)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["s0042"]["vars"]["vigil_tunnel_addresses"] == ["198.51.100.1"]
    outputs.write_text("{}")
    text = main(["site", "inventory", str(EXAMPLE_FILE), "--outputs", str(outputs)])
    assert "terraform output" in str(text)

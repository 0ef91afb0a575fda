"""`vigil site check` and `inventory`, as they are called."""

import json
from pathlib import Path

import pytest
import yaml

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


def test_the_sheet_has_the_sites_own_values(capsys: pytest.CaptureFixture[str]) -> None:
    code = ["--url", "https://devices.example.com", "--code", "4XK7P-9QWTA", "--call", "<0123>"]
    assert main(["site", "sheet", str(EXAMPLE_FILE), *code]) == 0
    printed = capsys.readouterr().out
    for text in (
        "Berlin, main gate", "edge-1", "10.128.2.162/28", "192.168.50.2/24", "50, tagged",
        "--url https://devices.example.com --code 4XK7P-9QWTA", "https://10.128.2.162:9500",
        "Call &lt;0123&gt;",
    ):  # fmt: skip
        assert text in printed, text


def test_the_sheet_of_an_unknown_device_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    text = main(["site", "sheet", str(EXAMPLE_FILE), "--device", "edge-9"])
    assert "s0042 has no device edge-9: it has edge-1." in str(text)
    assert capsys.readouterr().out == ""


def test_a_site_with_two_devices_has_two_sheets(tmp_path: Path) -> None:
    data = yaml.safe_load(EXAMPLE_FILE.read_text())
    own = {"name": "edge-2", "address": "10.128.2.163", "camera_address": "192.168.50.3"}
    data["devices"].append({**data["devices"][0], **own})
    path = tmp_path / "s0042.yaml"
    path.write_text(yaml.safe_dump(data))
    assert "choose one with --device" in str(main(["site", "sheet", str(path)]))
    assert main(["site", "sheet", str(path), "--device", "edge-2"]) == 0

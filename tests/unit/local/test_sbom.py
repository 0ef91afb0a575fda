"""The SBOM of an image: CycloneDX, each part with a package URL and the licences that are known."""

import json
from datetime import UTC, datetime
from pathlib import Path

from local.folder import project_root
from local.images import sbom

ROOT = project_root()


def test_python_packages_and_the_libraries_in_their_wheels() -> None:
    package, library = sbom._python(
        [
            {
                "name": "PyAV_x", "version": "18.1.0", "expression": None, "license": "BSD\nlong",
                "classifiers": [], "libraries": ["av.libs/libx265-f5385bb8.so.216"],
            }
        ]
    )  # fmt: skip
    assert package["purl"] == "pkg:pypi/pyav-x@18.1.0"
    assert package["licenses"] == [{"license": {"name": "BSD"}}]
    assert (library["name"], library["version"]) == ("libx265", "216")
    assert library["properties"][0]["value"] == "pkg:pypi/pyav-x@18.1.0"


def test_debian_packages_with_their_distribution() -> None:
    lines = [
        "bash\t5.2.15-2+b13\tamd64\tGPL-3+|",
        "tzdata\t2026b\tall\t",
        "release\tdebian\tbookworm",
    ]
    bash, tzdata = sbom._debian(lines)
    assert bash["purl"] == "pkg:deb/debian/bash@5.2.15-2+b13?arch=amd64&distro=bookworm"
    assert bash["licenses"] == [{"license": {"name": "GPL-3+"}}]
    assert "licenses" not in tzdata


def test_crates_and_the_dashboards_packages() -> None:
    crates = {each["name"] for each in sbom._crates(ROOT / "media/native/Cargo.lock")}
    assert "pyo3" in crates and "vigil-native" not in crates
    packages = {each["name"]: each for each in sbom._npm(ROOT / "web/dashboard/package-lock.json")}
    assert packages["hls.js"]["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    assert "vite" not in packages


def test_the_document_lists_each_component_once(tmp_path: Path) -> None:
    twice = [sbom._component("pypi", "av", "18.1.0", ["BSD-3-Clause"])] * 2
    document = sbom.sbom("vigil-cloud", "dev", twice, datetime(2026, 11, 30, tzinfo=UTC))
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert [each["bom-ref"] for each in document["components"]] == ["pkg:pypi/av@18.1.0"]
    assert json.loads(json.dumps(document)) == document

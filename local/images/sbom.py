"""The SBOM of an image, as CycloneDX 1.6: what its own Python and its own dpkg say is installed.

Python's and Debian's packages with their licences, and the libraries that wheels carry. Crates of
the extension and packages of the dashboard come from their lock files.
"""

import json
import re
import subprocess
import tomllib
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local.images.engine import Engine
from local.images.image_list import CLOUD, Image

SPEC = "1.6"
Component = dict[str, Any]

_PYTHON = """
import importlib.metadata, json
found = []
for each in importlib.metadata.distributions():
    meta = each.metadata
    found.append({
        "name": meta["Name"], "version": each.version,
        "expression": meta.get("License-Expression"), "license": meta.get("License"),
        "classifiers": [c for c in meta.get_all("Classifier") or [] if c.startswith("License ::")],
        "libraries": sorted({str(f) for f in each.files or () if ".libs/" in str(f)}),
    })
print(json.dumps(found))
"""
_DEBIAN = r"""
dpkg-query -W -f '${Package}\t${Version}\t${Architecture}\n' | while read -r name version arch; do
    text=/usr/share/doc/$name/copyright
    licences=$(sed -n 's/^License: *//p' "$text" 2>/dev/null | sort -u | tr '\n' '|')
    printf '%s\t%s\t%s\t%s\n' "$name" "$version" "$arch" "$licences"
done
. /etc/os-release; echo "release	$ID	$VERSION_CODENAME"
"""
_LIBRARY = re.compile(r"([^/]+?)(?:-[0-9a-f]{8})?\.so(?:\.([0-9.]+))?$")
_SPDX = re.compile(r"^[A-Za-z0-9.+-]+$")


def write_sbom(engine: Engine, image: Image, tag: str, folder: Path) -> Path:
    """Write the SBOM of a built image into a folder; return its file."""
    name = f"localhost/{image.name}:{tag}" if engine.builder == "buildah" else f"{image.name}:{tag}"
    listed = json.loads(_run(engine, name, [f"{image.venv}/bin/python", "-I", "-c", _PYTHON]))
    debian = _run(engine, name, ["/bin/sh", "-c", _DEBIAN]).splitlines()
    components = [*_python(listed), *_debian(debian), *_crates(Path("media/native/Cargo.lock"))]
    if image.dockerfile == CLOUD and image.target == "cloud":
        components += _npm(Path("web/dashboard/package-lock.json"))
    file = folder / f"{image.name}.cdx.json"
    folder.mkdir(parents=True, exist_ok=True)
    document = sbom(image.name, tag, components, datetime.now(UTC))
    file.write_text(json.dumps(document, indent=2) + "\n")
    return file


def sbom(name: str, tag: str, components: list[Component], now: datetime) -> dict[str, Any]:
    """Return a CycloneDX document of an image's components."""
    by_reference = {component["bom-ref"]: component for component in components}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "serialNumber": f"urn:uuid:{uuid.uuid4()}",
        "version": 1,
        "metadata": {
            "timestamp": now.isoformat(timespec="seconds"),
            "component": {"type": "container", "bom-ref": name, "name": name, "version": tag},
        },
        "components": sorted(by_reference.values(), key=lambda each: str(each["bom-ref"])),
    }


def _component(kind: str, name: str, version: str, licences: list[str]) -> Component:
    purl = f"pkg:{kind}/{name}@{version}"
    component: Component = {
        "type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl,
    }  # fmt: skip
    if licences:
        component["licenses"] = [
            {"license": {"id" if _SPDX.match(each) and kind != "deb" else "name": each}}
            for each in licences
        ]
    return component


def _python(listed: list[dict[str, Any]]) -> list[Component]:
    found = []
    for each in listed:
        name = re.sub(r"[-_.]+", "-", each["name"]).lower()
        component = _component("pypi", name, each["version"], [])
        if each["expression"]:
            component["licenses"] = [{"expression": each["expression"]}]
        else:
            text = (each["license"] or "").strip().splitlines()
            names = [c.rpartition(":: ")[2] for c in each["classifiers"]]
            names = names or [line[:100] for line in text[:1]]
            component["licenses"] = [{"license": {"name": licence}} for licence in names]
        found.append(component)
        found += [_library(name, each["version"], file) for file in each["libraries"]]
    return found


def _library(package: str, version: str, file: str) -> Component:
    """Return a shared library that a wheel carries; its licence is not in the wheel's metadata."""
    match = _LIBRARY.search(file)
    name = match[1] if match else file.rpartition("/")[2]
    return {
        "type": "file",
        "bom-ref": f"pypi/{package}@{version}#{file}",
        "name": name,
        "version": (match[2] if match else None) or "unknown",
        "properties": [{"name": "vigil:carried-by", "value": f"pkg:pypi/{package}@{version}"}],
    }


def _debian(lines: list[str]) -> list[Component]:
    distribution, codename = lines[-1].split("\t")[1:]
    found = []
    for line in lines[:-1]:
        name, version, architecture, licences = line.split("\t")
        purl = f"pkg:deb/{distribution}/{name}@{version}?arch={architecture}&distro={codename}"
        component = _component("deb", name, version, [each for each in licences.split("|") if each])
        found.append({**component, "bom-ref": purl, "purl": purl})
    return found


def _crates(lock: Path) -> list[Component]:
    packages = tomllib.loads(lock.read_text())["package"]
    return [
        _component("cargo", each["name"], each["version"], [])
        for each in packages
        if "source" in each
    ]


def _npm(lock: Path) -> list[Component]:
    """Return what the dashboard's bundle is made of: its packages that are not for development."""
    packages = json.loads(lock.read_text())["packages"]
    return [
        _component(
            "npm", path.rpartition("node_modules/")[2].replace("@", "%40"), each["version"],
            [each["license"]] if isinstance(each.get("license"), str) else [],
        )
        for path, each in packages.items()
        if path and not each.get("dev") and not each.get("optional")
    ]  # fmt: skip


def _run(engine: Engine, image: str, command: list[str]) -> str:
    arguments = [
        "run",
        "--rm",
        "--network",
        "none",
        "--entrypoint",
        command[0],
        image,
        *command[1:],
    ]
    if engine.builder == "docker":
        done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True)
        return done.stdout
    return engine.podman(*arguments)

"""Which licences are allowed, and what THIRD_PARTY.md says."""

import json
from pathlib import Path

import pytest
import yaml

from checks import licences
from checks.licences import Component, library_name, permitted, refused, sbom_components

RULES = yaml.safe_load(licences.RULES.read_text())


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("GPL-3.0-or-later", False),
        ("GPL-2.0-only OR MIT", True),
        ("GPL-2.0-only AND MIT", False),
        ("(MIT OR GPL-2.0-only) AND Unicode-3.0", True),
        ("MIT OR (GPL-2.0-only AND Zlib)", True),
        ("(GPL-2.0-only OR AGPL-3.0-only) AND MIT", False),
        ("GPL-3.0-or-later WITH GCC-exception-3.1", True),
        ("", False),
        ("MIT)", False),
        ("(MIT", False),
        ("unknown", False),
    ],
)
def test_an_expression_is_fulfilled_by_allowed_licences(expression, allowed):
    assert permitted(expression, RULES) is allowed


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("libx264-d6533a8d.so.165", "x264"),
        ("libopenblasp-r0-59ffcd50.3.15.so", "openblasp"),
        ("libscipy_openblas64_-f9569d5f.so", "scipy_openblas64_"),
        ("libgfortran-040039e1-0352e75f.so.5.0.0", "gfortran"),
        ("libxcb-shape-7716c890.so.0.0.0", "xcb-shape"),
        ("libcrypto-a324fe28.so.1.1.1k", "crypto"),
        ("libavcodec", "avcodec"),
    ],
)
def test_the_name_of_a_library(file, name):
    assert library_name(file) == name


def test_a_component_with_a_licence_that_is_not_allowed_is_named():
    (sentence,) = refused([Component("mysql", "GPL-2.0-only", "cloud")], RULES)
    assert sentence.startswith("mysql (cloud) has the licence GPL-2.0-only. Replace it, or name it")
    assert list(refused([Component("x264", "GPL-2.0-or-later", "in av")], RULES)) == []


def test_each_exception_has_a_reason():
    assert all(RULES["exceptions"].values())
    assert all(RULES["ecosystems"].values())


def test_an_sbom_is_read(tmp_path):
    components = [
        {
            "name": "aiohttp",
            "purl": "pkg:pypi/aiohttp@3",
            "licenses": [{"license": {"id": "Apache-2.0"}}, {"license": {"id": "MIT"}}],
        },
        {
            "name": "evil",
            "purl": "pkg:pypi/evil@1",
            "licenses": [
                {"license": {"name": "License :: OSI Approved :: Apache Software License"}},
                {"expression": "AGPL-3.0-only"},
            ],
        },
        {"name": "syn", "purl": "pkg:cargo/syn@2"},
        {"name": "bash", "purl": "pkg:deb/debian/bash@5"},
        {"name": "libavcodec"},
        {"name": "libnew"},
    ]
    sbom = tmp_path / "vigil-cloud.cdx.json"
    sbom.write_text(json.dumps({"components": components}))
    found = {each.name: each.licence for each in sbom_components(sbom, RULES)}
    assert found == {
        "aiohttp": "Apache-2.0 AND MIT",
        "evil": "Apache-2.0 AND AGPL-3.0-only",
        "syn": "MIT OR Apache-2.0",
        "avcodec": "LGPL-2.1-or-later",
        "new": "unknown",
    }
    named = [sentence.split()[0] for sentence in refused(sbom_components(sbom, RULES), RULES)]
    assert named == ["evil", "new"]


def test_all_that_is_distributed_is_allowed_and_named():
    assert list(refused(licences.all_components(RULES), RULES)) == []
    named = Path("THIRD_PARTY.md").read_text()
    for component in ("av", "x264", "preact", "pyo3"):
        assert f"| {component} |" in named

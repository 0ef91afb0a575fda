"""Hold what we distribute to the licences that are allowed, and write THIRD_PARTY.md.

    python -m checks.licences               check the locked packages and their libraries
    python -m checks.licences --write       and write THIRD_PARTY.md (`make docs`)
    python -m checks.licences SBOM ...      check these SBOMs of images too (CycloneDX JSON)

checks/licences.yaml has the list and the exceptions. What is checked:

- the packages of requirements/ as they are installed in .venv
- the shared libraries that their wheels bring
- the dashboard's npm packages
- the extension's crates

Python 3.11's packages are meant. Another Python may lack one: it is passed over.
"""

import importlib.metadata
import json
import platform
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

RULES = Path("checks/licences.yaml")
NOTICE = Path("THIRD_PARTY.md")
TEXT = Path("checks/third_party.md")
"""What stays as it is at the start of THIRD_PARTY.md."""
_LISTS = {"cloud": "requirements/cloud.txt", "edge": "requirements/edge.txt"}
_LIBRARY = re.compile(r"(?:lib)?(.+?)(?:-r\d+)?(?:-[0-9a-f]{8})*(?:\.[\d.a-z]*)?")


@dataclass(frozen=True)
class Component:
    """A package or library, its licence (SPDX, as far as it is known), and who has it."""

    name: str
    licence: str
    used_by: str


def python_packages(rules: Mapping[str, Any]) -> Iterator[Component]:
    """Yield the locked packages of cloud and edge that are installed."""
    users: dict[str, list[str]] = {}
    for user, path in _LISTS.items():
        for name in re.findall(r"^([A-Za-z0-9_.-]+)==", Path(path).read_text(), re.MULTILINE):
            users.setdefault(name, []).append(user)
    for name, used_by in sorted(users.items()):
        licence = rules["packages"].get(name) or _installed_licence(name, rules)
        if licence is not None:
            yield Component(name, licence, " ".join(used_by))


def libraries(rules: Mapping[str, Any], site: Path, packages: Iterable[str]) -> Iterator[Component]:
    """Yield the shared libraries that the wheels of these packages bring."""
    for package in sorted(packages):
        folder = site / f"{package.replace('-', '_')}.libs"
        for file in sorted(folder.glob("*.so*")):
            name = library_name(file.name)
            yield Component(name, rules["libraries"].get(name, "unknown"), f"in {package}")


def npm_packages(lock: Path) -> Iterator[Component]:
    """Yield what the dashboard is bundled from; what only builds it is not distributed."""
    for path, entry in json.loads(lock.read_text())["packages"].items():
        if path and not entry.get("dev"):
            name = path.rpartition("node_modules/")[2]
            yield Component(name, entry.get("license", "unknown"), "dashboard")


def crates(rules: Mapping[str, Any], lock: Path) -> Iterator[Component]:
    """Yield the crates of the extension in Rust, but our own."""
    for name in re.findall(r'^name = "(.+)"', lock.read_text(), re.MULTILINE):
        if name != "vigil-native":
            yield Component(name, rules["crates"].get(name, "unknown"), "extension")


def sbom_components(path: Path, rules: Mapping[str, Any]) -> Iterator[Component]:
    """Yield the components of a CycloneDX SBOM. A list of licences is a choice of all: AND."""
    for each in json.loads(path.read_text()).get("components", []):
        named = [
            choice.get("expression") or _id(choice.get("license", {}), rules)
            for choice in each.get("licenses", [])
        ]
        kind = each.get("purl", "").removeprefix("pkg:").partition("/")[0]
        if kind in rules["ecosystems"]:
            continue
        if not kind:
            name = library_name(each["name"])
            yield Component(name, rules["libraries"].get(name, "unknown"), path.name)
            continue
        known = rules["crates"] if kind == "cargo" else rules["packages"]
        licence = known.get(each["name"]) or " AND ".join(dict.fromkeys(named))
        yield Component(each["name"], licence or "unknown", path.name)


def library_name(file: str) -> str:
    """Return the name of a shared library: `x264` of `libx264-d6533a8d.so.165`."""
    return _LIBRARY.fullmatch(file)[1]  # type: ignore[index] - it fits everything


def refused(components: Iterable[Component], rules: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each component with a licence that is neither allowed nor excepted."""
    for each in components:
        if not permitted(each.licence, rules) and each.name not in rules["exceptions"]:
            yield (
                f"{each.name} ({each.used_by}) has the licence {each.licence}. Replace it, or "
                f"name it in {RULES} with a reason."
            )


def permitted(expression: str, rules: Mapping[str, Any]) -> bool:
    """Whether an SPDX expression is fulfilled by allowed licences: of OR one, of AND all."""
    known = {*rules["allowed"], *rules["exceptions"]}
    if expression in known:
        return True
    tokens = re.findall(r"\(|\)|[^\s()]+(?: WITH [^\s()]+)?", expression)
    value, rest = _either(tokens, known)
    return value and not rest


def _either(tokens: list[str], known: set[str]) -> tuple[bool, list[str]]:
    value, tokens = _both(tokens, known)
    while tokens and tokens[0] == "OR":
        other, tokens = _both(tokens[1:], known)
        value = value or other
    return value, tokens


def _both(tokens: list[str], known: set[str]) -> tuple[bool, list[str]]:
    value, tokens = _one(tokens, known)
    while tokens and tokens[0] == "AND":
        other, tokens = _one(tokens[1:], known)
        value = value and other
    return value, tokens


def _one(tokens: list[str], known: set[str]) -> tuple[bool, list[str]]:
    if not tokens:
        return False, []
    if tokens[0] == "(":
        value, tokens = _either(tokens[1:], known)
        return value and tokens[:1] == [")"], tokens[1:]
    return tokens[0] in known, tokens[1:]


def _installed_licence(name: str, rules: Mapping[str, Any]) -> str | None:
    try:
        metadata = importlib.metadata.distribution(name).metadata
    except importlib.metadata.PackageNotFoundError:
        return None
    if expression := metadata.get("License-Expression"):
        return expression
    classifiers = [
        each.rpartition(" :: ")[2]
        for each in metadata.get_all("Classifier") or []
        if each.startswith("License :: ")
    ]
    for named in (metadata.get("License") or "", *classifiers):
        licence = rules["names"].get(named, named)
        if licence in rules["allowed"]:
            return str(licence)
    return "unknown"


def _id(licence: Mapping[str, str], rules: Mapping[str, Any]) -> str:
    named = licence.get("id") or licence.get("name", "unknown")
    named = named.rpartition(" :: ")[2]
    return str(rules["names"].get(named, named))


def all_components(rules: Mapping[str, Any]) -> list[Component]:
    """Return all that we distribute."""
    packages = list(python_packages(rules))
    site = Path(yaml.__file__).parents[1]
    return [
        *packages,
        *libraries(rules, site, [each.name for each in packages]),
        *npm_packages(Path("web/dashboard/package-lock.json")),
        *crates(rules, Path("media/native/Cargo.lock")),
    ]


def notice(components: Sequence[Component]) -> str:
    """Return THIRD_PARTY.md: the text, and a table by name. Versions are in the lock files."""
    rows = [f"| {each.name} | {each.licence} | {each.used_by} |" for each in components]
    table = ["| component | licence | where |", "|---|---|---|", *rows]
    return TEXT.read_text().rstrip() + "\n\n" + "\n".join(table) + "\n"


def _same_wheels() -> bool:
    """Whether the wheels of this machine are those that THIRD_PARTY.md was written from."""
    return sys.version_info[:2] == (3, 11) and (sys.platform, platform.machine()) == (
        "linux", "x86_64",
    )  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    """Print what is not allowed, and whether THIRD_PARTY.md is as it should be."""
    rules = yaml.safe_load(RULES.read_text())
    components = all_components(rules)
    sboms = [Path(each) for each in arguments if each.endswith(".json")]
    extra = [each for sbom in sboms for each in sbom_components(sbom, rules)]
    found = list(refused([*components, *extra], rules))
    text = notice(components)
    if "--write" in arguments:
        NOTICE.write_text(text)
    elif _same_wheels() and (not NOTICE.exists() or NOTICE.read_text() != text):
        found.append(f"{NOTICE} is not what the lock files say: make docs writes it.")
    for sentence in found:
        print(f"licences: {sentence}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

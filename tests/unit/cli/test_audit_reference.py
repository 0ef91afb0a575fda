"""docs/reference/audit.md names each act that the code writes to the audit log."""

import ast
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

from local.folder import project_root

CONSTANTS = re.compile(r'^[A-Z_]+_ACTION = "([a-z-]+:[a-z-]+)"$', re.MULTILINE)
"""Acts that the domain names, because its rules read them."""
ROOMS = ("web", "cli", "stores", "agents", "streams")
ACTION = re.compile(r"[a-z][a-z-]+:[a-z][a-z-]+")
BEGINNING = re.compile(r"[a-z][a-z-]+:")
NOT_ACTS = {"about:blank", "user:unknown"}
"""Texts of the same form that are no acts."""
NOT_BEGINNINGS = {
    "cli:", "config-key:", "group:", "hold:", "key:", "network:", "provider:", "session:",
    "tenant:", "user:", "vigil:",
}  # fmt: skip
"""With a number or a name behind them: actors and resources."""


def documented() -> set[str]:
    text = (project_root() / "docs/reference/audit.md").read_text()
    table = text.partition("| Acts | Written |")[2].partition("\n\n")[0]
    return set(re.findall(r"`([a-z-]+:[a-z*-]+)`", table))


def written() -> Iterator[tuple[str, str]]:
    """Yield each act, or `beginning:*` of one, and its file."""
    for file in (project_root() / "domain").rglob("*.py"):
        for act in CONSTANTS.findall(file.read_text()):
            yield act, str(file)
    for room in ROOMS:
        for file in (project_root() / room).rglob("*.py"):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                if isinstance(node, ast.JoinedStr):
                    first = node.values[0]
                    text = first.value if isinstance(first, ast.Constant) else ""
                    if BEGINNING.fullmatch(str(text)) and text not in NOT_BEGINNINGS:
                        yield f"{text}*", str(file)
                elif isinstance(node, ast.Constant) and ACTION.fullmatch(str(node.value)):
                    yield str(node.value), str(file)


def test_each_act_is_in_the_reference() -> None:
    names = documented()
    found = {act: file for act, file in written() if act not in NOT_ACTS}
    assert {"device:enrol", "device:*", "hold:place", "fsck:repair"} <= found.keys()
    missing = {
        act: file
        for act, file in found.items()
        if not any(fnmatchcase(act, name) or fnmatchcase(name, act) for name in names)
    }
    assert missing == {}, "add them to the table of docs/reference/audit.md"


def test_each_name_of_the_reference_is_an_act() -> None:
    acts = {act for act, _ in written()}
    reads = {"footage:read", "detections:read", "audit:read"}  # permissions, in domain/access.py
    left = {
        name
        for name in documented() - reads
        if not any(fnmatchcase(act, name) or fnmatchcase(name, act) for act in acts)
    }
    assert left == set()

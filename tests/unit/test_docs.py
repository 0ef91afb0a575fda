"""The documents name files that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FOLDERS = "agents|bench|checks|cli|domain|edge_bridge|harness|local|media|ops|stores|streams"
PATH = re.compile(rf"(?<![\w/.-])((?:{FOLDERS}|tables|tests|vision|web)/[\w./-]*[\w/])")
LINK = re.compile(r"\[[^\]]+\]\((?!https?:|#)([\w./-]+)")
FAUSTS = {"tables/recovery.py"}
"""Files of Faust that the design notes explain."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text()
    named = {ROOT / found for found in PATH.findall(text) if found not in FAUSTS}
    linked = {page.parent / found.strip() for found in LINK.findall(text)}
    missing = sorted(
        str(path)
        for path in named | linked
        if not path.exists() and not path.with_suffix(".py").exists()
    )
    assert missing == []

"""The dashboard writes names as text only: no name can be HTML, wherever it is shown."""

import re
from pathlib import Path

SOURCES = Path(__file__).parents[3] / "web/dashboard/src"
AS_HTML = re.compile(
    r"innerHTML|outerHTML|dangerouslySetInnerHTML|insertAdjacentHTML|document\.write|srcdoc|"
    r"\beval\(|new Function\("
)


def test_no_text_becomes_html_or_code() -> None:
    files = [each for each in SOURCES.rglob("*.ts*") if each.is_file()]
    assert len(files) > 50
    found = {
        each.name: AS_HTML.findall(each.read_text(encoding="utf-8"))
        for each in files
        if AS_HTML.search(each.read_text(encoding="utf-8"))
    }
    assert found == {}

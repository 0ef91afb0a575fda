"""Hold what is generated from the API's OpenAPI document: the reference, and the types
of the dashboard and of the Python client.

python -m checks.api            name the files that differ from the code; exits with 1
python -m checks.api --write    write them (make docs)
"""

import sys
from pathlib import Path

from checks.api_markdown import problems_page, reference
from checks.api_python import python_types
from checks.api_typescript import typescript
from web.openapi import document_text, make_document
from web.views import VIEWS

ROOT = Path(__file__).parent.parent


def generated() -> dict[Path, str]:
    """Return the text of each generated file."""
    document = make_document(VIEWS)
    return {
        ROOT / "docs/reference/api.md": reference(document),
        ROOT / "docs/reference/problems.md": problems_page(),
        ROOT / "docs/reference/openapi.json": document_text(document),
        ROOT / "web/dashboard/src/api/types.ts": typescript(document),
        ROOT / "clients/python/src/vigil_client/types.py": python_types(document),
    }


def main(arguments: list[str]) -> int:
    """Compare or write the files; return the exit code."""
    wrong = [
        (path, text)
        for path, text in generated().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path, text in wrong:
        if "--write" in arguments:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")
        else:
            print(f"{path.relative_to(ROOT)}: differs from the code. Run `make docs`.")
    return 1 if wrong and "--write" not in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

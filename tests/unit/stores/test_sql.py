"""Each SQL statement is used, and each name that the code uses is a statement."""

import re
from pathlib import Path

import stores.catalog
import web
from stores.catalog.pool import sql, statements

CODE = Path(stores.catalog.__file__).parent
USE = re.compile(r"""(?:\bsql|\.rows?)\(\s*"(\w+)\"""")
INCLUDE = re.compile(r"^-- include: (\w+)$", re.MULTILINE)


def test_statements_and_their_uses_agree() -> None:
    files = [*CODE.rglob("*.py"), *Path(web.__file__).parent.rglob("*.py")]
    used = {name for file in files for name in USE.findall(file.read_text())}
    included = {name for text in statements().values() for name in INCLUDE.findall(text)}
    assert used | included == set(statements())


def test_includes_are_replaced() -> None:
    for name in statements():
        assert "-- include:" not in sql(name), name


def test_migrations_are_one_chain() -> None:
    """Two branches that add a migration at once get the same number: neither sees the other."""
    files = sorted((CODE / "migrations" / "versions").glob("v*.py"))
    found = [re.findall(r"^(?:down_)?revision = (\S+)$", file.read_text(), re.M) for file in files]
    numbers = [f'"{number:04}"' for number in range(1, len(files) + 1)]
    assert found == [list(each) for each in zip(numbers, ["None", *numbers[:-1]], strict=True)]
    assert [file.name[1:5] for file in files] == [number.strip('"') for number in numbers]

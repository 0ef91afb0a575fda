"""Each SQL statement is used, and each name that the code uses is a statement."""

import re
from pathlib import Path

import stores.catalog
from stores.catalog.pool import sql, statements

CODE = Path(stores.catalog.__file__).parent
USE = re.compile(r"""(?:\bsql|\.rows?)\(\s*"(\w+)\"""")
INCLUDE = re.compile(r"^-- include: (\w+)$", re.MULTILINE)


def test_statements_and_their_uses_agree() -> None:
    used = {name for file in CODE.rglob("*.py") for name in USE.findall(file.read_text())}
    included = {name for text in statements().values() for name in INCLUDE.findall(text)}
    assert used | included == set(statements())


def test_includes_are_replaced_and_do_not_nest() -> None:
    for name in statements():
        assert "-- include:" not in sql(name), name

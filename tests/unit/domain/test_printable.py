"""What a stranger sends reaches neither a terminal nor a log as a command."""

import json

import pytest

from domain.errors import InvalidEventError
from domain.events import encode, parse
from domain.printable import escaped, printable
from tests.unit.domain.footage import run_ended

COMMANDS = [
    "\x1b]0;owned\x07\x1b[2J",
    "x\nsqs:1 all is well",
    "\u202egnp",
    "\x9b2J",
    "\u2028",
    "\ud800",
]


@pytest.mark.parametrize("text", COMMANDS)
def test_control_characters_are_taken_out(text: str) -> None:
    assert printable(text).isprintable()
    assert escaped(text).isprintable()


def test_other_text_stays() -> None:
    for text in ("", "plain", "Tür Ñandú 門 🚪", 'a "quoted" \\ path'):
        assert escaped(text) == text == printable(text)
    assert escaped("a\x1bb\U000e0001") == "a\\u001bb\\U000e0001"
    assert len(printable("x" * 1_000)) == 500


@pytest.mark.parametrize("name", COMMANDS[:-1])
def test_a_refusal_quotes_no_control_character(name: str) -> None:
    body = json.loads(encode(run_ended(1))) | {name: 1}
    with pytest.raises(InvalidEventError) as refused:
        parse(json.dumps(body).encode())
    assert str(refused.value).isprintable()

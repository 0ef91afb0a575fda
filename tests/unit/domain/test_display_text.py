"""Names and reasons: any language stays as it is; what misleads a reader is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.display_text import NAME_CHARS, check_name, check_reason
from domain.errors import InvalidTextError


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Gate", "Gate"),
        ("  Gate  ", "Gate"),
        ("Tür Süd", "Tür Süd"),
        ("Tu\u0308r", "Tür"),
        ("大門 🚪", "大門 🚪"),
        ("بوابة", "بوابة"),
        ("👩\u200d🚒 post", "👩\u200d🚒 post"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("'; DROP TABLE cameras; --", "'; DROP TABLE cameras; --"),
        ("../../etc/passwd", "../../etc/passwd"),
        ("x" * NAME_CHARS, "x" * NAME_CHARS),
    ],
)
def test_a_name_stays_text(text: str, kept: str) -> None:
    assert check_name(text) == kept
    assert check_reason(text) == kept


@pytest.mark.parametrize(
    "text",
    ["", "   ", "a\nb", "a\0b", "a\x1b[31mb", "a\x7fb", "a\x85b", "a\u2028b", "\ud800", "\ue000",
     "gate\u202egpj", "\u2066x", "x" * (NAME_CHARS + 1), "x" * 10_000],
)  # fmt: skip
def test_what_no_one_can_read_is_refused(text: str) -> None:
    with pytest.raises(InvalidTextError):
        check_name(text)


@given(st.text())
def test_an_accepted_name_is_accepted_again_unchanged(text: str) -> None:
    try:
        name = check_name(text)
    except InvalidTextError:
        return
    assert check_name(name) == name
    assert "\n" not in name

"""The vocabulary's check finds what it is for, and nothing else."""

import pytest

from checks.vocabulary import (
    MAX_WORDS,
    Ban,
    banned_words,
    bans,
    doubled_classes,
    long_sentences,
    public_names,
    text_of_markdown,
    texts_of_python,
    without_bans,
    words_of,
)

GLOSSARY = """\
# Glossary
| say | do not say |
|---|---|
| cat | feline, house lion |

| word | meaning |
|---|---|
| feline | not a ban |

| say | do not say | in |
|---|---|---|
| hound | dog | `kennel/ tests/kennel/` |
"""
BANS = [
    Ban(("feline",), "cat", ""),
    Ban(("house", "lion"), "cat", ""),
    Ban(("dog",), "hound", "kennel/"),
    Ban(("dog",), "hound", "tests/kennel/"),
]


def found(text: str, path: str = "a.py", public: frozenset[str] = frozenset()) -> list[int]:
    return [finding.line for finding in banned_words(path, text, BANS, public)]


def test_the_glossarys_tables_are_the_bans() -> None:
    assert bans(GLOSSARY) == BANS
    assert "feline" not in without_bans(GLOSSARY).split("| word")[0]
    assert "not a ban" in without_bans(GLOSSARY)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a feline", [1]),
        ("FELINE = 1\n\nclass FelineHouse:", [1, 3]),
        ("def _feline_of(x):", [1]),
        ("felines and a lion of the house", []),
        ("the House\tLion", [1]),
        ("house_lion", [1]),
        ("HTTPFeline", [1]),
        ("dog", []),
    ],
)
def test_words_are_found_in_names_and_texts(text: str, lines: list[int]) -> None:
    assert found(text) == lines


def test_a_ban_may_hold_below_a_path_only() -> None:
    assert found("dog", "kennel/a.py") == found("dog", "tests/kennel/a.md") == [1]
    assert found("dog", "tests/a.py") == []


def test_public_names_are_passed_over_as_whole_names() -> None:
    public = public_names("# comment\nfeline_total  # metric\nhouse lion\n")
    assert found("feline_total house lion", public=public) == []
    assert found("feline_total_s", public=public) == [1]
    assert found("feline", public=public) == [1]


def test_names_fall_apart_at_underscores_and_capitals() -> None:
    assert words_of("RtspSession.on_TCPClose2x") == ["rtsp", "session", "on", "tcp", "close", "x"]


def words(count: int) -> str:
    return " ".join(["word"] * count)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (words(MAX_WORDS), []),
        (words(MAX_WORDS + 1), [7]),
        (f"{words(15)}. {words(15)}", []),
        (f"{words(15)}: {words(15)}", []),
        (f"Title\n\n{words(21)}", [9]),
        (f"- {words(15)}\n- {words(15)}", []),
        (f"| {words(15)} | {words(15)} |", []),
    ],
)
def test_sentences_have_an_end(text: str, lines: list[int]) -> None:
    assert [finding.line for finding in long_sentences("a.md", 7, text)] == lines


def test_code_and_drawings_are_no_sentences() -> None:
    page = f"# {words(15)}\n{words(15)}\n```\n{words(30)}\n```\n\n    {words(30)}\n"
    assert list(long_sentences("a.md", 1, text_of_markdown(page))) == []


def test_messages_are_read_whole() -> None:
    source = (
        f'raise ValueError(f"{words(15)} {{x}} "\n    "{words(15)}")\nSQL = "SELECT {words(30)}"'
    )
    assert [line for line, _ in texts_of_python(source)] == [1]
    ((line, text),) = texts_of_python(source)
    assert [finding.line for finding in long_sentences("a.py", line, text)] == [1]


def test_a_class_name_has_one_meaning() -> None:
    sources = [("a.py", "class Held: ..."), ("b.py", "class _Held: ...\nclass Other: ...")]
    assert [str(each) for each in doubled_classes(sources)] == [
        "b.py:1: class Held is also in a.py: rename one"
    ]

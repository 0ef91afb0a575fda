"""Hold the project to its vocabulary: the words of docs/glossary.md, one meaning each, short texts.

    python -m checks.vocabulary [PATH ...]

Three rules, over all files that git tracks (or those below PATH):

1. No word of the glossary's "do not say" columns occurs: not in names, texts, comments or docs.
   Names are split at underscores and capitals: a word is found in `some_word` and in `SomeWord`.
   docs/public-names.txt lists public names that keep their words; they are passed over.
2. No class name outside the tests and the clients has two meanings: each is defined once.
3. A text that people read has sentences of at most 20 words: docs, docstrings, messages.

Prints one line for each finding, as `path:line: what to do`; exits with 1 where there is any.
"""

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

MAX_WORDS = 20
"""The longest sentence that a reader of a second language takes in at once."""

GLOSSARY = Path("docs/glossary.md")
PUBLIC_NAMES = Path("docs/public-names.txt")

TEXT_SUFFIXES = frozenset(
    {".py", ".sql", ".ts", ".tsx", ".js", ".css", ".html", ".md", ".yaml", ".yml", ".json", ".toml"}
    | {".sh", ".txt", ".service", ".svg", ".ini", ".mako"}
)
NO_SUFFIX = frozenset({"Makefile", "Dockerfile", ".dockerignore", ".gitignore", "run"})
SKIPPED = (
    "requirements/",
    "LICENSE",
    "web/dashboard/package-lock.json",
    "docs/public-names.txt",
    # logs hold the output of programs
    "docs/nightly/",
    # released migrations never change; their comments are part of the schema
    "stores/catalog/migrations/versions/",
)

_NAME_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[A-Z]+")
_SENTENCE_END = re.compile(
    r"(?<=[.!?:;])[\s\"')*_`]+|\n\s*\n|\n\s*(?=[-*|+#>]|\d+\. )|\s\|\s| {3,}(?=\S)"
)
_SQL = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH|CREATE|DECLARE)\b")
_WORD = re.compile(r"[\w'./`<>{}=-]*[A-Za-z][\w'./`<>{}=-]*")


@dataclass(frozen=True)
class Ban:
    """Words in a row that are not used, what to use instead, and below which path (empty: all)."""

    words: tuple[str, ...]
    say: str
    below: str


@dataclass(frozen=True)
class Finding:
    """What is wrong in a line (from 1) of a file."""

    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


def bans(glossary: str) -> list[Ban]:
    """Return what the glossary's tables with a column `do not say` forbid.

    A cell lists words or phrases by commas. A third column may name the paths it holds for.
    """
    found: list[Ban] = []
    in_table = False
    for line in glossary.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            in_table = False
        elif len(cells) > 1 and cells[1] == "do not say":
            in_table = True
        elif in_table and not set(line) <= set("|-: "):
            paths = cells[2].replace("`", "").split() if len(cells) > 2 else []
            for phrase in cells[1].replace("`", "").split(","):
                if phrase.strip():
                    found += [
                        Ban(tuple(phrase.lower().split()), cells[0], below)
                        for below in paths or [""]
                    ]
    return found


def without_bans(glossary: str) -> str:
    """Return the glossary with its do-not-say tables empty: they must name the words."""
    lines: list[str] = []
    in_table = False
    for line in glossary.splitlines():
        in_table = line.startswith("|") and (in_table or "| do not say" in line)
        lines.append("" if in_table else line)
    return "\n".join(lines)


def public_names(text: str) -> frozenset[str]:
    """Return the names of docs/public-names.txt: one a line, what follows `#` is a comment."""
    names = (line.split("#")[0].strip() for line in text.splitlines())
    return frozenset(name for name in names if name)


def words_of(line: str) -> list[str]:
    """Split a line into lower-case words; names fall apart at underscores and capitals."""
    return [part.lower() for part in _NAME_PART.findall(line)]


@cache
def _any_of(names: frozenset[str]) -> re.Pattern[str]:
    """Return what matches each of the names as a whole; the same for all files of a run."""
    longest_first = sorted(names, key=len, reverse=True)
    return re.compile(
        "|".join(rf"(?<![A-Za-z0-9_]){re.escape(name)}(?![A-Za-z0-9_])" for name in longest_first)
        or "(?!)"
    )


def banned_words(
    path: str, text: str, forbidden: Iterable[Ban], public: frozenset[str]
) -> Iterator[Finding]:
    """Yield each banned word or phrase of a text; public names are passed over."""
    here = [ban for ban in forbidden if path.startswith(ban.below)]
    by_first: dict[str, list[Ban]] = defaultdict(list)
    for ban in here:
        by_first[ban.words[0]].append(ban)
    passed_over = _any_of(public)
    for number, line in enumerate(text.splitlines(), 1):
        parts = words_of(passed_over.sub(" ", line))
        for index, part in enumerate(parts):
            for ban in by_first.get(part, ()):
                if tuple(parts[index : index + len(ban.words)]) == ban.words:
                    yield Finding(path, number, f"`{' '.join(ban.words)}`: say {ban.say}")


def sentences(text: str) -> Iterator[tuple[int, str]]:
    """Yield each sentence with the offset of its line; list items and table cells end sentences."""
    start = 0
    for end in [*(match for match in _SENTENCE_END.finditer(text)), None]:
        piece = text[start : end.start() if end else len(text)]
        yield text.count("\n", 0, start), piece
        if end:
            start = end.end()


def long_sentences(path: str, line: int, text: str) -> Iterator[Finding]:
    """Yield the sentences of a text, which begins in `line`, that have too many words."""
    for offset, sentence in sentences(text):
        count = len(_WORD.findall(sentence))
        if count > MAX_WORDS:
            start = " ".join(sentence.split()[:5])
            yield Finding(
                path,
                line + offset,
                f"a sentence of {count} words (at most {MAX_WORDS}): {start} ...",
            )


def texts_of_python(source: str) -> Iterator[tuple[int, str]]:
    """Yield the docstrings and string literals of a module, with their lines; no code examples."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if len(node.value) > 80 and not _SQL.match(node.value):
                yield node.lineno, _without_code(node.value)
        elif isinstance(node, ast.JoinedStr):
            yield (
                node.lineno,
                "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "X"
                    for part in node.values
                ),
            )


def text_of_markdown(text: str) -> str:
    """Return a page without its code and drawings, the lines kept."""
    text = re.sub(r"```.*?```", lambda block: "\n" * block.group().count("\n"), text, flags=re.S)
    text = re.sub(r"^(#+ .*)$", r"\1.", text, flags=re.M)  # a heading is a sentence of its own
    return _without_code(text)


def _without_code(text: str) -> str:
    # an indented block is an example or a drawing; the first line of a docstring has no indent
    lines = text.splitlines()
    rest = [len(line) - len(line.lstrip()) for line in lines[1:] if line.strip()]
    margin = min(rest, default=0)
    kept = [
        "" if len(line) - len(line.lstrip()) >= margin + 4 and number else line
        for number, line in enumerate(lines)
    ]
    return "\n".join(kept)


def doubled_classes(sources: Iterable[tuple[str, str]]) -> Iterator[Finding]:
    """Yield each class name that modules outside the tests define a second time."""
    first: dict[str, str] = {}
    for path, source in sources:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ClassDef):
                name = node.name.lstrip("_")
                if name in first:
                    yield Finding(
                        path, node.lineno, f"class {name} is also in {first[name]}: rename one"
                    )
                else:
                    first[name] = path


def tracked(below: list[str]) -> list[str]:
    """Return the text files that git tracks, or would if they were added."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *below],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    return sorted(
        path
        for path in set(listed)
        if path
        and not path.startswith(SKIPPED)
        and (Path(path).suffix in TEXT_SUFFIXES or Path(path).name in NO_SUFFIX)
        and Path(path).is_file()
    )


def check(below: list[str]) -> list[Finding]:
    """Return all findings in the tracked files below the paths, or in all."""
    glossary = GLOSSARY.read_text()
    forbidden = bans(glossary)
    public = public_names(PUBLIC_NAMES.read_text())
    findings: list[Finding] = []
    for path in tracked(below):
        text = Path(path).read_text(errors="replace")
        if path == str(GLOSSARY):
            text = without_bans(text)
        words = words_of(path)
        for ban in forbidden:
            in_name = len(ban.words) == 1 and ban.words[0] in words and path.startswith(ban.below)
            if in_name and path not in public:
                findings.append(Finding(path, 1, f"the file's name: say {ban.say}"))
        findings += banned_words(path, text, forbidden, public)
        if path.endswith(".py"):
            for line, literal in texts_of_python(text):
                findings += long_sentences(path, line, literal)
        elif path.endswith(".md"):
            findings += long_sentences(path, 1, text_of_markdown(text))
    python = [
        path
        for path in tracked([])
        if path.endswith(".py") and not path.startswith(("tests/", "clients/"))
    ]
    doubled = doubled_classes((path, Path(path).read_text()) for path in python)
    findings += [each for each in doubled if not below or each.path.startswith(tuple(below))]
    return findings


def main() -> int:
    """Print the findings; return the exit status."""
    findings = check(sys.argv[1:])
    for finding in findings:
        print(finding)
    if findings:
        print(f"vocabulary: {len(findings)} to correct; see docs/glossary.md", file=sys.stderr)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())

"""What a tag has to fulfil before it becomes a release: `make release-check VERSION=v1.2.0`.

The version is in one place, pyproject.toml. Other files repeat it. Without a version,
`python -m checks.release` checks that they do (`make check`). `--set 1.2.0` writes it everywhere.
"""

import re
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

SOURCE = Path("pyproject.toml")
_REPEATED = {
    "helm/vigil/Chart.yaml": (r"^version: (.+)$", r"^appVersion: (.+)$"),
    "helm/vigil-cluster/Chart.yaml": (r"^version: (.+)$", r"^appVersion: (.+)$"),
    "clients/python/pyproject.toml": (r'^version = "(.+)"$',),
    "media/native/Cargo.toml": (r'^version = "(.+)"$',),
    "media/native/Cargo.lock": (r'^name = "vigil-native"\nversion = "(.+)"$',),
}
_SEMANTIC = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z.]+)?")


def version() -> str:
    """Return the version of the project."""
    return str(tomllib.loads(SOURCE.read_text())["project"]["version"])


def differences(wanted: str) -> Iterator[str]:
    """Yield a sentence for each file that repeats another version."""
    for path, patterns in _REPEATED.items():
        text = Path(path).read_text() if Path(path).exists() else None
        for pattern in patterns if text is not None else ():
            found = re.search(pattern, text or "", re.MULTILINE)
            if found and found[1].strip('"') != wanted:
                yield f"{path} says {found[1]}, {SOURCE} {wanted}: make version VERSION={wanted}"


def obstacles(tag: str, changelog: str) -> Iterator[str]:
    """Yield a sentence for each thing that keeps a tag from being a release."""
    wanted = version()
    if tag != f"v{wanted}":
        yield f"The tag is {tag}, {SOURCE} says {wanted}."
    if not re.search(rf"^## \[{re.escape(wanted)}\] - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE):
        yield f"CHANGELOG.md has no section `## [{wanted}] - date`."


def write(wanted: str) -> None:
    """Write the version into all files. Raises ValueError if it is not a semantic version."""
    if not _SEMANTIC.fullmatch(wanted):
        raise ValueError(f"{wanted!r} is not a semantic version, such as 1.2.0.")
    for path, patterns in ({str(SOURCE): (r'^version = "(.+)"$',)} | _REPEATED).items():
        file = Path(path)
        if not file.exists():
            continue
        text = file.read_text()
        for pattern in patterns:
            if found := re.search(pattern, text, re.MULTILINE):
                text = text[: found.start(1)] + wanted + text[found.end(1) :]
        file.write_text(text)


def main(arguments: Sequence[str]) -> int:
    """Check, or write with `--set`."""
    if arguments[:1] == ["--set"]:
        try:
            write(arguments[1] if len(arguments) > 1 else "")
        except ValueError as error:
            print(f"version: {error}", file=sys.stderr)
            return 1
        return 0
    found = list(differences(version()))
    if arguments:
        found += obstacles(arguments[0], Path("CHANGELOG.md").read_text())
    for sentence in found:
        print(f"version: {sentence}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

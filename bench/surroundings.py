"""What a bench runs in: services of its own, settings that point at them, word of how it goes."""

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from local.stack import Stack
from streams.settings import settings


def say(line: str) -> None:
    """Tell how it goes, beside the figures."""
    print(line, file=sys.stderr, flush=True)


@contextmanager
def services(folder: Path, more: Mapping[str, str] | None = None) -> Iterator[Stack]:
    """Run services in a folder; until the end the environment and `settings()` point at them.

    `more` is added to the environment. What is changed of it meanwhile is undone as well.
    """
    before = dict(os.environ)
    try:
        with Stack(folder, report=say) as stack:
            os.environ.update({**stack.env, **(more or {})})
            settings.cache_clear()
            yield stack
    finally:
        os.environ.clear()
        os.environ.update(before)
        settings.cache_clear()


@contextmanager
def own_services(name: str) -> Iterator[tuple[Stack, Path]]:
    """Run services in a folder that goes afterwards; yields them and the folder."""
    with (
        tempfile.TemporaryDirectory(prefix=f"vigil-{name}-") as scratch,
        services(Path(scratch) / "stack") as stack,
    ):
        yield stack, Path(scratch)

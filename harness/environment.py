"""What a bench runs in: services of its own, settings that point at them, word of how it goes."""

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from local.stack import Stack
from streams.settings import get_settings

SHORT_WINDOWS = {
    "VIGIL_WINDOW_MS": "10000",
    "VIGIL_GRACE_MS": "4000",
    "VIGIL_IDLE_MS": "5000",
    "VIGIL_LATE_MS": "1500",
    "VIGIL_TICK_MS": "1000",
}
"""Windows that close while a line or workers are down: what comes later revises chunks."""


def say(line: str) -> None:
    """Print progress to standard error, apart from the figures."""
    print(line, file=sys.stderr, flush=True)


@contextmanager
def environment(env: Mapping[str, str]) -> Iterator[None]:
    """Until the end, have `env` in this process's environment, which `settings()` follows.

    Changes that are made to it until then are undone as well.
    """
    before = dict(os.environ)
    try:
        os.environ.update(env)
        get_settings.cache_clear()
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        get_settings.cache_clear()


@contextmanager
def services(
    folder: Path, more: Mapping[str, str] | None = None, *, full_jit: bool = False
) -> Iterator[Stack]:
    """Run services in a folder; until the end the environment and `settings()` point at them.

    `more` is added to the environment. Changes that are made to it until then are undone as well.
    """
    with (
        Stack(folder, report=say, full_jit=full_jit) as stack,
        environment({**stack.env, **(more or {})}),
    ):
        yield stack


@contextmanager
def own_services(name: str, *, full_jit: bool = False) -> Iterator[tuple[Stack, Path]]:
    """Run services in a folder that goes afterwards; yields them and the folder."""
    with (
        tempfile.TemporaryDirectory(prefix=f"vigil-{name}-") as scratch,
        services(Path(scratch) / "stack", full_jit=full_jit) as stack,
    ):
        yield stack, Path(scratch)

"""Base images made from Debian's packages, where no registry can be reached.

They replace the official images of Python and Rust: the same Debian, Debian's own Python 3.11,
and this machine's Rust. What is published is built on the official ones.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

from local.images.engine import Engine, cache_folder

PYTHON = "localhost/vigil-base-python:bookworm"
RUST = "localhost/vigil-base-rust:bookworm"
_PACKAGES = "ca-certificates,python3,python3-venv,netbase,tzdata"
_UNUSED = ("man", "locale", "info", "bash-completion", "doc")
"""Folders of /usr/share that no program reads."""


def ensure_bases(engine: Engine) -> dict[str, str]:
    """Make the bases that are missing; return them as arguments of the build."""
    if not engine.has(PYTHON):
        _make_python(engine)
    if not engine.has(RUST):
        _make_rust(engine)
    return {"PYTHON": PYTHON, "RUST": RUST}


def _make_python(engine: Engine) -> None:
    archive = cache_folder() / "bookworm.tar"
    if not archive.exists():
        if shutil.which("mmdebstrap") is None:
            raise SystemExit("images: BASES=debian needs mmdebstrap: apt-get install mmdebstrap")
        print("images: making a base from Debian's packages (minutes, once)", flush=True)
        archive.parent.mkdir(parents=True, exist_ok=True)
        unfinished = archive.with_suffix(".new.tar")
        rules = [f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in _UNUSED]
        subprocess.run(
            [
                "mmdebstrap", "--quiet", "--variant=minbase", "--mode=root",
                "--dpkgopt=force-unsafe-io", *rules,
                "--dpkgopt=path-include=/usr/share/doc/*/copyright",
                f"--include={_PACKAGES}", "bookworm", str(unfinished),
            ],
            check=True,
        )  # fmt: skip
        unfinished.rename(archive)
    container = engine.buildah("from", "scratch").strip()
    engine.buildah("add", container, str(archive), "/")
    engine.buildah(
        "run", "--isolation", "chroot", container, "--", "ln", "-s", "python3", "/usr/bin/python"
    )
    _commit(engine, container, PYTHON)


def _make_rust(engine: Engine) -> None:
    if shutil.which("rustc") is None:
        raise SystemExit("images: BASES=debian takes Rust from this machine: install rustup")
    sysroot = Path(
        subprocess.run(
            ["rustc", "--print", "sysroot"], capture_output=True, text=True, check=True
        ).stdout.strip()
    )
    container = engine.buildah("from", "scratch").strip()
    toolchain = "/usr/local/rustup/toolchains/stable"
    for folder in ("bin", "lib"):
        engine.buildah("copy", container, str(sysroot / folder), f"{toolchain}/{folder}")
    with tempfile.TemporaryDirectory() as scratch:
        links = Path(scratch) / "bin"
        links.mkdir()
        for name in ("cargo", "rustc"):
            (links / name).symlink_to(f"../../rustup/toolchains/stable/bin/{name}")
        engine.buildah("copy", container, str(links), "/usr/local/cargo/bin")
    _commit(engine, container, RUST)


def _commit(engine: Engine, container: str, name: str) -> None:
    engine.buildah("commit", "--quiet", container, name)
    engine.buildah("rm", container)

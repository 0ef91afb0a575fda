"""Marks show a process's phase to another, also when it is killed within."""

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from harness.kill.marks import PHASES, Marks


def die_within(path: Path) -> None:
    marks = Marks(path)
    with marks.at("upload"), marks.at("journal"), marks.at("upload"):
        os.kill(os.getpid(), signal.SIGKILL)


def test_what_was_going_on_outlives_the_process(tmp_path: Path) -> None:
    path = tmp_path / "marks"
    with Marks(path) as marks:
        process = multiprocessing.get_context("spawn").Process(target=die_within, args=(path,))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        assert marks.going_on() == ["journal", "upload"]
        marks.clear()
        assert marks.going_on() == []


def test_a_mark_ends_with_what_it_marks(tmp_path: Path) -> None:
    with Marks(tmp_path / "marks") as marks:
        seen = marks.around("fragment", marks.going_on)()
        assert seen == ["fragment"]
        with pytest.raises(ValueError, match="no"), marks.at("send"):
            raise ValueError("no")
        assert marks.going_on() == []
        assert set(PHASES) > set(seen)

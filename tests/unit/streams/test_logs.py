"""One line a record, whatever is in it; the event in progress gives it camera, run and chunk."""

import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from domain.events import Healed
from streams import logs
from streams.codec import Record
from streams.settings import Settings

RUN = "01976a3b-1c2d-7e3f-8a4b-5c6d7e8f9a0b"
RECORD = Record("chunk-due", 3, 512, b"acme/berlin/gate", b"")
EVENT = Healed(camera="acme/berlin/gate", run=RUN, window_start_ms=1_790_000_010_000, found=0)


def line(form: str, message: str, *args: object, **more: object) -> str:
    given: dict[str, Any] = {"exc_info": None, **more}
    record = logging.getLogger("agents.join").makeRecord(
        "agents.join", logging.WARNING, __file__, 1, message, args, **given
    )
    record.created, record.msecs = 1_790_000_000.25, 250
    return logs.LineFormatter(form).format(record)


def test_a_line_names_the_event_in_progress() -> None:
    with logs.LogContext(RECORD) as subject:
        unread = line("logfmt", "joined")
        subject.event = EVENT
        read = line("logfmt", "joined", extra={"bytes": 7})
    begin = "time=2026-09-21T14:13:20.250Z level=warning logger=agents.join msg=joined"
    assert unread == f"{begin} at=chunk-due/3@512"
    assert read == (
        f"{begin} camera=acme/berlin/gate run={RUN} chunk=1790000010000 at=chunk-due/3@512 bytes=7"
    )
    assert line("logfmt", "joined") == begin


def test_what_is_given_wins_over_the_event_in_progress() -> None:
    with logs.LogContext(RECORD, EVENT):
        written = json.loads(line("json", "sealed", extra={"chunk": 5, "msg_no": 1}))
    assert (
        written["chunk"] == 5 and written["camera"] == "acme/berlin/gate" and written["msg_no"] == 1
    )


@pytest.mark.parametrize("form", ["logfmt", "json"])
def test_nothing_breaks_the_line(form: str) -> None:
    nasty = 'a "quoted"\nsecond line\r level=critical \x1b[31m'
    try:
        raise ValueError(nasty)
    except ValueError:
        written = line(form, "%s", nasty, exc_info=sys.exc_info())
    assert "\n" not in written and "\r" not in written and "\x1b" not in written
    if form == "json":
        assert json.loads(written)["msg"] == nasty
        assert "ValueError" in json.loads(written)["exception"]
    else:
        assert r"\"quoted\"\nsecond line" in written and "Traceback" in written


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    root, level = logging.getLogger(), logging.getLogger().level
    handlers = root.handlers[:]
    levels = {name: logging.getLogger(name).level for name in logs.OURS}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, was in levels.items():
        logging.getLogger(name).setLevel(was)


@pytest.mark.usefixtures("logging_as_before")
def test_ours_are_written_from_the_level_set_and_libraries_when_they_warn(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.set_up(Settings(log_format="json", log_level="debug"))
    logging.getLogger("streams.app").debug("ours")
    logging.getLogger("aiokafka.conn").info("theirs")
    logging.getLogger("aiokafka.conn").warning("their warning")
    messages = [json.loads(each)["msg"] for each in capsys.readouterr().err.splitlines()]
    assert messages == ["ours", "their warning"]

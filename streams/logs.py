"""One log record, one line, the same in every cloud process: logfmt, or JSON.

    time=2026-11-22T10:00:00.123Z level=info logger=agents.join msg=joined camera=acme/berlin/gate
    run=01976a3b-… chunk=1790000010000 at=chunk-due/3@512 revision=1

Camera, run, chunk and the message's offset are taken from the event in progress. Every line that is
written while it is handled has them. While an HTTP request is answered, each line has its id as
`request`. `extra` adds fields.
Secrets have no place in a message or a field.
"""

import json
import logging
import logging.config
import string
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from domain.printable import escaped
from streams import tracing
from streams.request_context import current_request_id
from streams.settings import Settings

T = TypeVar("T")

OURS = ("agents", "cli", "domain", "media", "stores", "streams", "tables", "web")
"""Packages whose records are written from VIGIL_LOG_LEVEL on; others': warnings."""

_OWN_FIELDS = frozenset(
    [*vars(logging.LogRecord("", 0, "", 0, "", (), None)), "message", "asctime", "taskName"]
)
_FROM_EVENT = {"camera": "camera", "site": "site", "run": "run", "seq": "seq",
               "window_start_ms": "chunk"}  # fmt: skip
_PLAIN = frozenset(string.ascii_letters + string.digits + "_-.,:;/@%+#*()<>[]{}")


class LogContext(Generic[T]):
    """`with LogContext(record) as subject`: log records that are written inside name a message.

    Set `subject.event` once it is read. Nothing is computed until a record is written.
    """

    __slots__ = ("_token", "event", "record")

    def __init__(self, record: T, event: object = None) -> None:
        self.record = record
        self.event = event

    def __enter__(self) -> "LogContext[T]":
        self._token = _current.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)


_current: ContextVar[LogContext[Any] | None] = ContextVar("log_context", default=None)


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return what a record is about, then what it was given as `extra`."""
    fields: dict[str, Any] = {}
    if (subject := _current.get()) is not None:
        for name, field in _FROM_EVENT.items():
            if (value := getattr(subject.event, name, None)) is not None:
                fields[field] = value
        if (trace := tracing.trace_of(subject.event)) is not None:
            fields["trace"] = trace
        fields["at"] = str(subject.record)
    if (request_id := current_request_id()) is not None:
        fields["request"] = request_id
    for name, value in vars(record).items():
        if name not in _OWN_FIELDS and not name.startswith("_"):
            fields[name] = value
    return fields


class LineFormatter(logging.Formatter):
    """Makes the line. `form`: logfmt or json."""

    def __init__(self, form: str = "logfmt") -> None:
        super().__init__()
        self._json = form == "json"

    def format(self, record: logging.LogRecord) -> str:
        """Return the one line of a record, whatever is in it."""
        at = datetime.fromtimestamp(record.created, UTC)
        line = {
            "time": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": record.getMessage(),
            **{name: value for name, value in fields_of(record).items() if name != "msg"},
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = "".join(traceback.format_exception(record.exc_info[1])).strip()
        if self._json:
            return escaped(json.dumps(line, default=str, ensure_ascii=False))
        return " ".join(f"{name}={_quoted(value)}" for name, value in line.items())


def _quoted(value: object) -> str:
    text = value if isinstance(value, str) else str(value)
    if text and _PLAIN.issuperset(text):
        return text
    # JSON lets U+0080 to U+009F, U+2028 and bidirectional marks pass.
    return escaped(json.dumps(text, ensure_ascii=False))


def config(settings: Settings) -> dict[str, Any]:
    """Return the configuration for logging.config.dictConfig; a worker hands it to Faust."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": LineFormatter, "form": settings.log_format}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "line",
                "stream": "ext://sys.stderr",
            }
        },
        "loggers": {name: {"level": settings.log_level.upper()} for name in OURS},
        "root": {"level": "WARNING", "handlers": ["stderr"]},
    }


def set_up(settings: Settings) -> None:
    """Send all records of this process to standard error; not for Faust workers."""
    logging.config.dictConfig(config(settings))

"""Logs as lines of key=value, for people and machines."""

import logging
import sys
import time
from collections import deque

from domain.printable import escaped

RECENT_LINES = 400
MAX_LINE = 1_000
_EXTRA_FIELDS = ("camera", "run", "seq")


class KeyValueFormatter(logging.Formatter):
    """time=… level=… logger=… msg="…" camera=… run=… seq=…"""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as one line."""
        timestamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        message = record.getMessage().replace("\\", "\\\\").replace('"', '\\"')
        parts = [
            f"time={timestamp}.{int(record.msecs):03d}Z",
            f"level={record.levelname.lower()}",
            f"logger={record.name}",
            f'msg="{message}"',
        ]
        for name in _EXTRA_FIELDS:
            if (value := getattr(record, name, None)) is not None:
                parts.append(f"{name}={value}")
        line = escaped(" ".join(parts).replace("\n", " "))
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class RecentLines(logging.Handler):
    """Keeps the newest lines, for the diagnostics bundle."""

    def __init__(self, count: int = RECENT_LINES) -> None:
        super().__init__()
        self.setFormatter(KeyValueFormatter())
        self.lines: deque[str] = deque(maxlen=count)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record as a line."""
        self.lines.append(self.format(record)[:MAX_LINE])


RECENT = RecentLines()
"""Of this process; empty until `set_up`."""


def set_up(level: str = "INFO") -> None:
    """Write all logs of this process to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(KeyValueFormatter())
    logging.basicConfig(level=level, handlers=[handler, RECENT], force=True)
    logging.getLogger("asyncio").setLevel(logging.WARNING)

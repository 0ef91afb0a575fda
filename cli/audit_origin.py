"""Who runs a command, for the audit log."""

import getpass
import re

from domain.audit import AuditOrigin


def current_user() -> str:
    """Return the name of the user who runs the command."""
    try:
        return getpass.getuser()[:100] or "unknown"
    except (KeyError, OSError):
        return "unknown"


def cli_origin(reason: str = "", who: str = "") -> AuditOrigin:
    """Return the operating system's user as the actor; `who`: the one who ordered it."""
    user = current_user()
    return AuditOrigin(
        actor=f"cli:{re.sub('[^!-~]', '_', user)}",
        name=who if who != user else "",
        reason=reason,
    )

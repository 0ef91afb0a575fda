"""Commands to devices: which there are, who may give them, how long they take. Pure.

    sent ──► answered │ failed          by the device, before the deadline
      └────► expired                    no answer until then; it is never carried out later

A command names a device, and a camera of the device's own site where it is about one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from domain.access import Permission
from domain.identity import site_of

CommandState = Literal["sent", "answered", "failed", "expired"]
"""Only `sent` changes."""

MAX_OPEN = 16
"""Commands without an answer of one device."""
DEVICE_PER_MINUTE = 120
PRINCIPAL_PER_MINUTE = 60
MINUTE_MS = 60_000

MAX_DETAIL = 500
"""Characters of the sentence that an answer has for people."""
MAX_RESULT_BYTES = 64 << 10
"""Of an answer's values as JSON."""
MAX_BODY_BYTES = 1 << 20
"""Of a picture or a bundle."""
MAX_ANSWER_BYTES = MAX_BODY_BYTES * 4 // 3 + MAX_RESULT_BYTES + 8_192
"""Of a whole answer as a message: the body is in it as Base64."""
BODY_KEPT_MS = 3_600_000
"""How long the body of an answer is kept."""
ROW_KEPT_MS = 30 * 86_400_000
"""How long the row of a command is kept. The audit log keeps who gave it."""


class CommandKind(StrEnum):
    """What a device can be asked for. The text is public."""

    SNAPSHOT = "snapshot"
    LIVE = "live"
    DIAGNOSTICS = "diagnostics"
    RESTART_INFERENCE = "restart-inference"
    CLOCK_CHECK = "clock-check"
    ROUTE_CHECK = "route-check"


@dataclass(frozen=True, slots=True)
class CommandRule:
    """What holds for one kind of command."""

    permission: Permission
    """On the camera where the command names one, else on the site."""
    names_camera: bool
    timeout_ms: int
    """How long the device has for its answer."""
    body_type: str | None = None
    """Media type of the answer's body; None: it has none."""


COMMAND_RULES: Mapping[CommandKind, CommandRule] = {
    CommandKind.SNAPSHOT: CommandRule(Permission.FOOTAGE_READ, True, 15_000, "image/jpeg"),
    CommandKind.LIVE: CommandRule(Permission.FOOTAGE_READ, True, 10_000),
    CommandKind.DIAGNOSTICS: CommandRule(
        Permission.SITE_CONFIGURE, False, 30_000, "application/json"
    ),
    CommandKind.RESTART_INFERENCE: CommandRule(Permission.SITE_CONFIGURE, False, 15_000),
    CommandKind.CLOCK_CHECK: CommandRule(Permission.SITE_CONFIGURE, False, 15_000),
    CommandKind.ROUTE_CHECK: CommandRule(Permission.SITE_CONFIGURE, False, 30_000),
}
PEOPLE_KINDS = tuple(kind for kind in CommandKind if kind is not CommandKind.LIVE)
"""What people ask for. A relay asks for live video, while it has viewers."""


def concerns_site(device: str, camera: str | None) -> bool:
    """Return whether a command's camera is of the device's site."""
    return camera is None or site_of(camera) == site_of(device)


def state_at(state: CommandState, deadline_ms: int, now_ms: int) -> CommandState:
    """Return a command's state: one without an answer is expired from its deadline on."""
    return "expired" if state == "sent" and now_ms >= deadline_ms else state


@dataclass(frozen=True, slots=True)
class CommandLoad:
    """The commands that were given before, as the bounds count them."""

    open_of_device: int
    last_minute_of_device: int
    last_minute_of_principal: int


def refusal(load: CommandLoad) -> str | None:
    """Return why one more command is too many, and what to do; None: it is not."""
    if load.open_of_device >= MAX_OPEN:
        return f"{MAX_OPEN} commands of this device wait for an answer. Wait for one of them."
    if load.last_minute_of_device >= DEVICE_PER_MINUTE:
        return f"This device was given {DEVICE_PER_MINUTE} commands within a minute. Wait."
    if load.last_minute_of_principal >= PRINCIPAL_PER_MINUTE:
        return f"You gave {PRINCIPAL_PER_MINUTE} commands within a minute. Wait."
    return None

"""Options of TCP sockets that the standard library has no name for everywhere."""

import contextlib
import socket

UNSENT_BYTES = 128 << 10
"""What the kernel may hold of a live picture that is not sent: the rest can still be dropped."""


def keep_little_unsent(found: socket.socket | None) -> None:
    """Let the kernel hold few bytes that are not sent (TCP_NOTSENT_LOWAT), where it can.

    By default it holds megabytes: a slow viewer would see the past, and dropping would not help.
    """
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    if found is None or option is None or found.family == getattr(socket, "AF_UNIX", None):
        return
    with contextlib.suppress(OSError):
        found.setsockopt(socket.IPPROTO_TCP, option, UNSENT_BYTES)

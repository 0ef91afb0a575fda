"""How long a live picture goes on after a right was taken away: 30 s at most."""

import math

from web import live_socket
from web.sessions import RECHECK_MS

LIMIT_S = 30


def test_a_right_that_is_taken_away_ends_a_picture_in_time() -> None:
    # what the worker knows of a session or a key may be RECHECK_MS old when it checks
    assert live_socket.CHECK_S + RECHECK_MS / 1_000 < LIMIT_S


def test_rights_that_cannot_be_checked_end_a_picture_in_time() -> None:
    checks = math.ceil(live_socket.UNCHECKED_S / live_socket.CHECK_S)
    assert checks * live_socket.CHECK_S <= LIMIT_S

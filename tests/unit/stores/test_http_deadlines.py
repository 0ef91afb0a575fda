"""Half requests are not held for as long as a stranger likes."""

from stores.http_deadlines import FIRST_REQUEST_S, NEXT_REQUEST_S, ConnectionDeadlines


class Connection:
    def __init__(self) -> None:
        self._current_request: object | None = None
        self.closed = False

    def force_close(self) -> None:
        self.closed = True


def test_a_half_request_is_closed_and_a_running_one_is_not() -> None:
    deadlines = ConnectionDeadlines()
    half, running, kept_alive = Connection(), Connection(), Connection()
    running._current_request = kept_alive._current_request = object()
    connections = [half, running, kept_alive]
    assert deadlines.check(connections, 0) == 0
    kept_alive._current_request = None
    assert deadlines.check(connections, FIRST_REQUEST_S - 1) == 0
    assert deadlines.check(connections, FIRST_REQUEST_S) == 1
    assert [each.closed for each in connections] == [True, False, False]
    assert deadlines.check([running, kept_alive], NEXT_REQUEST_S) == 1
    assert [each.closed for each in connections] == [True, False, True]


def test_over_the_limit_those_that_wait_longest_go_first() -> None:
    deadlines = ConnectionDeadlines(max_connections=2)
    first, second, busy, third = (Connection() for _ in range(4))
    busy._current_request = object()
    assert deadlines.check([first], 0) == 0
    assert deadlines.check([first, second, busy, third], 1) == 2
    assert [each.closed for each in (first, second, busy, third)] == [True, True, False, False]

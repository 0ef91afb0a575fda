"""Notices a table update that the broker did not take: Faust only logs it."""

from typing import Any

from faust.sensors.base import Sensor


class SendErrors(Sensor):
    """Remembers the first message sent in the background that was lost.

    What was processed since then may lack its table update, so nothing may be committed any
    more. Messages whose sending is awaited raise where they are awaited, and do not count.
    """

    first: BaseException | None = None

    def on_send_error(self, producer: Any, exc: BaseException, state: Any) -> None:
        """Take note; called by Faust when the client has given up."""
        self.first = self.first or exc

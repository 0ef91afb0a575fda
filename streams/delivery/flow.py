"""Flow control that never drops what was delivered."""

from mode.utils.queues import FlowControlEvent


class FlowControl(FlowControlEvent):
    """Faust's flow control, which empties the queues whenever it is resumed.

    Table recovery resumes it up to three times, also after sources were delivered. Those
    records were then neither processed nor fetched again. Resuming a running flow does nothing
    here; the queues are emptied where positions move, in Consumer.
    """

    def resume(self) -> None:
        """Let records through, if they are not let through already."""
        if not self.is_active():
            super().resume()

"""The process around an app, as `faust worker` starts it: its log is ours."""

import logging

import faust


class QuietWorker(faust.Worker):
    """Faust's worker without its spinner; `-l` has no effect on our log lines."""

    def on_setup_root_logger(self, logger: logging.Logger, level: int) -> None:
        """Keep the handler as streams/logs.py made it: Faust would raise its level to `-l`."""
        self.spinner = None

    def say(self, msg: str) -> None:
        """Print nothing between the log's lines."""

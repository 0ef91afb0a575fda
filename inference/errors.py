"""What can go wrong with one request. The server makes an HTTP status of each class."""

from domain.errors import VigilError


class InferenceError(VigilError):
    """A request has no answer; root of the others."""


class UnknownModelError(InferenceError):
    """The engine has no model of this name and version."""


class InvalidTensorError(InferenceError):
    """The tensors do not fit the model's inputs, or the message cannot be read."""


class OverloadedError(InferenceError):
    """The queue is full: the client tries again later."""

    def __init__(self, text: str, retry_after_s: float) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


class DeadlineError(InferenceError):
    """The answer would be later than the request allows."""


class NotReadyError(InferenceError):
    """The model cannot answer now: it loads, or its check failed."""


class ComputeError(InferenceError):
    """The model failed on this request."""

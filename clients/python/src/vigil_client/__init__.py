"""Typed client of Vigil's HTTP API."""

from vigil_client.client import Answer, VigilClient
from vigil_client.errors import (
    ConflictError,
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    PreconditionFailedError,
    ProblemError,
    ServerError,
    TooManyRequestsError,
    UnauthorizedError,
    UnavailableError,
    UnreachableError,
    VigilClientError,
)
from vigil_client.retries import Retries

__all__ = [
    "Answer",
    "ConflictError",
    "ForbiddenError",
    "InvalidRequestError",
    "NotFoundError",
    "PreconditionFailedError",
    "ProblemError",
    "Retries",
    "ServerError",
    "TooManyRequestsError",
    "UnauthorizedError",
    "UnavailableError",
    "UnreachableError",
    "VigilClient",
    "VigilClientError",
]

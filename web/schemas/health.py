"""Probes."""

from typing import Literal

from pydantic import Field

from web.schemas.base import ApiAnswer


class Liveness(ApiAnswer):
    """The process runs."""

    status: Literal["up"] = Field(description="Always `up`: else there is no answer.")


class ReadyChecks(ApiAnswer):
    """What the worker needs."""

    stream: bool = Field(description="Whether the worker has started.")
    catalog: bool = Field(description="Whether the catalog answers.")


class Readiness(ApiAnswer):
    """Whether the worker can answer requests."""

    status: Literal["ready", "not ready"] = Field(description="`ready` if all checks are true.")
    checks: ReadyChecks
    warnings: list[str] = Field(
        description="What an operator must correct, though the worker answers: such as a new "
        "certificate that cannot be used."
    )

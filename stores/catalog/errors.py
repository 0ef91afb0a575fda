"""What went wrong with PostgreSQL, in words for the operator."""

import logging

import asyncpg

from stores import tls

CONNECTION_ERRORS = (
    OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that was lost in the middle of something
)  # fmt: skip
"""What the driver raises where the server, or the connection to it, is at fault: try again."""


def error_text(error: BaseException) -> str:
    """Return one or two sentences: what is wrong and what to do. No password is in them."""
    error = _root_cause(error)
    if (fault := tls.certificate_error_text(error)) is not None:
        return (
            f"PostgreSQL is not believed: {fault}. Check the host name in VIGIL_DATABASE_URL and "
            "VIGIL_DATABASE_CA_FILE."
        )
    if isinstance(
        error, asyncpg.InvalidPasswordError | asyncpg.InvalidAuthorizationSpecificationError
    ):
        return (
            f"PostgreSQL refuses us ({error}). Check the user in VIGIL_DATABASE_URL and "
            "VIGIL_DATABASE_PASSWORD or its file."
        )
    return (
        f"PostgreSQL did not do it ({type(error).__name__}: {error}). Check that it runs, "
        "VIGIL_DATABASE_URL and `vigil catalog status`."
    )


def simplify_log_record(record: logging.LogRecord) -> bool:
    """Let a log record of asyncpg's pool tell what went wrong, without a stack trace."""
    if record.exc_info and record.exc_info[1] is not None:
        record.msg = f"The catalog cannot be reached. {error_text(record.exc_info[1])}"
        record.args, record.exc_info, record.exc_text = (), None, None
    return True


logging.getLogger("asyncpg.pool").addFilter(simplify_log_record)


def _root_cause(error: BaseException) -> BaseException:
    """Return what asyncpg or the system said, without what SQLAlchemy wraps around it."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, asyncpg.PostgresError | asyncpg.InterfaceError | OSError):
            return inner
        inner = inner.__cause__
    return error

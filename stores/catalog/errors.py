"""PostgreSQL's errors as texts for the operator."""

import logging

import asyncpg

from stores import tls

CONNECTION_ERRORS = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the connection was lost in the middle of a request
)
"""What the driver raises where the server or the connection fails: try again."""


def error_text(error: BaseException) -> str:
    """Return one or two sentences: what is wrong and what to do. They contain no password."""
    error = _root_cause(error)
    if (fault := tls.certificate_error_text(error)) is not None:
        return (
            f"PostgreSQL's certificate is not trusted: {fault}. Check the host name in "
            "VIGIL_DATABASE_URL and VIGIL_DATABASE_CA_FILE."
        )
    if isinstance(
        error, asyncpg.InvalidPasswordError | asyncpg.InvalidAuthorizationSpecificationError
    ):
        return (
            f"PostgreSQL rejected the login ({error}). Check the user in VIGIL_DATABASE_URL and "
            "VIGIL_DATABASE_PASSWORD or its file."
        )
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return (
            f"PostgreSQL does not allow that ({error}). Run `vigil catalog migrate`, which grants "
            "what the programs of this version need."
        )
    return (
        f"PostgreSQL failed ({type(error).__name__}: {error}). Check that it runs, "
        "VIGIL_DATABASE_URL and `vigil catalog status`."
    )


def first_line(error: BaseException) -> str:
    """Return the message of PostgreSQL or of the connection, in one line."""
    cause = _root_cause(error)
    text = str(cause).partition("\n")[0]
    return f"{type(cause).__name__}: {text}" if text else type(cause).__name__


def simplify_log_record(record: logging.LogRecord) -> bool:
    """Replace the stack trace in a record of asyncpg's pool by the error's text."""
    if record.exc_info and record.exc_info[1] is not None:
        record.msg = f"The catalog cannot be reached. {error_text(record.exc_info[1])}"
        record.args = ()
        record.exc_info = None
        record.exc_text = None
    return True


logging.getLogger("asyncpg.pool").addFilter(simplify_log_record)


def _root_cause(error: BaseException) -> BaseException:
    """Return the error of asyncpg or the system, without SQLAlchemy's wrapper."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, asyncpg.PostgresError | asyncpg.InterfaceError | OSError):
            return inner
        inner = inner.__cause__
    return error

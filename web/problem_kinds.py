"""The kinds of problems: each has a URI, and a row in docs/reference/problems.md."""

from dataclasses import dataclass
from http import HTTPStatus

PROBLEMS_PATH = "/api/v1/problems"


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """One kind. Its name is public: programs compare `type`, not the text."""

    name: str
    status: int
    title: str
    remedy: str
    """What the client does. The reference shows it."""

    @property
    def uri(self) -> str:
        """Return the `type` of problems of this kind: a path of this server, with the text."""
        return f"{PROBLEMS_PATH}/{self.name}"


KINDS: tuple[ProblemKind, ...] = (
    ProblemKind(
        "bad-request",
        HTTPStatus.BAD_REQUEST,
        "Bad Request",
        "Correct the request; `detail` says what is wrong.",
    ),
    ProblemKind(
        "invalid-parameter",
        HTTPStatus.BAD_REQUEST,
        "Invalid Parameter",
        "Correct the query parameter that `detail` names.",
    ),
    ProblemKind(
        "invalid-body",
        HTTPStatus.BAD_REQUEST,
        "Invalid Body",
        "Correct the fields that `errors` names.",
    ),
    ProblemKind(
        "invalid-cursor",
        HTTPStatus.BAD_REQUEST,
        "Invalid Cursor",
        "Send the `next` of the previous page unchanged, to the same list; or start again "
        "without a cursor.",
    ),
    ProblemKind(
        "unauthorized",
        HTTPStatus.UNAUTHORIZED,
        "Unauthorized",
        "Sign in, or send a valid key.",
    ),
    ProblemKind(
        "code-required",
        HTTPStatus.UNAUTHORIZED,
        "Code Required",
        "Sign in again with the code of the authenticator app, or a recovery code, as `totp`.",
    ),
    ProblemKind(
        "forbidden",
        HTTPStatus.FORBIDDEN,
        "Forbidden",
        "Ask an admin for one of the roles that `detail` names.",
    ),
    ProblemKind(
        "second-factor-required",
        HTTPStatus.FORBIDDEN,
        "Second Factor Required",
        "Set up an authenticator app: `POST`, then `PUT /api/v1/session/totp`.",
    ),
    ProblemKind(
        "enrolment-refused",
        HTTPStatus.FORBIDDEN,
        "Enrolment Refused",
        "Make a new code with `vigil device code SITE`, and use it once within 24 h.",
    ),
    ProblemKind(
        "device-expired",
        HTTPStatus.FORBIDDEN,
        "Device Expired",
        "The certificate expired more than 30 days ago. Enrol the device again with a new code.",
    ),
    ProblemKind(
        "device-unknown",
        HTTPStatus.FORBIDDEN,
        "Device Unknown",
        "The device is not enrolled with this key. Enrol it with a new code.",
    ),
    ProblemKind(
        "device-generation",
        HTTPStatus.FORBIDDEN,
        "Device Generation",
        "This certificate is not the newest of the device. Renew it.",
    ),
    ProblemKind(
        "device-locked",
        HTTPStatus.FORBIDDEN,
        "Device Locked",
        "Two devices hold one identity. Find the copy. Then enrol the device again with a new "
        "code, or unlock it.",
    ),
    ProblemKind(
        "device-revoked",
        HTTPStatus.FORBIDDEN,
        "Device Revoked",
        "An operator revoked this device. Enrol it again with a new code, if it should come back.",
    ),
    ProblemKind(
        "not-found",
        HTTPStatus.NOT_FOUND,
        "Not Found",
        "Check the address. What your grants do not cover answers the same.",
    ),
    ProblemKind(
        "method-not-allowed",
        HTTPStatus.METHOD_NOT_ALLOWED,
        "Method Not Allowed",
        "Use a method that the header `Allow` names.",
    ),
    ProblemKind(
        "request-timeout",
        HTTPStatus.REQUEST_TIMEOUT,
        "Request Timeout",
        "Send the whole body within 15 s.",
    ),
    ProblemKind(
        "conflict",
        HTTPStatus.CONFLICT,
        "Conflict",
        "Read the resource again: its state does not allow this.",
    ),
    ProblemKind(
        "precondition-failed",
        HTTPStatus.PRECONDITION_FAILED,
        "Precondition Failed",
        "Somebody changed it. Read it again, and send its new `ETag` as `If-Match`.",
    ),
    ProblemKind(
        "content-too-large",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "Content Too Large",
        "Send a shorter body.",
    ),
    ProblemKind(
        "unsupported-media-type",
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "Unsupported Media Type",
        "Send JSON, with `Content-Type: application/json`.",
    ),
    ProblemKind(
        "range-not-satisfiable",
        HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
        "Range Not Satisfiable",
        "Request bytes within the size that `Content-Range` names.",
    ),
    ProblemKind(
        "unprocessable-content",
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "Unprocessable Content",
        "Correct what `detail` names.",
    ),
    ProblemKind(
        "precondition-required",
        HTTPStatus.PRECONDITION_REQUIRED,
        "Precondition Required",
        "Send the `ETag` of what you read as `If-Match`.",
    ),
    ProblemKind(
        "too-many-requests",
        HTTPStatus.TOO_MANY_REQUESTS,
        "Too Many Requests",
        "Wait as long as `Retry-After` says.",
    ),
    ProblemKind(
        "internal-error",
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "Internal Server Error",
        "Report it with the time: the server's log has the details.",
    ),
    ProblemKind(
        "unavailable",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Service Unavailable",
        "Try again after the seconds in `Retry-After`.",
    ),
)
BY_NAME = {kind.name: kind for kind in KINDS}
_BY_STATUS: dict[int, ProblemKind] = {}
for _kind in KINDS:
    _BY_STATUS.setdefault(_kind.status, _kind)


def kind_of(status: int) -> ProblemKind | None:
    """Return the general kind of a status; None: problems with it have no kind of their own."""
    return _BY_STATUS.get(status)

"""The errors of this package; all are subclasses of :class:`UnskewError`."""

from __future__ import annotations


class UnskewError(Exception):
    """Base of every error that this package raises."""


class CommandFailed(UnskewError):
    """The ``unskew`` binary ended with an error.

    ``str(error)`` is its message; ``exit_code`` and ``command`` are those of the run.
    """

    def __init__(self, message: str, exit_code: int, command: list[str]) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.command = command


class ServerError(UnskewError):
    """A call to the server failed; ``str(error)`` is the server's message.

    ``code`` is the name that Connect and gRPC give the kind of failure, such as
    ``"invalid_argument"``.
    """

    code = "unknown"


class InvalidArgument(ServerError):
    """The request has something that the service does not accept."""

    code = "invalid_argument"


class NotFound(ServerError):
    """There is no service, source or training set of that name."""

    code = "not_found"


class AlreadyExists(ServerError):
    """Something with this id already exists with other content."""

    code = "already_exists"


class FailedPrecondition(ServerError):
    """The server is in another state than the request expects, for example another version is live."""

    code = "failed_precondition"


class ResourceExhausted(ServerError):
    """A limit was reached; the message names it."""

    code = "resource_exhausted"


class Unavailable(ServerError):
    """The server, or the store behind it, cannot be reached now."""

    code = "unavailable"


class DeadlineExceeded(ServerError):
    """The call took longer than its timeout."""

    code = "deadline_exceeded"


class Unauthenticated(ServerError):
    """The caller is not authenticated."""

    code = "unauthenticated"


class PermissionDenied(ServerError):
    """The caller is not authorized."""

    code = "permission_denied"


class Unimplemented(ServerError):
    """The server does not offer this call."""

    code = "unimplemented"


class Canceled(ServerError):
    """The call was canceled."""

    code = "canceled"


class InternalError(ServerError):
    """The server failed; its log says more."""

    code = "internal"


class TrainingSetFailed(ServerError):
    """The server could not build the training set; the message says why."""

    code = "failed"


_BY_CODE: dict[str, type[ServerError]] = {
    c.code: c
    for c in (
        InvalidArgument,
        NotFound,
        AlreadyExists,
        FailedPrecondition,
        ResourceExhausted,
        Unavailable,
        DeadlineExceeded,
        Unauthenticated,
        PermissionDenied,
        Unimplemented,
        Canceled,
        InternalError,
    )
}


def server_error(code: str, message: str) -> ServerError:
    """The error for a code as Connect writes it."""
    kind = _BY_CODE.get(code, ServerError)
    error = kind(message)
    if kind is ServerError:
        error.code = code
    return error


class NaiveTimeWarning(UserWarning):
    """Times without a zone were taken as UTC."""

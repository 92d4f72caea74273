"""Owns the errors a client can be told, and Anthropic's envelope around them.

    ApiError
    ├── InvalidRequest      400 invalid_request_error
    ├── NotAuthenticated    401 authentication_error
    ├── PaymentRequired     402 billing_error
    ├── Forbidden           403 permission_error
    ├── NotFound            404 not_found_error
    ├── MethodNotAllowed    405 invalid_request_error
    ├── TooLarge            413 request_too_large
    ├── WrongEncoding       415 invalid_request_error
    ├── RateLimited         429 rate_limit_error      (retry_after as the upstream said, or our own limits)
    ├── BudgetSpent         429 billing_error         (retry_after is the end of the budget's period)
    ├── Internal            500 api_error
    ├── UpstreamFailed      502 api_error
    ├── Unavailable         503 api_error
    ├── TimedOut            504 timeout_error
    └── Overloaded          529 overloaded_error

The pairs of status and type are Anthropic's (docs: API errors). The client matches on the upstream's own wording, so
a message that comes from upstream is passed on as it is.
"""

from collections.abc import Mapping
from typing import Literal

import orjson

ErrorType = Literal[
    "invalid_request_error",
    "authentication_error",
    "billing_error",
    "permission_error",
    "not_found_error",
    "request_too_large",
    "rate_limit_error",
    "api_error",
    "timeout_error",
    "overloaded_error",
]

NO_HEADERS: Mapping[str, str] = {}
UNFORESEEN = "Something went wrong in the gateway. Its log says what, under this request id."


class ApiError(Exception):
    """An error with a status, a type of Anthropic's, and a message for the person who reads it."""

    status: int
    type: ErrorType

    def __init__(
        self,
        message: str,
        *,
        retry_after: str | None = None,
        details: dict[str, str] | None = None,
        rate_headers: Mapping[str, str] = NO_HEADERS,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after
        self.rate_headers = rate_headers
        self.details = details
        self.answer_id = ""  # what the upstream calls the answer in which it told this: it may be paid for all the same
        self.is_logged = False  # whether the request's one log line has been written

    def headers(self) -> dict[str, str]:
        retry_after = {"retry-after": self.retry_after} if self.retry_after else {}
        return {**self.rate_headers, **retry_after}

    def body(self, request_id: str) -> dict[str, object]:
        error: dict[str, object] = {"type": self.type, "message": self.message}
        if self.details is not None:
            error["details"] = self.details
        return {"type": "error", "error": error, "request_id": request_id}

    def encode(self, request_id: str) -> bytes:
        return orjson.dumps(self.body(request_id))


class InvalidRequest(ApiError):
    status, type = 400, "invalid_request_error"


class NotAuthenticated(ApiError):
    status, type = 401, "authentication_error"

    def headers(self) -> dict[str, str]:
        """Claude Code would try a refused key ten times over; it will not become valid."""
        return {"x-should-retry": "false"}


class PaymentRequired(ApiError):
    status, type = 402, "billing_error"


class Forbidden(ApiError):
    status, type = 403, "permission_error"


class NotFound(ApiError):
    status, type = 404, "not_found_error"


class MethodNotAllowed(ApiError):
    status, type = 405, "invalid_request_error"


class TooLarge(ApiError):
    status, type = 413, "request_too_large"


class WrongEncoding(ApiError):
    status, type = 415, "invalid_request_error"


class RateLimited(ApiError):
    status, type = 429, "rate_limit_error"


class BudgetSpent(ApiError):
    status, type = 429, "billing_error"

    def headers(self) -> dict[str, str]:
        """Claude Code would try ten times over; there is no use in that before the next period."""
        return {**super().headers(), "x-should-retry": "false"}


class Internal(ApiError):
    status, type = 500, "api_error"


class UpstreamFailed(ApiError):
    status, type = 502, "api_error"


class Unavailable(ApiError):
    status, type = 503, "api_error"


class TimedOut(ApiError):
    status, type = 504, "timeout_error"


class Overloaded(ApiError):
    status, type = 529, "overloaded_error"

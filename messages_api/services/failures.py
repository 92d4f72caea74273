"""Owns the one mapping from what an upstream says went wrong to the error a client is told. Pure.

The status decides first, then OpenRouter's `error_type`; words decide only where the client matches on words
(a prompt that is too long). The upstream's own sentence is passed on, since Claude Code's recovery reads it; keys,
first of all the one that was sent, and account ids are taken out (wire.md 1.10, 2.5).
"""

import re
from dataclasses import dataclass, field
from typing import Any

import orjson

from accounts.redaction import redact, without
from messages_api import errors
from messages_api.errors import ApiError

BY_STATUS: dict[int, type[ApiError]] = {
    400: errors.InvalidRequest,
    401: errors.Forbidden,  # the key that pays was refused, not the caller's own
    402: errors.PaymentRequired,
    403: errors.Forbidden,
    404: errors.NotFound,
    408: errors.TimedOut,
    409: errors.InvalidRequest,
    413: errors.TooLarge,
    422: errors.InvalidRequest,
    429: errors.RateLimited,
    500: errors.Internal,
    502: errors.UpstreamFailed,
    503: errors.Unavailable,
    504: errors.TimedOut,
    524: errors.TimedOut,
    529: errors.Overloaded,
}

#: OpenRouter's error types where the status alone would say too little, or is missing in mid-stream.
BY_ERROR_TYPE: dict[str, type[ApiError]] = {
    "authentication": errors.Forbidden,
    "permission_denied": errors.Forbidden,
    "payment_required": errors.PaymentRequired,
    "not_found": errors.NotFound,
    "rate_limit_exceeded": errors.RateLimited,
    "provider_overloaded": errors.Overloaded,
    "timeout": errors.TimedOut,
    "payload_too_large": errors.TooLarge,
    "context_length_exceeded": errors.InvalidRequest,
    "content_policy_violation": errors.InvalidRequest,
    "invalid_request": errors.InvalidRequest,
    "invalid_prompt": errors.InvalidRequest,
}

#: Anthropic's own types, where no status is told: in the middle of a stream (wire.md 1.9).
STATUS_OF_TYPE: dict[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}

_ACCOUNT_ID = re.compile(r"\b(?:user|org|acct|proj)[_-](?=[A-Za-z]*\d)[A-Za-z0-9]{8,}\b")
#: How providers say that a prompt is too long, where no error type says it.
_TOO_LONG = re.compile(
    r"maximum context length|context window|maximum number of tokens allowed|(?:input|prompt) is too long",
    re.IGNORECASE,
)
_STATUS = re.compile(r"[45]\d\d")
#: What follows is cut off, before anything is looked for in it.
LONGEST_WORDS = 16 * 1024
LONGEST_RETRY_AFTER = 64
_LARGE_NUMBER = re.compile(r"\d[\d,]{3,18}")
_MAXIMUM = re.compile(
    r"(?:length is|allowed|limit is|limit of|window of|maximum of)[ (]*(\d[\d,]{3,18})", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Speaker:
    """Whose words they are: what an administrator calls it, and the key it was asked with, which no error tells."""

    name: str = "OpenRouter"
    key: str = field(default="", repr=False)


OPENROUTER = Speaker()


def failure(speaker: Speaker, status: int, body: bytes, retry_after: str | None = None) -> ApiError:
    """The error of an answer that is not 200. A Retry-After is passed on, never made up."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        parsed = None
    error = parsed.get("error", parsed) if isinstance(parsed, dict) else None
    return _error(speaker, status, error, retry_after if retry_after and _is_sound(retry_after) else None)


def failure_in_answer(speaker: Speaker, raw: bytes) -> ApiError:
    """The error inside an answer that began with 200. Its code may be a number, a word, or missing."""
    try:
        error = orjson.loads(raw)
    except orjson.JSONDecodeError:  # not UTF-8, which its reader did not look at
        error = raw.decode(errors="replace")
    fields = error if isinstance(error, dict) else {}
    code = str(fields.get("code"))
    if _STATUS.fullmatch(code):
        return _error(speaker, int(code), error)
    return _error(speaker, STATUS_OF_TYPE.get(str(fields.get("type")), errors.UpstreamFailed.status), error)


def _error(speaker: Speaker, status: int, error: Any, retry_after: str | None = None) -> ApiError:
    fields: dict[str, Any] = error if isinstance(error, dict) else {"message": error}
    metadata: dict[str, Any] = fields["metadata"] if isinstance(fields.get("metadata"), dict) else {}
    words = without(speaker.key, _own_words(fields, metadata))[:LONGEST_WORDS]  # before anything could halve the key
    message = words or f"The upstream answered {status} without saying why."
    # OpenRouter's Messages endpoint puts its type beside Anthropic's (wire.md 2.6).
    error_type = str(metadata.get("error_type") or fields.get("error_type") or fields.get("code"))
    if error_type == "context_length_exceeded" or (status in {400, 413} and _TOO_LONG.search(message)):
        return errors.InvalidRequest(_too_long(redact(message)))
    if status == 401:
        message = f"{speaker.name} refused the key that pays for this request: {message}"
    kind = BY_STATUS.get(status) or (errors.Internal if status >= 500 else errors.InvalidRequest)
    if status >= 500 or status == 400:
        kind = BY_ERROR_TYPE.get(error_type, kind)
    return kind(_ACCOUNT_ID.sub("[account]", redact(message)), retry_after=retry_after or _retry_after(fields))


def _own_words(fields: dict[str, Any], metadata: dict[str, Any]) -> str:
    """The sentence of whoever refused. OpenRouter wraps a provider's as "Provider returned error" around `raw`."""
    message, raw = fields.get("message") or fields.get("detail"), metadata.get("raw")
    if isinstance(raw, str) and raw and (not message or message == "Provider returned error"):
        return _provider_words(raw)
    return message if isinstance(message, str) else ""


def _provider_words(raw: str) -> str:
    """The message inside a provider's own body, or the body as it is."""
    try:
        parsed = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return raw
    inner = parsed.get("error") if isinstance(parsed, dict) else None
    message = inner.get("message") if isinstance(inner, dict) else None
    return message if isinstance(message, str) else raw


def _too_long(message: str) -> str:
    """In the words at which Claude Code compacts; with the numbers, if the provider gave both."""
    if message.startswith("prompt is too long"):
        return message
    numbers = [_number(digits) for digits in _LARGE_NUMBER.findall(message)]
    maximum = _MAXIMUM.search(message)
    if maximum is None or max(numbers) == _number(maximum[1]):
        return f"prompt is too long: {message} (capability_rejected: prompt_too_long)"
    return f"prompt is too long: {max(numbers)} tokens > {_number(maximum[1])} maximum"


def _number(digits: str) -> int:
    return int(digits.replace(",", ""))


def _is_sound(retry_after: str) -> bool:
    """Whether a header of ours can say it, and it may be a number or a date."""
    return retry_after.isascii() and retry_after.isprintable() and len(retry_after) <= LONGEST_RETRY_AFTER


def _retry_after(fields: dict[str, Any]) -> str | None:
    """The seconds that OpenRouter gives in the body where it gives no header (wire.md 2.5)."""
    availability = fields.get("availability")
    seconds = availability.get("retry_after") if isinstance(availability, dict) else None
    return str(seconds) if isinstance(seconds, int) and not isinstance(seconds, bool) else None

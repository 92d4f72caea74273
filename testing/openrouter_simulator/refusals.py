"""Refusals: what OpenRouter and its providers answer instead of a completion, in both envelopes."""

import secrets
from dataclasses import dataclass, field

from testing.openrouter_simulator.exact_json import Json, encode
from testing.openrouter_simulator.models import Model

USER_ID = "user_simulator"
REQUEST_HEADER = "request-id"
KEYS_PAGE = "https://openrouter.ai/settings/credits"


@dataclass(eq=False)
class Refusal(Exception):
    """`said_by_provider` is the provider's own sentence; OpenRouter then only says that it was refused."""

    status: int
    message: str
    error_type: str = "invalid_request"
    metadata: Json = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    said_by_provider: str | None = None


@dataclass(frozen=True)
class CannedError:
    error_type: str
    message: str
    metadata: Json = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


# wire.md 2.5: one answer per status
CANNED: dict[int, CannedError] = {
    400: CannedError("invalid_request", "Provider returned error", {"provider_name": "Simulated"}),
    401: CannedError("authentication", "User not found."),
    402: CannedError("payment_required", f"Insufficient credits. Add more using {KEYS_PAGE}"),
    403: CannedError(
        "content_policy_violation",
        "Input was flagged by the provider's moderation.",
        {"reasons": ["violence"], "flagged_input": "...", "provider_name": "Simulated"},
    ),
    404: CannedError("not_found", "No endpoints found for this model."),
    408: CannedError("timeout", "Request timed out. Please try again later."),
    409: CannedError("precondition_failed", "The request conflicts with another one."),
    413: CannedError("payload_too_large", "Request payload is too large."),
    422: CannedError("unprocessable", "The request was well formed but could not be processed."),
    429: CannedError(
        "rate_limit_exceeded",
        "Provider returned error",
        {"raw": "The model is temporarily rate-limited upstream. Please retry shortly.", "provider_name": "Simulated"},
        {"Retry-After": "1", "X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "0"},
    ),
    500: CannedError("server", "Internal Server Error"),
    502: CannedError("provider_unavailable", "Provider returned an invalid response", {"provider_name": "Simulated"}),
    503: CannedError(
        "provider_overloaded", "No provider is available for this request right now.", {}, {"Retry-After": "1"}
    ),
    504: CannedError("timeout", "The provider did not answer in time."),
    524: CannedError("timeout", "Provider returned error", {"raw": "error code: 524", "provider_name": "Simulated"}),
    529: CannedError(
        "provider_overloaded", "Provider returned error", {"raw": "Overloaded", "provider_name": "Simulated"}
    ),
}

# wire.md 2.5: OpenRouter's own map to Anthropic's types
ANTHROPIC_TYPE: dict[str, str] = {
    "authentication": "authentication_error",
    "permission_denied": "permission_error",
    "payment_required": "billing_error",
    "not_found": "not_found_error",
    "rate_limit_exceeded": "rate_limit_error",
    "provider_overloaded": "overloaded_error",
    "timeout": "timeout_error",
    "payload_too_large": "request_too_large",
    "context_length_exceeded": "invalid_request_error",
    "max_tokens_exceeded": "invalid_request_error",
    "token_limit_exceeded": "invalid_request_error",
    "string_too_long": "invalid_request_error",
    "content_policy_violation": "invalid_request_error",
    "invalid_request": "invalid_request_error",
    "invalid_prompt": "invalid_request_error",
    "unprocessable": "invalid_request_error",
}


def canned(status: int, error_type: str | None = None, message: str | None = None) -> Refusal:
    row = CANNED.get(status) or CannedError("unmapped", f"Status {status}")
    return Refusal(status, message or row.message, error_type or row.error_type, dict(row.metadata), dict(row.headers))


def bad_request(message: str, error_type: str = "invalid_request") -> Refusal:
    return Refusal(400, message, error_type)


def provider_refusal(model: Model, sentence: str, error_type: str = "invalid_request") -> Refusal:
    metadata: Json = {"raw": provider_body(model.family, sentence), "provider_name": model.provider}
    return Refusal(400, "Provider returned error", error_type, metadata, said_by_provider=sentence)


def provider_body(family: str, sentence: str) -> str:
    """The body as the provider itself would have written it: it travels as text in metadata.raw."""
    bodies: dict[str, Json] = {
        "anthropic": {"type": "error", "error": {"type": "invalid_request_error", "message": sentence}},
        "google": {"error": {"code": 400, "message": sentence, "status": "INVALID_ARGUMENT"}},
        "mistralai": {"object": "error", "message": sentence, "type": "invalid_request_error", "code": "3000"},
    }
    plain: Json = {"error": {"message": sentence, "type": "invalid_request_error", "param": None, "code": None}}
    return encode(bodies.get(family, plain)).decode()


def openrouter_body(refusal: Refusal) -> Json:
    """wire.md 2.5."""
    metadata = {"error_type": refusal.error_type, **refusal.metadata}
    error = {"code": refusal.status, "message": refusal.message, "metadata": metadata}
    return {"error": error, "user_id": USER_ID}


def anthropic_body(refusal: Refusal) -> Json:
    """wire.md 2.6: error envelope with error.error_type and request_id."""
    error = {
        "type": ANTHROPIC_TYPE.get(refusal.error_type, "api_error"),
        "message": refusal.said_by_provider or refusal.message,
        "error_type": refusal.error_type,
    }
    return {"type": "error", "error": error, "request_id": new_request_id()}


def plain_anthropic_body(refusal: Refusal) -> Json:
    """wire.md 1.9: the provider's own words, and none of OpenRouter's."""
    said = refusal.said_by_provider or refusal.metadata.get("raw") or refusal.message
    error = {"type": ANTHROPIC_TYPE.get(refusal.error_type, "api_error"), "message": said}
    return {"type": "error", "error": error, "request_id": new_request_id()}


def new_request_id() -> str:
    return f"req_{secrets.token_hex(12)}"

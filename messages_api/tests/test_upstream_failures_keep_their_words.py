"""What an upstream says went wrong reaches the client in its own words, with the status the client acts on."""

from typing import Any

import orjson
import pytest

from messages_api.errors import (
    ApiError,
    Forbidden,
    Internal,
    InvalidRequest,
    NotFound,
    Overloaded,
    PaymentRequired,
    RateLimited,
    TimedOut,
    TooLarge,
    UpstreamFailed,
)
from messages_api.services.failures import OPENROUTER, failure, failure_in_answer

WORDS = "No endpoints found that support the requested parameters (see `tools.3`): try again."


def body(message: object = WORDS, **metadata: Any) -> bytes:
    return orjson.dumps({"error": {"code": 400, "message": message, "metadata": metadata}, "user_id": "user_2abcDEF99"})


def own_words(message: str, **metadata: Any) -> str:
    return failure(OPENROUTER, 400, body(message, **metadata)).message


# --- which error -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequest),
        (401, Forbidden),  # the key that pays, not the caller's own
        (402, PaymentRequired),
        (403, Forbidden),
        (404, NotFound),
        (408, TimedOut),
        (409, InvalidRequest),
        (412, InvalidRequest),
        (413, TooLarge),
        (418, InvalidRequest),
        (422, InvalidRequest),
        (429, RateLimited),
        (500, Internal),
        (502, UpstreamFailed),
        (504, TimedOut),
        (520, Internal),
        (524, TimedOut),
        (529, Overloaded),
    ],
)
def test_the_status_decides(status: int, kind: type[ApiError]) -> None:
    assert type(failure(OPENROUTER, status, body())) is kind


def test_no_provider_for_the_route_is_a_servers_error_and_not_an_overload() -> None:
    """wire.md 2.5: 503 "no provider meets routing"; only error_type provider_overloaded is an overload."""
    told = failure(OPENROUTER, 503, body())
    assert (told.type, told.message) == ("api_error", WORDS)
    assert told.status >= 500


@pytest.mark.parametrize(
    ("status", "error_type", "told"),
    [
        (401, "authentication", "permission_error"),
        (403, "permission_denied", "permission_error"),
        (402, "payment_required", "billing_error"),
        (404, "not_found", "not_found_error"),
        (429, "rate_limit_exceeded", "rate_limit_error"),
        (503, "provider_overloaded", "overloaded_error"),
        (502, "provider_unavailable", "api_error"),
        (504, "timeout", "timeout_error"),
        (400, "context_length_exceeded", "invalid_request_error"),
        (400, "max_tokens_exceeded", "invalid_request_error"),
        (400, "token_limit_exceeded", "invalid_request_error"),
        (400, "string_too_long", "invalid_request_error"),
        (400, "invalid_request", "invalid_request_error"),
        (400, "invalid_prompt", "invalid_request_error"),
        (400, "content_policy_violation", "invalid_request_error"),
        (400, "refusal", "invalid_request_error"),
        (412, "precondition_failed", "invalid_request_error"),
        (413, "payload_too_large", "request_too_large"),
        (422, "unprocessable", "invalid_request_error"),
        (500, "server", "api_error"),
        (500, "unmapped", "api_error"),
    ],
)
def test_each_error_type_has_its_own_error(status: int, error_type: str, told: str) -> None:
    assert failure(OPENROUTER, status, body(error_type=error_type)).type == told


@pytest.mark.parametrize(
    ("error_type", "told"),
    [
        ("authentication", "permission_error"),
        ("payment_required", "billing_error"),
        ("not_found", "not_found_error"),
        ("rate_limit_exceeded", "rate_limit_error"),
        ("provider_overloaded", "overloaded_error"),
        ("timeout", "timeout_error"),
        ("invalid_request", "invalid_request_error"),
        ("content_policy_violation", "invalid_request_error"),
        ("provider_unavailable", "api_error"),
        ("server", "api_error"),
    ],
)
def test_in_mid_stream_the_error_type_decides_where_the_code_is_a_word(error_type: str, told: str) -> None:
    error = {"code": "server_error", "message": WORDS, "metadata": {"error_type": error_type}}
    assert failure_in_answer(OPENROUTER, orjson.dumps(error)).type == told


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": 429, "message": WORDS}, RateLimited),
        ({"code": 529, "message": WORDS}, Overloaded),
        ({"code": "server_error", "message": WORDS}, UpstreamFailed),
        ({"message": WORDS}, UpstreamFailed),
        (WORDS, UpstreamFailed),
    ],
)
def test_an_error_in_an_answer_that_began_well_keeps_its_words(error: Any, kind: type[ApiError]) -> None:
    told = failure_in_answer(OPENROUTER, orjson.dumps(error))
    assert (type(told), told.message) == (kind, WORDS)


@pytest.mark.parametrize("error", [None, {}, [], 5, "", {"message": None, "metadata": None, "code": None}])
def test_an_error_that_says_nothing_is_an_error_with_words_all_the_same(error: Any) -> None:
    told = failure_in_answer(OPENROUTER, orjson.dumps(error))
    assert type(told) is UpstreamFailed
    assert told.message


@pytest.mark.parametrize("raw", [b'{"message": "\xff"}', b'{"code": "%s"}' % (b"9" * 5_000)])
def test_an_error_that_no_reader_expects_is_an_error_all_the_same(raw: bytes) -> None:
    assert type(failure_in_answer(OPENROUTER, raw)) is UpstreamFailed


# --- its words -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 402, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 524, 529])
def test_the_sentence_is_not_altered(status: int) -> None:
    """wire.md 1.10: the client recognises the upstream's wording, and wrapping it breaks its recovery."""
    assert failure(OPENROUTER, status, body()).message == WORDS


def test_a_refused_key_is_said_to_be_the_servers_in_front_of_the_sentence() -> None:
    """The member's own key is fine: without these words he would look for the fault in it."""
    assert failure(OPENROUTER, 401, body()).message == f"OpenRouter refused the key that pays for this request: {WORDS}"


@pytest.mark.parametrize(
    "sentence",
    [
        "messages.1.content.0: Invalid `signature` in `thinking` block",
        "thinking.type: adaptive is not supported by this model",
        "messages: role 'system' is not supported in the middle of a conversation",
        "Unknown parameter: 'user_location'.",
        "tools.4.custom.name: 'mcp__task-manager__list-all' is not allowed",
        "Le modèle n'a pas répondu: « délai » 🙂",
    ],
)
def test_sentences_that_the_client_or_a_person_reads_pass_as_they_are(sentence: str) -> None:
    assert own_words(sentence) == sentence


def test_a_providers_own_sentence_comes_out_of_its_wrapping() -> None:
    raw = '{"type":"error","error":{"type":"invalid_request_error","message":"tools.0: Input should be an object"}}'
    assert own_words("Provider returned error", raw=raw, provider_name="X") == "tools.0: Input should be an object"
    assert own_words("Provider returned error", raw="plain words") == "plain words"
    assert own_words("Provider returned error", raw="[1]") == "[1]"


def test_a_sentence_of_openrouters_own_is_kept_beside_a_providers() -> None:
    assert own_words(WORDS, raw='{"error":{"message":"other"}}') == WORDS


@pytest.mark.parametrize("answer", [b"", b"<html>Bad Gateway</html>", b"\xff\xfe", b"[]", b'{"error": 7}', b"null"])
def test_an_answer_that_is_no_error_object_still_is_an_error(answer: bytes) -> None:
    told = failure(OPENROUTER, 502, answer)
    assert type(told) is UpstreamFailed
    assert "502" in told.message
    assert "html" not in told.message


def test_an_error_that_is_a_string_is_its_own_sentence() -> None:
    assert failure(OPENROUTER, 400, orjson.dumps({"error": WORDS})).message == WORDS


# --- what must not get out -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sentence", "told"),
    [
        ("Key sk-or-v1-0123456789abcdef0123456789abcdef is disabled", "Key [redacted] is disabled"),
        ("Incorrect API key provided: sk-proj-AbCdEf0123456789.", "Incorrect API key provided: [redacted]."),
        ("invalid x-api-key (sk-ant-api03-AbCd_0123-456789)", "invalid x-api-key ([redacted])"),
        ("Header was 'Bearer eyJhbGciOiJIUzI1NiJ9.e30.x'", "Header was 'Bearer [redacted]'"),
        ("no way to http://admin:hunter22@proxy.acme.example/", "no way to http://[redacted]@proxy.acme.example/"),
        ("user_2abcDEF99xyz has no credits", "[account] has no credits"),
        ("Organization org_A1b2C3d4E5 exceeded its limit", "Organization [account] exceeded its limit"),
        (
            "Rate limit reached for gpt-5 in organization org-AbCdEf0123456789GhIjKlMn on tokens per min (TPM)",
            "Rate limit reached for gpt-5 in organization [account] on tokens per min (TPM)",
        ),
    ],
)
def test_keys_and_account_ids_are_taken_out_and_the_rest_is_kept(sentence: str, told: str) -> None:
    assert own_words(sentence) == told
    assert own_words("Provider returned error", raw=sentence) == told


def test_the_account_beside_the_error_is_not_told() -> None:
    assert b"user_2abcDEF99" not in failure(OPENROUTER, 400, body()).encode("req_1")


# --- when to try again -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("retry_after", ["7", "0.5", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_retry_after_is_passed_on_as_it_is(retry_after: str) -> None:
    assert failure(OPENROUTER, 429, body(), retry_after).headers() == {"retry-after": retry_after}
    assert failure(OPENROUTER, 503, body(), retry_after).headers() == {"retry-after": retry_after}


@pytest.mark.parametrize("retry_after", ["\udcff", "soon \u2028", "7" * 100, "7\x00"])
def test_a_retry_after_that_no_header_can_hold_is_left_out(retry_after: str) -> None:
    assert failure(OPENROUTER, 429, body(), retry_after).headers() == {}


@pytest.mark.parametrize("status", [429, 500, 503, 529])
def test_a_retry_after_is_never_made_up(status: int) -> None:
    assert failure(OPENROUTER, status, body()).headers() == {}


# --- a prompt that is too long ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sentence", "told"),
    [
        (
            "This endpoint's maximum context length is 128000 tokens. However, you requested about 131073 tokens "
            "(130049 of text input, 1024 in the output). Please reduce the length of either one, or use the "
            '"middle-out" transform to compress your prompt automatically.',
            "prompt is too long: 131073 tokens > 128000 maximum",
        ),
        (
            "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens.",
            "prompt is too long: 9001 tokens > 8192 maximum",
        ),
        (
            "maximum context length is 1,048,576 tokens.\nHowever, you requested about 1,200,000 tokens",
            "prompt is too long: 1200000 tokens > 1048576 maximum",
        ),
        (
            "prompt is too long: 205001 tokens > 200000 maximum",
            "prompt is too long: 205001 tokens > 200000 maximum",
        ),
    ],
)
def test_a_prompt_that_is_too_long_is_told_in_the_words_that_make_the_client_compact(sentence: str, told: str) -> None:
    for answer in (
        failure(OPENROUTER, 400, body(sentence, error_type="context_length_exceeded")),
        failure(OPENROUTER, 400, body(sentence)),
        failure(
            OPENROUTER,
            413,
            body("Provider returned error", raw=orjson.dumps({"error": {"message": sentence}}).decode()),
        ),
    ):
        assert answer.message == told
    assert type(failure(OPENROUTER, 400, body(sentence))) is InvalidRequest


@pytest.mark.parametrize(
    "sentence",
    [
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        "Input is too long for requested model.",
        "Your input exceeds the context window of this model. Please adjust your input and try again.",
    ],
)
def test_other_words_for_too_long_make_the_client_compact_as_well(sentence: str) -> None:
    """claude-code.md: it must read `prompt is too long: X tokens > Y maximum`, or carry the code for it."""
    told = failure(OPENROUTER, 400, body(sentence, error_type="context_length_exceeded"))
    assert type(told) is InvalidRequest
    assert "prompt is too long: 1200000 tokens > 1048576 maximum" in told.message or (
        "capability_rejected: prompt_too_long" in told.message
    )

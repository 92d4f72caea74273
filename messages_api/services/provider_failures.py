"""Owns what goes wrong at a provider beside OpenRouter, as ApiErrors: in its own words, without our key. Pure.

LiteLLM wraps what a provider answered in several exceptions, and calls some statuses by others (413 becomes 400, 529
becomes 500). The provider's response is still in their chain: that is what is read.
"""

import contextlib
import logging
import re
from collections.abc import Iterator
from typing import Any

import orjson

from accounts.addresses import AddressRefused
from accounts.redaction import redact, without
from messages_api.errors import ApiError, Forbidden, InvalidRequest, TimedOut, UpstreamFailed
from messages_api.services.failures import Speaker, failure
from messages_api.services.sse_reader import LineTooLong

logger = logging.getLogger("bridge")

WORDS = 500
OVERLOADED = 529
_SAID_BY_LITELLM = re.compile(r"^(?:litellm\.\w+:\s*)+(?:\w*(?:Exception|Error)\b[\w ]*-\s*)?")


@contextlib.contextmanager
def as_api_errors(speaker: Speaker) -> Iterator[None]:
    """Whatever LiteLLM or a provider raises becomes an ApiError."""
    try:
        yield
    except ApiError:
        raise
    except Exception as error:
        raise _api_error(speaker, error) from error


def _api_error(speaker: Speaker, error: Exception) -> ApiError:
    chain = list(_chain(error))
    response = next((cause.response for cause in chain if type(cause).__name__ == "HTTPStatusError"), None)
    if response is not None:
        return refused(speaker, response.status_code, _body(chain), response.headers.get("retry-after"))
    if kept_in := next((cause for cause in chain if isinstance(cause, AddressRefused)), None):
        return Forbidden(str(kept_in.strerror))
    if any(isinstance(cause, TimeoutError) or type(cause).__name__.endswith("Timeout") for cause in chain):
        return TimedOut(f"{speaker.name} did not answer in time.")
    if missing := next((cause for cause in chain if isinstance(cause, ModuleNotFoundError)), None):
        return InvalidRequest(f"model: {speaker.name} cannot be asked: this server lacks the package {missing.name}.")
    if long := next((cause for cause in chain if isinstance(cause, LineTooLong)), None):
        return UpstreamFailed(str(long))
    return _told_in_the_answer(speaker, chain)


def _told_in_the_answer(speaker: Speaker, chain: list[Any]) -> ApiError:
    """The error of an answer that began with 200. Without a status it is one only if the provider said something."""
    for cause in chain:
        status = getattr(cause, "status_code", None)
        if isinstance(status, int) and type(cause).__name__ != "APIConnectionError":
            return refused(speaker, status, _body(chain), None)
    body = _json_in(chain)
    if body:
        return refused(speaker, UpstreamFailed.status, body, None)
    kind, words = type(chain[0]).__name__, redact(without(speaker.key, str(chain[0])))
    logger.warning("LiteLLM could not ask %s: %s: %s", speaker.name, kind, words[:WORDS])
    return UpstreamFailed(f"Asking {speaker.name} through LiteLLM failed: {kind}.")


def _chain(error: BaseException | None) -> Iterator[Any]:
    """The error, what it was raised from, and so on."""
    while error is not None:
        yield error
        wrapped: BaseException | None = getattr(error, "original_exception", None)  # a stream that broke is wrapped
        error = wrapped or error.__cause__ or error.__context__


def _body(chain: list[Any]) -> bytes:
    """What the provider said: the JSON in the messages, else the first of them without LiteLLM's words."""
    return _json_in(chain) or _SAID_BY_LITELLM.sub("", _message(chain[0])).encode()


def _json_in(chain: list[Any]) -> bytes:
    for cause in chain:
        text = _message(cause)
        found = text[text.find("{") : text.rfind("}") + 1].encode()
        if _parsed(found) is not None:
            return found
    return b""


def _message(error: Any) -> str:
    body = getattr(error, "body", None)  # the OpenAI client's: the error in mid-stream
    if isinstance(body, dict):
        return orjson.dumps(body).decode()
    return str(getattr(error, "message", error)).partition("Traceback (most recent call last)")[0].rstrip()


def refused(speaker: Speaker, status: int, body: bytes, retry_after: str | None) -> ApiError:
    """`failure`, for providers that have other forms for an error than OpenRouter's."""
    words = _words(body, speaker.key)
    if status >= 500 and "overloaded" in words.lower():
        status = OVERLOADED  # Anthropic's own status, which LiteLLM has no error for
    elif status == 401:
        status, words = 403, f"{speaker.name} refused the key that pays for this request: {words}"
    return failure(speaker, status, orjson.dumps({"error": {"message": words}}), retry_after)


def _words(body: bytes, key: str) -> str:
    """The sentence in an error's body, wherever the provider puts it; nothing of a page meant for a browser."""
    said = _parsed(body)
    if said is None:
        text = without(key, body.decode(errors="replace")).strip()  # before the cut could halve it
        return "" if text.startswith("<") else text[:WORDS]
    for found in (said.get("error"), said):
        words = (found.get("message") or found.get("detail")) if isinstance(found, dict) else found
        if isinstance(words, str) and words:
            return words
    return ""


def _parsed(body: bytes) -> dict[str, Any] | None:
    """The object in `body`; Google puts it into a list."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    found = found[0] if isinstance(found, list) and found else found
    return found if isinstance(found, dict) else None

"""Owns the way out through LiteLLM: to every provider beside OpenRouter, and to OpenRouter where a setting says so.

LiteLLM knows how each provider wants to be asked, but its streams cost forty times ours and lose what they should
carry (wire.md 3.3, 3.6). So where a provider streams as OpenAI does, LiteLLM only prepares the request and our own
client carries it; a provider with a format of its own is called by LiteLLM, and its chunks are taken before its
stream wrapper. Importing it costs 10 s, so that waits for the first use, in a thread. What depends on its internals
is all here: the contract tests hold it to the version we pin.
"""

import asyncio
import contextlib
import functools
import logging
import os
import re
import time
import warnings
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import aiohttp
import orjson
from django.conf import settings
from yarl import URL

from accounts.redaction import redact
from messages_api.errors import ApiError, InvalidRequest, TimedOut, UpstreamFailed
from messages_api.services.translation.chat import (
    ChatChunk,
    ChatUsage,
    Choice,
    CompletionDetails,
    Delta,
    FunctionPiece,
    PromptDetails,
    ReasoningDetail,
    ToolCallPiece,
)
from messages_api.services.translation.reasoning import CLAUDE_FAMILY, CLAUDE_FORMAT
from messages_api.services.upstream.base import ChatCall, ChatStream, Completion
from messages_api.services.upstream.failures import failure
from messages_api.services.upstream.http import CONNECT_SECONDS, SILENCE_SECONDS, HttpOrder
from messages_api.services.upstream.openrouter import HttpChat, attribution

logger = logging.getLogger("bridge")

Chat = dict[str, Any]
#: LiteLLM's module, and whatever it hands over: its types are loose, so nothing of it leaves this module.
Library = Any

OPENROUTER = "openrouter"
OPENAI = "openai"
OPENAI_HOST = "api.openai.com"
OPENAI_URL = f"https://{OPENAI_HOST}/v1"
#: Speak OpenAI's stream, but are not in LiteLLM's own list of those that do.
ALSO_SPEAK_OPENAI = frozenset({OPENAI, OPENROUTER, "custom_openai", "minimax", "mistral", "openai_like", "ovhcloud"})
#: Want the reasoning of earlier turns back, as `reasoning_content`; others refuse the field.
TAKE_REASONING_BACK = frozenset(
    {"dashscope", "deepseek", "hosted_vllm", "minimax", "moonshot", "qwencloud", "together_ai", "zai"}
)
TAKE_TOP_K = frozenset({"anthropic", "bedrock", "gemini", "vertex_ai"})
#: Efforts that LiteLLM passes on, or refuses, for providers that have nothing above `high`.
ABOVE_HIGH = frozenset({"xhigh", "max"})
#: What both sides call the same. OpenRouter's own keys (plugins, session_id, ...) are not here, so they stay behind.
SHARED_PARAMETERS = (
    "max_tokens",
    "temperature",
    "top_p",
    "stop",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "user",
    "stream",
)
SHARED_MESSAGE_KEYS = ("role", "content", "tool_calls", "tool_call_id")

#: LiteLLM appends the seal of a Gemini call to its id, where no provider would take it back.
SEAL_IN_ID = "__thought__"
FOREIGN_FORMAT = "unknown"
_SAID_BY_LITELLM = re.compile(r"^(?:litellm\.\w+:\s*)+(?:\w*(?:Exception|Error)\b[\w ]*-\s*)?")
WORDS = 500


@dataclass(frozen=True, slots=True)
class Place:
    """Where a call goes, in LiteLLM's terms; `name` is what an administrator calls it."""

    provider: str
    model: str
    name: str
    base_url: str
    api_key: str = field(repr=False)

    @property
    def full_model(self) -> str:
        """Always with the provider before it: `openai/gpt-oss` of a provider `openai` must keep its own prefix."""
        return f"{self.provider}/{self.model}"


class LiteLlmUpstream:
    """Whatever LiteLLM can reach. A target without a provider is OpenRouter's."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str, *, proxy: str = "", referer: str = "") -> None:
        self._http = HttpChat(session, proxy)
        self._openrouter_url = base_url
        self._referer = referer

    async def complete(self, call: ChatCall) -> Completion:
        place = self._place(call)
        with _told(place):
            library = await _library()
            order = await self._order(library, place, call)
            if order is not None:
                return await self._http.complete(order, functools.partial(_refused, place))
            answer = await library.acompletion(**_arguments(place, call))
            return Completion(_Fold(place).chunk(answer), "")

    async def stream(self, call: ChatCall) -> ChatStream:
        place = self._place(call)
        with _told(place):
            library = await _library()
            order = await self._order(library, place, call)
            if order is not None:
                return await self._http.stream(order, functools.partial(_refused, place))
            wrapper = await library.acompletion(**_arguments(place, call), stream_options={"include_usage": True})
            return LiteLlmStream(wrapper, place)

    async def close(self) -> None:
        """Close the connections that LiteLLM keeps for providers with a format of their own."""
        if _load.cache_info().currsize:
            cleanup: Any = import_module("litellm.llms.custom_httpx.async_client_cleanup")
            await cleanup.close_litellm_async_clients()

    def _place(self, call: ChatCall) -> Place:
        access, model = call.target.provider, call.target.model
        if access is None:
            return Place(OPENROUTER, model, "OpenRouter", self._openrouter_url, call.api_key)
        base_url = access.base_url or (self._openrouter_url if access.litellm_provider == OPENROUTER else "")
        return Place(access.litellm_provider, model, access.name, base_url.rstrip("/"), access.api_key or "")

    async def _order(self, library: Library, place: Place, call: ChatCall) -> HttpOrder | None:
        """The request as LiteLLM prepares it; None for a provider that does not stream as OpenAI does."""
        if place.provider == OPENROUTER:
            return _order(library, place, Wish(verbatim=call.translation.body), attribution(self._referer))
        body = orjson.loads(call.translation.encode())  # tools are spliced-in bytes, and LiteLLM reads them
        wish = Wish(_messages(body, place), _parameters(body, place))
        if body.get("stream"):
            wish.parameters["stream_options"] = {"include_usage": True}
        # In a thread: for some providers LiteLLM fetches images by URL to send them inline.
        return await asyncio.to_thread(_order, library, place, wish, {})


class LiteLlmStream:
    """The chunks of a provider with a format of its own, in the form that OpenAI gave them."""

    generation_id = ""

    def __init__(self, wrapper: Any, place: Place) -> None:
        self._wrapper = wrapper
        self._place = place
        self._source: Any = None
        self.heard_at = time.monotonic()

    async def __aiter__(self) -> AsyncIterator[list[ChatChunk]]:
        fold = _Fold(self._place)
        with _told(self._place):
            self._source = await _source(self._wrapper)
            async for piece in self._source:
                self.heard_at = time.monotonic()
                if piece is None or isinstance(piece, dict):  # a line of the stream that says nothing
                    continue
                chunk = fold.chunk(piece)
                if self._source is self._wrapper:
                    _unsay_invented_end(chunk, self._wrapper)
                yield [chunk]

    async def close(self) -> None:
        """Close the connection: that is what stops the provider's work. May be called at any time."""
        chunks = getattr(self._wrapper, "completion_stream", None)
        response: Any = getattr(chunks, "streaming_response", None)  # few of LiteLLM's readers close what they read
        for opened in (self._wrapper, response):
            with contextlib.suppress(Exception):
                await opened.aclose()


# --- LiteLLM itself --------------------------------------------------------------------------------------------------


async def _library() -> Library:
    return _load() if _load.cache_info().currsize else await asyncio.to_thread(_load)


@functools.cache
def _load() -> Library:
    """Import LiteLLM: it fetches nothing, reads no `.env`, prints nothing and leaves the log to us."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    os.environ["LITELLM_MODE"] = "PRODUCTION"
    if settings.HTTPS_PROXY:
        os.environ.setdefault("HTTPS_PROXY", settings.HTTPS_PROXY)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        library: Any = import_module("litellm")
        _quieten(library)
        library.ModelResponse(), library.ModelResponseStream()  # their schemas are built, with warnings, on first use
        # Its first call imports more, for 0.7 s that the event loop need not see.
        _order(library, Place(OPENAI, "-", "-", "http://127.0.0.1", ""), Wish(parameters={"max_tokens": 1}), {})
    return library


def _quieten(library: Library) -> None:
    library.suppress_debug_info = True
    library.disable_hf_tokenizer_download = True
    library.drop_params = True
    library.ssl_verify = settings.SSL_CERT_FILE or True
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        its_logger = logging.getLogger(name)
        its_logger.handlers.clear()  # they write to stderr beside our own, and unredacted
        its_logger.setLevel(logging.CRITICAL)
    _stop_its_bookkeeping()


def _stop_its_bookkeeping() -> None:
    """After each answer LiteLLM works out a record for callbacks, and we have none.

    For that it asks Ollama for prices over blocking HTTP, on the event loop: every stream of ours would wait.
    """

    async def nothing(*_: Any, **__: Any) -> None:
        pass

    bookkeeper: Any = import_module("litellm.litellm_core_utils.litellm_logging").Logging
    bookkeeper.async_success_handler = bookkeeper.async_failure_handler = nothing
    bookkeeper.success_handler = bookkeeper.failure_handler = lambda *_, **__: None


# --- a request that LiteLLM prepares and we send ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for, in OpenAI's words. `verbatim` has the last word, for keys LiteLLM would drop or change."""

    messages: list[Chat] = field(default_factory=list)
    parameters: Chat = field(default_factory=dict)
    verbatim: Chat | None = None


@dataclass(frozen=True, slots=True)
class Ways:
    """What LiteLLM knows about a place: its own name for the model, and the code that knows the provider's ways."""

    provider: str
    model: str
    base_url: str | None
    key: str | None
    config: Any


def _ways(library: Library, place: Place) -> Ways:
    model, provider, found_key, base_url = library.get_llm_provider(
        place.full_model, api_base=place.base_url or None, api_key=place.api_key or None
    )
    config = library.utils.ProviderConfigManager.get_provider_chat_config(
        model=model, provider=library.LlmProviders(provider)
    )
    base_url = base_url or (OPENAI_URL if provider == OPENAI else None)
    return Ways(provider, model, base_url, place.api_key or found_key, config)


def _order(library: Library, place: Place, wish: Wish, headers: dict[str, str]) -> HttpOrder | None:
    """What LiteLLM would send; None where the answer would not be in OpenAI's form."""
    ways = _ways(library, place)
    if not _speaks_openai(library, ways):
        return None
    parameters = _as_chat_takes_them(library, ways, wish.parameters)
    optional = library.utils.get_optional_params(
        model=ways.model, custom_llm_provider=ways.provider, drop_params=True, **parameters
    )
    if wish.verbatim is not None:
        optional["extra_body"] = wish.verbatim
    known = {"custom_llm_provider": ways.provider, "api_base": ways.base_url}
    about = {"model": ways.model, "optional_params": optional, "litellm_params": known}
    address = {"api_base": ways.base_url, "api_key": ways.key}
    sent = ways.config.validate_environment(headers={**headers}, messages=wish.messages, **about, **address)
    url = URL(ways.config.get_complete_url(stream=bool(wish.parameters.get("stream")), **about, **address))
    if url.host == OPENAI_HOST and ways.provider != OPENAI:  # LiteLLM's default, and no place for another one's key
        raise UpstreamFailed(f"The provider {place.name} has no base URL. An administrator can give it one.")
    body = ways.config.transform_request(messages=wish.messages, headers=sent, **about)
    return HttpOrder(url, {**sent, "Content-Type": "application/json"}, _encode(body))


def _encode(body: Chat) -> bytes:
    """As the OpenAI SDK would send it: `extra_body` is part of the body, and settings of the client are not."""
    extra = body.pop("extra_body", None) or {}
    for name in ("extra_headers", "max_retries"):
        body.pop(name, None)
    return orjson.dumps(body | extra)


def _speaks_openai(library: Library, ways: Ways) -> bool:
    name = ways.provider
    registry = library.llms.openai_like.json_loader.JSONProviderRegistry
    is_known = name in ALSO_SPEAK_OPENAI or name in library.openai_compatible_providers or registry.exists(name)
    return is_known and isinstance(ways.config, library.OpenAIGPTConfig)


def _as_chat_takes_them(library: Library, ways: Ways, parameters: Chat) -> Chat:
    """OpenAI's newest models take tools only without reasoning, or at the Responses API, which is not spoken here."""
    for tried in (parameters, {**parameters, "reasoning_effort": "none"}):
        if not _wants_responses(library, ways, tried):
            return tried
    raise InvalidRequest(
        f"model: OpenAI answers {ways.model} at its Responses API only. Through OpenRouter it can be had."
    )


def _wants_responses(library: Library, ways: Ways, parameters: Chat) -> bool:
    if ways.provider != OPENAI:
        return False
    facts, _ = library.main.responses_api_bridge_check(
        model=ways.model,
        custom_llm_provider=ways.provider,
        tools=parameters.get("tools"),
        reasoning_effort=parameters.get("reasoning_effort"),
        api_base=ways.base_url,
    )
    return bool(facts.get("mode") == "responses")


# --- a request that LiteLLM sends ------------------------------------------------------------------------------------


def _arguments(place: Place, call: ChatCall) -> Chat:
    """What `acompletion` is called with. One attempt: trying again is decided above us."""
    client: Any = import_module("httpx")  # LiteLLM's; it costs 0.4 s, so not before LiteLLM itself
    body = orjson.loads(call.translation.encode())
    return {
        "model": place.full_model,
        "messages": _messages(body, place, with_seals=True),
        "api_key": place.api_key or None,
        "base_url": place.base_url or None,
        "timeout": client.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS),
        "num_retries": 0,
        "max_retries": 0,
        "drop_params": True,
        "_skip_mcp_handler": True,  # it wants a package that LiteLLM does not install (wire.md 3.1)
        **_parameters(body, place),
    }


async def _source(wrapper: Any) -> Any:
    """What to read: the provider's own chunks where we know their form, else LiteLLM's wrapper around them.

    The wrapper costs five times as much, holds back text such as `</s>`, and takes a long row of `=` for an error.
    """
    stream = await wrapper.fetch_stream()
    known = {
        "litellm.llms.anthropic.chat.handler",
        "litellm.llms.vertex_ai.gemini.vertex_and_google_ai_studio_gemini",
    }
    return stream if type(stream).__module__ in known else wrapper


def _unsay_invented_end(chunk: ChatChunk, wrapper: Any) -> None:
    """The wrapper ends a stream that was cut with "stop"; the translator knows better when it hears nothing."""
    if wrapper.received_finish_reason is None and getattr(wrapper, "intermittent_finish_reason", None) is None:
        for choice in chunk.choices or ():
            choice.finish_reason = None


# --- OpenRouter's words in LiteLLM's ---------------------------------------------------------------------------------


def _parameters(body: Chat, place: Place) -> Chat:
    parameters = {name: body[name] for name in SHARED_PARAMETERS if name in body}
    if "top_k" in body and place.provider in TAKE_TOP_K:
        parameters["top_k"] = body["top_k"]
    effort = _effort(body.get("reasoning") or {}, place)
    return {**parameters, "reasoning_effort": effort} if effort else parameters


def _effort(reasoning: Chat, place: Place) -> str | None:
    """Claude does not think unless asked, so `enabled` is asked for as what its own API takes for granted."""
    is_claude = place.provider == CLAUDE_FAMILY
    effort = reasoning.get("effort") or ("high" if is_claude and reasoning.get("enabled") else None)
    return "high" if effort in ABOVE_HIGH and not is_claude else effort


def _messages(body: Chat, place: Place, *, with_seals: bool = False) -> list[Chat]:
    return [_message(message, place, with_seals=with_seals) for message in body["messages"]]


def _message(message: Chat, place: Place, *, with_seals: bool) -> Chat:
    """Without OpenRouter's keys; earlier reasoning goes back in the form that LiteLLM has for it."""
    kept = {name: message[name] for name in SHARED_MESSAGE_KEYS if name in message}
    if "reasoning" in message and place.provider in TAKE_REASONING_BACK:
        kept["reasoning_content"] = message["reasoning"]
    details = message.get("reasoning_details")
    if details and with_seals:
        blocks = [_thinking_block(detail) for detail in details if "id" not in detail]
        kept |= {"thinking_blocks": blocks} if blocks else {}
        seals = {detail["id"]: detail["data"] for detail in details if "id" in detail}
        for call in kept.get("tool_calls", ()):
            if call["id"] in seals:
                call["provider_specific_fields"] = {"thought_signature": seals[call["id"]]}
    return kept


def _thinking_block(detail: ReasoningDetail) -> Chat:
    if "data" in detail:
        return {"type": "redacted_thinking", "data": detail["data"]}
    return {"type": "thinking", "thinking": detail.get("text") or "", "signature": detail.get("signature") or ""}


# --- LiteLLM's chunks in ours ----------------------------------------------------------------------------------------


class _Fold:
    """Reads LiteLLM's objects, streamed or whole. A sealed block of thinking ends; the next is another one."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._format = CLAUDE_FORMAT if place.provider == CLAUDE_FAMILY else FOREIGN_FORMAT
        self._blocks = 0

    def chunk(self, piece: Any) -> ChatChunk:
        choices = [self._choice(choice) for choice in piece.choices or ()]
        usage = getattr(piece, "usage", None)
        return ChatChunk(provider=self._place.name, choices=choices, usage=_usage(usage) if usage else None)

    def _choice(self, choice: Any) -> Choice:
        said = getattr(choice, "delta", None) or getattr(choice, "message", None)
        return Choice(delta=self._delta(said) if said else None, finish_reason=choice.finish_reason or None)

    def _delta(self, said: Any) -> Delta:
        calls = getattr(said, "tool_calls", None) or ()
        details = [self._detail(block) for block in getattr(said, "thinking_blocks", None) or ()]
        details += self._seals(calls)
        return Delta(
            content=said.content,
            reasoning_content=getattr(said, "reasoning_content", None),
            reasoning_details=details or None,
            tool_calls=[_tool_call(call) for call in calls],
        )

    def _detail(self, block: Chat) -> ReasoningDetail:
        detail: ReasoningDetail = {"format": self._format, "index": self._blocks}
        if "data" in block:
            detail |= {"type": "reasoning.encrypted", "data": block["data"]}
        else:
            detail |= {"type": "reasoning.text", "text": block.get("thinking") or ""}
        if block.get("signature"):
            detail["signature"] = block["signature"]
        self._blocks += "data" in block or "signature" in detail
        return detail

    def _seals(self, calls: Iterable[Any]) -> Iterator[ReasoningDetail]:
        for call in calls:
            call_id, _, seal = (call.id or "").partition(SEAL_IN_ID)
            if seal:
                yield {"type": "reasoning.encrypted", "data": seal, "format": self._format, "id": call_id}


def _tool_call(call: Any) -> ToolCallPiece:
    call_id = call.id.partition(SEAL_IN_ID)[0] if call.id else None
    function = FunctionPiece(call.function.name, call.function.arguments)
    return ToolCallPiece(getattr(call, "index", None), call_id, function)


def _usage(usage: Any) -> ChatUsage:
    """The cost is left out: LiteLLM's is an estimate from its own table."""
    prompt = getattr(usage, "prompt_tokens_details", None)
    completion = getattr(usage, "completion_tokens_details", None)
    return ChatUsage(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        prompt_tokens_details=PromptDetails(
            cached_tokens=getattr(prompt, "cached_tokens", None),
            cache_write_tokens=getattr(prompt, "cache_creation_tokens", None),
        ),
        completion_tokens_details=CompletionDetails(getattr(completion, "reasoning_tokens", None)),
    )


# --- what goes wrong -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _told(place: Place) -> Iterator[None]:
    """Whatever LiteLLM or a provider raises becomes an ApiError."""
    try:
        yield
    except ApiError:
        raise
    except Exception as error:
        raise _api_error(place, error) from error


def _api_error(place: Place, error: Exception) -> ApiError:
    cause = getattr(error, "original_exception", None) or error  # a stream that broke is wrapped once more
    kind = type(cause).__name__
    if isinstance(cause, TimeoutError) or kind.endswith("Timeout"):  # LiteLLM's, or httpx's ReadTimeout and others
        return TimedOut(f"{place.name} did not answer in time.")
    status = getattr(cause, "status_code", None)
    if not isinstance(status, int) or kind == "APIConnectionError":
        logger.warning("LiteLLM could not ask %s: %s: %s", place.name, kind, _without_key(place, str(cause))[:WORDS])
        return UpstreamFailed(f"Asking {place.name} through LiteLLM failed: {kind}.")
    text = str(getattr(cause, "message", cause))
    begin, end = text.find("{"), text.rfind("}") + 1
    is_json = begin >= 0 and _parsed(text[begin:end].encode()) is not None
    body = text[begin:end] if is_json else _SAID_BY_LITELLM.sub("", text)
    return _refused(place, status, body.encode(), _retry_after(cause))


def _refused(place: Place, status: int, body: bytes, retry_after: str | None) -> ApiError:
    """`failure`, for providers that have other forms for an error than OpenRouter's."""
    if place.provider == OPENROUTER:
        return failure(status, body, retry_after)
    words = _without_key(place, _words(body))
    if status >= 500 and "overloaded" in words.lower():
        status = 529  # LiteLLM has no error of its own for it
    elif status == 401:
        status, words = 403, f"{place.name} refused the key that pays for this request: {words}"
    return failure(status, orjson.dumps({"error": {"message": words}}), retry_after)


def _words(body: bytes) -> str:
    """The sentence in an error's body, wherever the provider puts it; nothing of a page meant for a browser."""
    said = _parsed(body)
    if said is None:
        text = body.decode(errors="replace").strip()
        return "" if text.startswith("<") else text[:WORDS]
    for found in (said.get("error"), said):
        words = (found.get("message") or found.get("detail")) if isinstance(found, dict) else found
        if isinstance(words, str) and words:
            return words
    return ""


def _parsed(body: bytes) -> Chat | None:
    """The object in `body`; Google puts it into a list."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    found = found[0] if isinstance(found, list) and found else found
    return found if isinstance(found, dict) else None


def _retry_after(error: Any) -> str | None:
    response = getattr(error, "response", None)
    headers = getattr(error, "litellm_response_headers", None) or getattr(response, "headers", None) or {}
    value = headers.get("retry-after")
    return str(value) if value else None


def _without_key(place: Place, text: str) -> str:
    """LiteLLM puts Gemini's key into the address, and the address into its errors."""
    return redact(text.replace(place.api_key, "[redacted]") if place.api_key else text)

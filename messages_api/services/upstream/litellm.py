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
import time
import warnings
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import orjson
from django.conf import settings
from yarl import URL

from accounts.way_out import judged_socket
from messages_api.errors import InvalidRequest, UpstreamFailed
from messages_api.services.failures import failure
from messages_api.services.provider_failures import as_api_errors, refused
from messages_api.services.sse_reader import LONGEST_EVENT, LineTooLong
from messages_api.services.translation.chat import ChatChunk
from messages_api.services.translation.cut_characters import CutCharacters
from messages_api.services.upstream import provider_request
from messages_api.services.upstream.base import ChatCall, ChatStream, Completion
from messages_api.services.upstream.http import (
    CONNECT_SECONDS,
    SILENCE_SECONDS,
    HttpOrder,
    Refused,
    Sessions,
    check_text,
)
from messages_api.services.upstream.openrouter import HttpChat, attribution
from messages_api.services.upstream.provider_answer import NATIVE_ENDS, Fold
from messages_api.services.upstream.provider_request import Chat, Place

#: LiteLLM's module, and whatever it hands over: its types are loose, so nothing of it leaves this module.
Library = Any

OPENROUTER = "openrouter"
OPENAI = "openai"
OPENAI_HOST = "api.openai.com"
OPENAI_URL = f"https://{OPENAI_HOST}/v1"
#: Speak OpenAI's stream, but are not in LiteLLM's own list of those that do.
ALSO_SPEAK_OPENAI = frozenset({OPENAI, OPENROUTER, "custom_openai", "minimax", "mistral", "openai_like", "ovhcloud"})
#: Whose chunks are read before LiteLLM's stream wrapper.
CHUNKS_ARE_KNOWN = frozenset({"anthropic", "azure", "bedrock", "gemini", "ollama_chat", "vertex_ai"})


class LiteLlmUpstream:
    """Whatever LiteLLM can reach. A target without a provider is OpenRouter's."""

    def __init__(self, sessions: Sessions, base_url: str, *, proxy: str = "", referer: str = "") -> None:
        self._http = HttpChat(sessions, proxy)
        self._openrouter_url = base_url
        self._referer = referer

    async def complete(self, call: ChatCall) -> Completion:
        place = self._place(call)
        with as_api_errors(place.speaker):
            library = await _library()
            order = await self._order(library, place, call)
            if order is not None:
                return await self._http.complete(order, _refused_at(place))
            arguments = _arguments(place, _body(call, place))
            async with asyncio.timeout(SILENCE_SECONDS):
                answer = await library.acompletion(**arguments)
            return Completion(CutCharacters(with_stand_ins=False).joined(Fold(place).chunk(answer)), "")

    async def stream(self, call: ChatCall) -> ChatStream:
        place = self._place(call)
        with as_api_errors(place.speaker):
            library = await _library()
            order = await self._order(library, place, call)
            if order is not None:
                return await self._http.stream(order, _refused_at(place))
            arguments = _arguments(place, _body(call, place))
            library.module_level_aclient.timeout = _patience()  # Gemini's streams know no other
            async with asyncio.timeout(SILENCE_SECONDS):
                wrapper = await library.acompletion(**arguments, stream_options={"include_usage": True})
                return LiteLlmStream(wrapper, await _source(wrapper, place), place)

    async def close(self) -> None:
        """Close the connections that LiteLLM keeps for providers with a format of their own."""
        if _load.cache_info().currsize:
            cleanup: Any = import_module("litellm.llms.custom_httpx.async_client_cleanup")
            await cleanup.close_litellm_async_clients()
            await _load().module_level_aclient.client._transport.aclose()  # Gemini's streams', which that leaves open

    def _place(self, call: ChatCall) -> Place:
        access, model = call.target.provider, call.target.model
        if access is None:
            return Place(OPENROUTER, model, "OpenRouter", self._openrouter_url, call.api_key, is_own=True)
        if access.base_url:
            check_text(access.base_url)
        is_own = not access.base_url and access.litellm_provider == OPENROUTER
        base_url = self._openrouter_url if is_own else access.base_url
        key, family = access.api_key or "", call.target.facts.family
        return Place(access.litellm_provider, model, access.name, base_url.rstrip("/"), key, family, is_own)

    async def _order(self, library: Library, place: Place, call: ChatCall) -> HttpOrder | None:
        """The request as LiteLLM prepares it; None for a provider that does not stream as OpenAI does."""
        if place.provider == OPENROUTER:
            return _order(library, place, Wish(verbatim=call.translation.body), attribution(self._referer))
        body = _body(call, place)
        wish = Wish(provider_request.messages(body, place), provider_request.parameters(body, place))
        if body.get("stream"):
            wish.parameters["stream_options"] = {"include_usage": True}
        # In a thread: for some providers LiteLLM exchanges the key for a token, over blocking HTTP.
        return await asyncio.to_thread(_order, library, place, wish, {})


class LiteLlmStream:
    """The chunks of a provider with a format of its own, in the form that OpenAI gave them."""

    generation_id = ""

    def __init__(self, wrapper: Any, source: Any, place: Place) -> None:
        self._wrapper = wrapper
        self._source = source
        self._place = place
        self.heard_at = time.monotonic()

    async def __aiter__(self) -> AsyncIterator[list[ChatChunk]]:
        fold, cut = Fold(self._place), CutCharacters(with_stand_ins=False)
        with as_api_errors(self._place.speaker):
            async for piece in self._source:
                self.heard_at = time.monotonic()
                if piece is None or isinstance(piece, dict):
                    _check_says_nothing(piece or {}, self._place)
                    continue
                chunk = cut.joined(fold.chunk(piece))
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


def _body(call: ChatCall, place: Place) -> Chat:
    """The chat completion that is asked for. Raises for what is not to be had from a provider beside OpenRouter."""
    body: Chat = orjson.loads(call.translation.encode())  # tools are spliced-in bytes, and LiteLLM reads them
    provider_request.refuse_what_openrouter_alone_does(body, call.translation.tools, place)
    return body


def _refused_at(place: Place) -> Refused:
    return failure if place.provider == OPENROUTER else refused


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
    import_module("httpx")._models.LineDecoder = Lines
    _keep_it_out_of_private_networks()
    _stop_its_bookkeeping()
    _keep_the_ends_it_flattens(library)


def _keep_it_out_of_private_networks() -> None:
    """Where LiteLLM sends by itself, it connects to what we would connect to, and follows no redirect either.

    Behind a proxy every connection is one to the proxy, which may well be in a private network.
    """
    import_module("httpx").Response.has_redirect_location = property(lambda _: False)
    if not settings.HTTPS_PROXY:
        handler: Any = import_module("litellm.llms.custom_httpx.http_handler")
        handler.build_aiohttp_keepalive_socket_factory = lambda: judged_socket


class Lines:
    """httpx's LineDecoder ends a line at U+2028 and others too, which JSON may hold as they are (wire.md 3.3 f)."""

    def __init__(self) -> None:
        self._rest = ""

    def decode(self, text: str) -> list[str]:
        *lines, self._rest = (self._rest + text).split("\n")
        if len(self._rest) > LONGEST_EVENT:
            raise LineTooLong(f"The upstream sent a line of more than {LONGEST_EVENT} characters.")
        return [_without_end(line.removesuffix("\r")) for line in lines]

    def flush(self) -> list[str]:
        return [_without_end(self._rest)] if self._rest else []


def _without_end(line: str) -> str:
    """LiteLLM takes a line with `[DONE]` anywhere in it for the end (wire.md 3.3 e). Escaped, its JSON is the same."""
    return line.replace("[DONE]", r"\u005bDONE]") if "{" in line else line


def _stop_its_bookkeeping() -> None:
    """After each answer LiteLLM works out a record for callbacks, and we have none.

    For that it asks Ollama for prices over blocking HTTP, on the event loop: every stream of ours would wait.
    """

    async def nothing(*_: Any, **__: Any) -> None:
        pass

    bookkeeper: Any = import_module("litellm.litellm_core_utils.litellm_logging").Logging
    bookkeeper.async_success_handler = bookkeeper.async_failure_handler = nothing
    bookkeeper.success_handler = bookkeeper.failure_handler = lambda *_, **__: None


def _keep_the_ends_it_flattens(library: Library) -> None:
    """It calls every end that OpenAI has no word for "stop", and has no other type for it."""
    words: Any = import_module("litellm.litellm_core_utils.core_helpers")._FINISH_REASON_MAP
    words.update({name: name for name in NATIVE_ENDS})
    library.Choices.model_fields["finish_reason"].annotation = str
    gemini: Any = import_module("litellm.llms.vertex_ai.gemini.vertex_and_google_ai_studio_gemini").VertexGeminiConfig
    said: Any = gemini._check_finish_reason

    def end(message: Any, reason: str | None) -> str | None:
        """Each chunk of Gemini's would say "stop", and a stream that was cut would pass for whole."""
        return said(message, reason) if reason else None

    gemini._check_finish_reason = staticmethod(end)


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
    untaken = provider_request.decisive(wish.parameters, _taken(library, ways), place)
    if not _speaks_openai(library, ways):
        provider_request.refuse_parameters(untaken, place)
        return None
    optional = _optional(library, ways, _as_chat_takes_them(library, ways, wish.parameters), untaken)
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
    sent["Content-Type"] = "application/json"
    return HttpOrder(url, place.speaker, sent, _encode(body), is_judged=not place.is_own)


def _taken(library: Library, ways: Ways) -> Collection[str]:
    """The parameters that LiteLLM does not drop; where it knows nothing of a provider it drops none."""
    taken: list[str] | None = library.get_supported_openai_params(model=ways.model, custom_llm_provider=ways.provider)
    return provider_request.DECISIVE if taken is None else taken


def _optional(library: Library, ways: Ways, parameters: Chat, untaken: list[str]) -> Chat:
    """The parameters in the provider's words. The `untaken` go as they are: it can say itself that it takes none."""
    ask = functools.partial(
        library.utils.get_optional_params,
        model=ways.model,
        custom_llm_provider=ways.provider,
        drop_params=True,
        allowed_openai_params=untaken,
    )
    optional: Chat = ask(**parameters)
    if "json_mode" in optional:  # LiteLLM would ask for a tool call, and then read that as the text of the answer
        asked = {name: value for name, value in parameters.items() if name != "response_format"}
        optional = {**ask(**asked), "response_format": parameters["response_format"]}
    return optional


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


def _arguments(place: Place, body: Chat) -> Chat:
    """What `acompletion` is called with. One attempt: trying again is decided above us."""
    provider_request.refuse_attachments_that_would_be_lost(body, place)
    return {
        "model": place.full_model,
        "messages": provider_request.messages(body, place, with_seals=True),
        "api_key": place.api_key or None,
        "base_url": place.base_url or None,
        "timeout": _patience(),
        "num_retries": 0,
        "max_retries": 0,
        "drop_params": True,
        "allowed_openai_params": ["service_tier"],  # it drops Anthropic's
        "_skip_mcp_handler": True,  # it wants a package that LiteLLM does not install (wire.md 3.1)
        **provider_request.parameters(body, place),
    }


def _patience() -> Any:
    httpx: Any = import_module("httpx")  # LiteLLM's; it costs 0.4 s, so not before LiteLLM itself
    return httpx.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS)


async def _source(wrapper: Any, place: Place) -> Any:
    """What to read: the provider's own chunks where we know their form, else LiteLLM's wrapper around them.

    The wrapper costs five times as much, holds back text such as `</s>`, and takes a long row of `=` for an error.
    """
    stream = await wrapper.fetch_stream()
    return stream if place.provider in CHUNKS_ARE_KNOWN else wrapper


def _check_says_nothing(line: Chat, place: Place) -> None:
    """Raises for LiteLLM's older form of a chunk, in which some of Bedrock's models answer without Converse."""
    if line.get("text") or line.get("tool_use"):
        raise InvalidRequest(
            f"model: what {place.model} answers at {place.name} cannot be read. "
            "An administrator can put converse/ before the model's name."
        )


def _unsay_invented_end(chunk: ChatChunk, wrapper: Any) -> None:
    """The wrapper ends a stream that was cut with "stop"; the translator knows better when it hears nothing."""
    if wrapper.received_finish_reason is None and getattr(wrapper, "intermittent_finish_reason", None) is None:
        for choice in chunk.choices or ():
            choice.finish_reason = None

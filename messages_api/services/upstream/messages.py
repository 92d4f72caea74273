"""Owns the way to whatever answers the Messages API: OpenRouter's endpoint for it, or a provider of its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from yarl import URL

from messages_api.services.failures import OPENROUTER, Speaker
from messages_api.services.routing import ProviderAccess, Target
from messages_api.services.upstream.http import Http, HttpAnswer, HttpOrder, HttpStream, Sessions
from messages_api.services.upstream.openrouter import attribution

#: For a client that names none; Anthropic's own API demands one (wire.md 1.1).
VERSION = {"anthropic-version": "2023-06-01"}
BETA = "anthropic-beta"
#: Where OpenRouter looks for betas (its guide to provider routing).
OPENROUTER_BETA = "x-anthropic-beta"


@dataclass(frozen=True, slots=True)
class MessagesCall:
    """A request to be relayed. `headers` are the client's `anthropic-version` and `anthropic-beta`, as they came."""

    target: Target
    body: bytes = field(repr=False)
    headers: Mapping[str, str]
    api_key: str = field(repr=False)


class MessagesUpstream:
    """A target without a provider is OpenRouter's. Raises ApiError for what goes wrong on the way."""

    def __init__(self, sessions: Sessions, base_url: str, *, proxy: str = "", referer: str = "") -> None:
        self._http = Http(sessions, proxy)
        self._openrouter_url = URL(f"{base_url}/messages")
        self._attribution = attribution(referer)

    async def complete(self, call: MessagesCall) -> HttpAnswer:
        return await self._http.complete(self._order(call))

    async def stream(self, call: MessagesCall) -> HttpStream:
        return await self._http.stream(self._order(call))

    def _order(self, call: MessagesCall) -> HttpOrder:
        headers = {"Content-Type": "application/json", **VERSION, **call.headers}
        provider = call.target.provider
        if provider is not None:
            speaker = Speaker(provider.name, call.api_key)
            headers |= _credentials(call.api_key)
            return HttpOrder(_address(provider), speaker, headers, call.body, is_judged=True)
        headers |= {**self._attribution, "Authorization": f"Bearer {call.api_key}"}
        if BETA in headers:
            headers[OPENROUTER_BETA] = headers[BETA]
        speaker = replace(OPENROUTER, key=call.api_key)
        return HttpOrder(self._openrouter_url, speaker, headers, call.body, is_judged=False)


def _address(provider: ProviderAccess) -> URL:
    """Base URLs are written with and without the version in them."""
    base = provider.base_url.rstrip("/")
    return URL(f"{base}/messages" if base.endswith("/v1") else f"{base}/v1/messages")


def _credentials(api_key: str) -> dict[str, str]:
    """Anthropic takes either, others only one of them; a server on one's own machine may want none."""
    return {"x-api-key": api_key, "Authorization": f"Bearer {api_key}"} if api_key else {}

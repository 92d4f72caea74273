"""The endpoints of the Messages API."""

from typing import Any

from django.http.response import HttpResponseBase

from messages_api.api_view import ApiRequest, ApiView
from messages_api.errors import InvalidRequest
from messages_api.schemas import parse_envelope
from messages_api.services.gateway import running_gateway
from messages_api.services.messages import Incoming, answer
from messages_api.services.model_list import LARGEST_PAGE, Page, list_models, model_info
from messages_api.services.routing import current_directory, resolve
from messages_api.services.stream import MessageStream
from messages_api.services.token_count import count_tokens
from usage.services.ledger import Origin

LONGEST_LIMIT = 9  # digits; Python refuses to read thousands of them
RELAYED_HEADERS = ("anthropic-version", "anthropic-beta")


class MessagesView(ApiView):
    """`POST /v1/messages`: an answer, as JSON or as server-sent events."""

    def log_answer(self, response: HttpResponseBase) -> None:
        """An answer's line is written when it is settled."""

    async def post(self, request: ApiRequest) -> bytes | MessageStream:
        incoming = Incoming(
            request.request_id, request.caller, _origin(request), request.body_bytes, _relayed_headers(request)
        )
        return await answer(await running_gateway(), incoming)


class CountTokensView(ApiView):
    """`POST /v1/messages/count_tokens`: counted here, never limited, never recorded."""

    async def post(self, request: ApiRequest) -> dict[str, Any]:
        asked = parse_envelope(request.body_bytes)
        route = resolve(asked.model, request.caller.team_id, await current_directory())
        target = str(route.target)
        factor = (await running_gateway()).token_factors.factor(target)
        counted = await count_tokens(asked, target=target, factor=factor, addendum=route.terms.system_addendum)
        return {"input_tokens": counted}


class ModelListView(ApiView):
    """`GET /v1/models`: what the caller's team may ask for."""

    async def get(self, request: ApiRequest) -> dict[str, Any]:
        return list_models(await current_directory(), request.caller.team_id, _page(request))


class ModelView(ApiView):
    """`GET /v1/models/{id}`"""

    async def get(self, request: ApiRequest, model_id: str) -> dict[str, Any]:
        return model_info(model_id, await current_directory(), request.caller.team_id)


def _origin(request: ApiRequest) -> Origin:
    """Claude Code's own headers; other clients send none."""
    headers = request.META
    return Origin(
        session_id=headers.get("HTTP_X_CLAUDE_CODE_SESSION_ID", "")[:128],
        agent_id=headers.get("HTTP_X_CLAUDE_CODE_AGENT_ID", "")[:128],
        parent_agent_id=headers.get("HTTP_X_CLAUDE_CODE_PARENT_AGENT_ID", "")[:128],
    )


def _relayed_headers(request: ApiRequest) -> dict[str, str]:
    """The headers that say which Messages API is meant (wire.md 1.1)."""
    sent = ((name, request.META.get(f"HTTP_{name.upper().replace('-', '_')}")) for name in RELAYED_HEADERS)
    return {name: value for name, value in sent if value}


def _page(request: ApiRequest) -> Page:
    limit = request.GET.get("limit", "20")
    if not limit.isdecimal() or len(limit) > LONGEST_LIMIT or not 1 <= int(limit) <= LARGEST_PAGE:
        raise InvalidRequest(f"limit: must be a number from 1 to {LARGEST_PAGE}")
    return Page(int(limit), request.GET.get("after_id", ""), request.GET.get("before_id", ""))

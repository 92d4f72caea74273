"""The endpoints of the Messages API."""

from typing import Any

from django.http.response import HttpResponseBase

from messages_api.api_view import ApiRequest, ApiView
from messages_api.errors import InvalidRequest
from messages_api.schemas import parse_envelope
from messages_api.services.answer import Answer
from messages_api.services.gateway import running_gateway
from messages_api.services.messages import Incoming, answer
from messages_api.services.model_list import LARGEST_PAGE, LISTED_STAGES, STAGES, Page, list_models, model_info
from messages_api.services.routing import current_directory, route_for
from messages_api.services.token_count import count_tokens
from usage.services.ledger import Origin

RELAYED_HEADERS = ("anthropic-version", "anthropic-beta")


class MessagesView(ApiView):
    """`POST /v1/messages`: an answer, as JSON or as server-sent events."""

    def log_answer(self, response: HttpResponseBase) -> None:
        """An answer's line is written when it is settled."""

    async def post(self, request: ApiRequest) -> Answer:
        incoming = Incoming(
            request.request_id, request.caller, _origin(request), request.body_bytes, _relayed_headers(request)
        )
        return await answer(await running_gateway(), incoming)


class CountTokensView(ApiView):
    """`POST /v1/messages/count_tokens`: counted here, never limited, never recorded."""

    async def post(self, request: ApiRequest) -> dict[str, Any]:
        asked = parse_envelope(request.body_bytes)
        caller = request.caller
        route = route_for(asked.model, caller.team_id, caller.allowed_models, await current_directory())
        target = str(route.target)
        factor = (await running_gateway()).token_factors.factor(target)
        counted = await count_tokens(asked, target=target, factor=factor, addendum=route.terms.system_addendum)
        return {"input_tokens": counted}


class ModelListView(ApiView):
    """`GET /v1/models`: what the caller may ask for."""

    async def get(self, request: ApiRequest) -> dict[str, Any]:
        caller = request.caller
        return list_models(await current_directory(), caller.team_id, caller.allowed_models, _page(request))


class ModelView(ApiView):
    """`GET /v1/models/{id}`"""

    async def get(self, request: ApiRequest, model_id: str) -> dict[str, Any]:
        caller = request.caller
        return model_info(model_id, await current_directory(), caller.team_id, caller.allowed_models)


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
    if not limit.isdecimal() or len(limit) > len(str(LARGEST_PAGE)) or not 1 <= int(limit) <= LARGEST_PAGE:
        raise InvalidRequest(f"limit: must be a number from 1 to {LARGEST_PAGE}")
    after_id, before_id = request.GET.get("after_id", ""), request.GET.get("before_id", "")
    if after_id and before_id:
        raise InvalidRequest("before_id: give after_id or before_id, not both")
    return Page(int(limit), after_id, before_id, _stages(request))


def _stages(request: ApiRequest) -> frozenset[str]:
    """The SDK for Python writes a list with brackets, others repeat the name."""
    asked = request.GET.getlist("lifecycle[]") + request.GET.getlist("lifecycle")
    if unknown := [stage for stage in asked if stage not in STAGES]:
        raise InvalidRequest(f"lifecycle: {unknown[0][:100]!r} is not one of {', '.join(STAGES)}")
    return frozenset(asked) or LISTED_STAGES

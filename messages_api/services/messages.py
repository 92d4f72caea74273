"""The story of a request for an answer, step by step; each step is a module of its own (ARCHITECTURE.md)."""

import asyncio
import math
from dataclasses import dataclass
from functools import partial

import msgspec
from django.conf import settings

from accounts.authentication import Caller
from messages_api.errors import Overloaded, PaymentRequired
from messages_api.schemas import MessagesRequest, parse_envelope, request_of
from messages_api.services.gateway import RESTARTING, Gateway
from messages_api.services.routing import Route, current_directory, resolve
from messages_api.services.settlement import Settlement, told
from messages_api.services.stream import MessageStream
from messages_api.services.token_estimate import estimate_tokens
from messages_api.services.translation.last_words import last_words
from messages_api.services.translation.request import Translation, translate_request
from messages_api.services.translation.response import message_of
from messages_api.services.translation.stream import StreamTranslator
from messages_api.services.upstream.base import ChatCall, ChatUpstream
from usage.services.admission import NotRecorded, admit
from usage.services.ledger import Entry, Origin

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request as it enters: who, from where in their work, and the bytes of what."""

    request_id: str
    caller: Caller
    origin: Origin
    body: bytes


async def answer(gateway: Gateway, incoming: Incoming) -> bytes | MessageStream:
    """The answer to a Messages request: JSON, or a stream that has begun. Raises ApiError."""
    envelope = parse_envelope(incoming.body)
    request = request_of(envelope)
    route = resolve(request.model, incoming.caller.team_id, await current_directory())
    settlement = _admit(gateway, incoming, request, route)
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  # a coroutine that runs has one
    gateway.starting.add(task)
    try:
        call = _call(incoming, request, route)
        estimate = estimate_tokens(envelope, route.system_addendum) * gateway.token_factors.factor(str(route.target))
        translator = _translator(incoming, request, route, call.translation, math.ceil(estimate))
        upstream = gateway.upstream_for(route.target)
        if request.stream:
            return await _begin(gateway, upstream, call, translator, settlement)
        return await _complete(upstream, call, translator, settlement)
    except Exception as error:
        settlement.end(error)
        refusal = told(error)
        refusal.is_logged = True
        raise refusal from error
    except asyncio.CancelledError as error:
        if task not in gateway.ended:
            settlement.end(error)
            raise
        task.uncancel()
        refusal = Overloaded(RESTARTING)
        settlement.end(refusal)
        refusal.is_logged = True
        raise refusal from None
    finally:
        gateway.starting.discard(task)
        gateway.ended.discard(task)


def _admit(gateway: Gateway, incoming: Incoming, request: MessagesRequest, route: Route) -> Settlement:
    entry = Entry(
        request_id=incoming.request_id,
        caller=incoming.caller,
        origin=incoming.origin,
        requested_model=request.model,
        model=str(route.target),
        streamed=request.stream,
        prices=route.target.facts.prices,
    )
    try:
        admit(gateway.ledger, entry)
    except NotRecorded as error:
        raise Overloaded("The request could not be recorded, so it was not sent. Try again shortly.") from error
    return Settlement(gateway.ledger, entry)


def _call(incoming: Incoming, request: MessagesRequest, route: Route) -> ChatCall:
    translation = translate_request(
        request,
        model=route.target.model,
        facts=route.target.facts,
        session_id=incoming.origin.session_id,
        system_addendum=route.system_addendum,
    )
    return ChatCall(route.target, translation, _paying_key(incoming.caller, route))


def _paying_key(caller: Caller, route: Route) -> str:
    """The personal key's own OpenRouter key, else its team's, else the server's."""
    provider = route.target.provider
    if caller.has_lost_key or (provider is not None and provider.api_key is None):
        owner = provider.name if provider is not None else f"the team {caller.team}"
        raise PaymentRequired(
            f"The key that pays for {owner} cannot be decrypted: FIELD_ENCRYPTION_KEYS has changed. "
            "An administrator can enter it again."
        )
    if provider is not None:
        return provider.api_key or ""
    key = caller.openrouter_key or settings.OPENROUTER_API_KEY
    if not key:
        raise PaymentRequired(
            "This server has no OpenRouter key yet. Put OPENROUTER_API_KEY=sk-or-... into the server's .env and "
            f"restart it, or add a key for the team in {settings.BASE_URL}/admin/accounts/openrouterkey/."
        )
    return key


def _translator(
    incoming: Incoming, request: MessagesRequest, route: Route, translation: Translation, input_tokens: int
) -> StreamTranslator:
    return StreamTranslator(
        message_id=f"msg_{incoming.request_id.removeprefix('req_')}",
        model=request.model,
        family=route.target.facts.family,
        tools=translation.tools,
        input_tokens=input_tokens,
        search_query=last_words(request) if translation.tools.web_search else "",
    )


async def _begin(
    gateway: Gateway, upstream: ChatUpstream, call: ChatCall, translator: StreamTranslator, settlement: Settlement
) -> MessageStream:
    stream = MessageStream(partial(upstream.stream, call), translator, settlement, gateway.streams)
    await stream.begin()
    return stream


async def _complete(
    upstream: ChatUpstream, call: ChatCall, translator: StreamTranslator, settlement: Settlement
) -> bytes:
    completion = await upstream.complete(call)
    settlement.entry.generation_id = completion.generation_id
    settlement.note_first_byte()
    try:
        message = message_of(completion.answer, translator)
    finally:
        settlement.note_answer(translator)
    data = _encode(message)
    settlement.end()
    return data

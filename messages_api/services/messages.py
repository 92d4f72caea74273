"""The story of a request for an answer, step by step; each step is a module of its own (ARCHITECTURE.md)."""

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from django.conf import settings

from accounts.authentication import Caller
from messages_api import errors
from messages_api.errors import ApiError, Overloaded, TimedOut
from messages_api.schemas import parse_envelope
from messages_api.services.answer import Answer
from messages_api.services.attempts.base import Asked, Attempt
from messages_api.services.attempts.relayed import RelayedAttempt
from messages_api.services.attempts.sequence import Attempts
from messages_api.services.attempts.translated import TranslatedAttempt
from messages_api.services.cost_estimate import Asking
from messages_api.services.gateway import RESTARTING, Gateway
from messages_api.services.paying_key import paying_key
from messages_api.services.rate_headers import rate_headers
from messages_api.services.routing import Route, Target, current_directory, route_for
from messages_api.services.settlement import Settlement, as_api_error
from messages_api.services.stream import MessageStream
from messages_api.services.token_estimate import estimate_tokens
from usage.services.ledger import Entry, Origin
from usage.services.refusals import BudgetReserved, BudgetSpent, LimitReached, NotAdmitted

#: A whole answer that has not come by then is given up; the clients' own patience ends there, too.
WHOLE_ANSWER_SECONDS = 600
LONGEST_NUMBER = 9


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request as it enters: who, from where in their work, and the bytes of what."""

    request_id: str
    caller: Caller
    origin: Origin
    body: bytes
    #: `anthropic-version` and `anthropic-beta`, for targets that speak Messages.
    headers: Mapping[str, str] = field(default_factory=dict)


async def answer(gateway: Gateway, incoming: Incoming) -> Answer:
    """The answer to a Messages request: JSON, or a stream that has begun. Raises ApiError."""
    envelope = parse_envelope(incoming.body)
    caller = incoming.caller
    route = route_for(envelope.model, caller.team_id, caller.allowed_models, await current_directory())
    asked = Asked(
        message_id=f"msg_{incoming.request_id.removeprefix('req_')}",
        envelope=envelope,
        terms=route.terms,
        session_id=incoming.origin.session_id,
        headers=incoming.headers,
    )
    if route.target.transport != "native":
        _ = asked.request  # what is malformed is refused before it is admitted
    estimated = estimate_tokens(envelope, route.terms.system_addendum)
    settlement, headers = await _admit(gateway, incoming, asked, route, estimated)
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  # a coroutine that runs has one
    gateway.starting.add(task)
    try:
        make = partial(_attempt, gateway, caller, asked, estimated)
        attempts = Attempts(make, route.targets, settlement, settings.RETRY_SECONDS)
        if envelope.stream:
            return Answer(await _begin(gateway, attempts, settlement), headers)
        return Answer(await _complete(attempts, settlement), headers)
    except Exception as error:
        settlement.end(error)
        raise _told(as_api_error(error), headers) from error
    except asyncio.CancelledError as error:
        if task not in gateway.ended:
            settlement.end(error)
            raise
        task.uncancel()
        refusal = Overloaded(RESTARTING)
        settlement.end(refusal)
        raise _told(refusal, headers) from None
    finally:
        gateway.starting.discard(task)
        gateway.ended.discard(task)


def _told(refusal: ApiError, headers: Mapping[str, str]) -> ApiError:
    """An error after admission: its line is in the log, and the client's limits are as they are after an answer."""
    refusal.is_logged = True
    refusal.rate_headers = headers
    return refusal


async def _admit(
    gateway: Gateway, incoming: Incoming, asked: Asked, route: Route, estimated: int
) -> tuple[Settlement, dict[str, str]]:
    """What settles the request from now on, and the headers that say what its limits leave."""
    entry = Entry(
        request_id=incoming.request_id,
        caller=incoming.caller,
        origin=incoming.origin,
        requested_model=asked.envelope.model,
        model=str(route.target),
        streamed=asked.envelope.stream,
        prices=route.target.facts.prices,
        estimated_tokens=estimated,
        estimated_cost=_estimated_cost(gateway, asked, route.target, estimated),
    )
    try:
        standing = await gateway.admission.admit(entry)
    except NotAdmitted as error:
        raise _refusal(error) from error
    settlement = Settlement(gateway.admission, entry, gateway.token_factors, gateway.cost_estimates)
    return settlement, rate_headers(standing)


def _estimated_cost(gateway: Gateway, asked: Asked, target: Target, estimated: int) -> int:
    """By the route's first target, which answers most often; what another one costs is known when it has answered."""
    name = str(target)
    input_tokens = math.ceil(estimated * gateway.token_factors.factor(name))
    asking = Asking(asked.envelope.model, name)
    return gateway.cost_estimates.estimate(asking, target.facts.prices, input_tokens, _most_output(asked, target))


def _most_output(asked: Asked, target: Target) -> int | None:
    """No answer is longer. What is not a number is refused, or is the upstream's to refuse."""
    given = bytes(asked.envelope.fields.get("max_tokens", b""))
    stated = int(given) if given.isdigit() and len(given) <= LONGEST_NUMBER else None
    limits = (stated, asked.terms.max_output, target.facts.max_output)
    return min((limit for limit in limits if limit is not None), default=None)


def _refusal(error: NotAdmitted) -> ApiError:
    """Why a request is not admitted, as the client is told it."""
    match error:
        case BudgetSpent():
            return errors.BudgetSpent(str(error), retry_after=str(error.retry_after))
        case BudgetReserved():
            return errors.RateLimited(str(error))
        case LimitReached():
            seconds = None if error.seconds is None else str(error.seconds)
            return errors.RateLimited(str(error), retry_after=seconds, rate_headers=rate_headers(error.standing))
        case _:
            return Overloaded(str(error))


def _attempt(gateway: Gateway, caller: Caller, asked: Asked, estimated: int, target: Target) -> Attempt:
    key = paying_key(caller, target)
    input_tokens = math.ceil(estimated * gateway.token_factors.factor(str(target)))
    if target.transport == "native":
        return RelayedAttempt(asked, target, gateway.messages, key, input_tokens)
    return TranslatedAttempt(asked, target, gateway.upstream_for(target), key, input_tokens)


async def _begin(gateway: Gateway, attempts: Attempts, settlement: Settlement) -> MessageStream:
    stream = MessageStream(attempts, settlement, gateway.streams)
    await stream.begin()
    return stream


async def _complete(attempts: Attempts, settlement: Settlement) -> bytes:
    try:
        async with asyncio.timeout(WHOLE_ANSWER_SECONDS):
            data = await attempts.complete()
    except TimeoutError:
        raise TimedOut("The upstream did not answer in time.") from None
    finally:
        try:
            attempts.note()
        finally:
            await attempts.close()
    settlement.note_first_byte()
    settlement.end()
    return data

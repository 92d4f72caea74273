"""Owns the end of a request: what it used goes onto its entry, the entry into the ledger, one line into the log."""

import asyncio
import logging
import time

from messages_api import errors
from messages_api.errors import ApiError
from messages_api.services.cost_estimate import Asking, CostEstimates
from messages_api.services.token_factors import TokenFactors
from messages_api.services.translation.chat import AnswerError
from usage.pricing import usd
from usage.services.admission import Admission
from usage.services.ledger import Entry, Outcome, State

logger = logging.getLogger("bridge.request")
CLIENT_GONE = 499  # nginx's number for it; nobody is left to be told one


class ClientStalled(Exception):
    """The client has stopped reading its answer."""


def as_api_error(error: BaseException) -> ApiError:
    """The error as the client is told it."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, AnswerError):
        return errors.UpstreamFailed(str(error))
    return errors.Internal(errors.UNFORESEEN)


class Settlement:
    """Settles one admitted request, once, whatever happens to it."""

    def __init__(
        self, admission: Admission, entry: Entry, token_factors: TokenFactors, cost_estimates: CostEstimates
    ) -> None:
        self.entry = entry
        self._admission = admission
        self._token_factors = token_factors
        self._cost_estimates = cost_estimates

    def note_first_byte(self) -> None:
        if self.entry.first_byte_at is None:
            self.entry.first_byte_at = time.time()

    def note_name(self) -> None:
        """The upstream has begun to answer, and its name for the answer is on the entry."""
        if self.entry.generation_id:
            self._admission.name(self.entry)

    def end(self, error: BaseException | None = None) -> None:
        """Settle: completed without an error, aborted when the client has gone, else with the error it is told."""
        if not self._admission.is_in_flight(self.entry):
            return
        outcome = _outcome(error)
        self._admission.settle(self.entry, outcome)
        if outcome.state is State.COMPLETED and not self.entry.attempts:
            self._learn()
        _log(self.entry, outcome, error)

    def _learn(self) -> None:
        entry = self.entry
        self._token_factors.learn(entry.model, entry.estimated_tokens, entry.tokens.prompt)
        self._cost_estimates.learn(Asking(entry.requested_model, entry.model), entry.tokens.output, entry.cost[0])


def _outcome(error: BaseException | None) -> Outcome:
    if error is None:
        return Outcome(State.COMPLETED, 200)
    if isinstance(error, asyncio.CancelledError | ClientStalled):
        return Outcome(State.ABORTED, CLIENT_GONE)
    answer = as_api_error(error)
    return Outcome(State.ERROR, answer.status, answer.type, answer.message)


def _log(entry: Entry, outcome: Outcome, error: BaseException | None) -> None:
    is_ours = error is not None and not isinstance(
        error, ApiError | AnswerError | asyncio.CancelledError | ClientStalled
    )
    level = logging.INFO if outcome.state in {State.COMPLETED, State.ABORTED} else logging.WARNING
    cost, _ = entry.cost
    tokens = entry.all_tokens
    logger.log(
        level,
        "%s -> %s (team %s) %s%s, %d in, %d cached, %d out, $%.6f, %.2f s, %s",
        entry.requested_model,
        entry.model,
        entry.caller.team_slug,
        outcome.status,
        f" {outcome.error_type}: {outcome.error_message}" if outcome.error_type else "",
        tokens.input + tokens.cache_write,
        tokens.cache_read,
        tokens.output,
        usd(cost),
        entry.latency_ms / 1000,
        entry.request_id,
        exc_info=error if is_ours else None,
        extra={
            "request_id": entry.request_id,
            "team": entry.caller.team_slug,
            "member": entry.caller.email,
            "requested_model": entry.requested_model,
            "model": entry.model,
            "status": outcome.status,
            "state": outcome.state.value,
            "input_tokens": tokens.input,
            "cache_read_tokens": tokens.cache_read,
            "cache_write_tokens": tokens.cache_write,
            "output_tokens": tokens.output,
            "cost_usd": str(usd(cost)),
            "latency_ms": entry.latency_ms,
            "held_ms": round(entry.held_seconds * 1000),
            "attempts": max(1, len(entry.attempts)),
        },
    )

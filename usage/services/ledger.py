"""Owns the record of every admitted request, from the spool to the database.

`open`, `name` and `settle` are one `write()` each and never wait. A background task brings the lines to the database in
batches, idempotent by request id, and renews the lease of what this process still has open; a record whose lease has
run out belongs to a dead process and is marked lost, until its settled line turns up in an orphaned spool.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from django.db import DatabaseError, InterfaceError, OperationalError, transaction
from django.db.models import Q

from accounts.authentication import Caller
from accounts.database import background
from usage.models import UsageRecord
from usage.pricing import Prices, Tokens, estimate
from usage.services import record_rows
from usage.services.budgets import counting, reservations
from usage.services.rollups import touch
from usage.services.spool import Line, Spool, orphans

logger = logging.getLogger("bridge.ledger")

State = UsageRecord.State
CostSource = UsageRecord.CostSource

INGEST_SECONDS = 1.0
SYNC_SECONDS = 0.1
LEASE_SECONDS = 60.0
RENEW_SECONDS = 20.0
BATCH_BYTES = 512 * 1024
ATTEMPT_ERROR_LENGTH = 300

_FIELDS = {f.name: f for f in UsageRecord._meta.concrete_fields if f.name != "id"}
_LENGTHS = {name: column.max_length for name, column in _FIELDS.items() if column.max_length}
_FINAL = Q(state__in=(State.COMPLETED, State.ERROR, State.ABORTED)) | Q(corrected_at__isnull=False)
#: The state of a line that only says what the upstream calls its answer.
NAMED = "named"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where in a client's work a request comes from: Claude Code's session and agent headers."""

    session_id: str = ""
    agent_id: str = ""
    parent_agent_id: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended: one of the settled states, and the HTTP status the client was told."""

    state: State
    status: int
    error_type: str = ""
    error_message: str = ""


@dataclass(slots=True)
class Entry:
    """One admitted request. What is learned about it on the way is written onto it, until it is settled.

    Where one target after the other is asked, the fields under "this attempt" are the current one's; what earlier
    ones used is kept in `attempts`, `earlier_tokens` and `earlier_cost`.
    """

    request_id: str
    caller: Caller
    origin: Origin
    requested_model: str
    model: str
    streamed: bool
    prices: Prices | None
    estimated_tokens: int = 0
    estimated_cost: int = 0  # picodollars, of all of it
    started_at: float = field(default_factory=time.time)

    # this attempt
    provider: str = ""
    generation_id: str = ""
    tokens: Tokens = field(default_factory=Tokens)
    charged: int | None = None  # picodollars, as the provider said
    stop_reason: str = ""
    held_seconds: float = 0.0  # in which content waited for a tool call beside it to be complete
    attempt_began_at: float | None = None
    is_between_attempts: bool = False  # the last one has ended, and none has begun since

    # all of them
    attempts: list[Line] = field(default_factory=list)
    earlier_tokens: Tokens = field(default_factory=Tokens)
    earlier_cost: tuple[int, CostSource] = (0, CostSource.NONE)
    first_byte_at: float | None = None
    settled_at: float | None = None

    @property
    def all_tokens(self) -> Tokens:
        return self.earlier_tokens + self.tokens if self.attempts else self.tokens

    @property
    def cost(self) -> tuple[int, CostSource]:
        """Picodollars of all attempts, and who says so: an estimate, if any of it is one."""
        cost, source = self._cost_of_this_attempt()
        earlier, earlier_source = self.earlier_cost
        return cost + earlier, _worst(source, earlier_source)

    def _cost_of_this_attempt(self) -> tuple[int, CostSource]:
        if self.charged is not None:
            return self.charged, CostSource.UPSTREAM
        if self.prices is not None and self.tokens != Tokens():
            return estimate(self.tokens, self.prices), CostSource.CATALOGUE
        return 0, CostSource.NONE

    def end_attempt(self, status: int, error: str = "") -> None:
        """Keep how the current attempt went, for the record's list; what it used is counted among the earlier ones'."""
        now = time.time()
        began = self.attempt_began_at or self.started_at
        cost, source = self._cost_of_this_attempt()
        if source is CostSource.NONE and self.generation_id:
            source = CostSource.CATALOGUE  # it has answered something: that this cost nothing is no more than a guess
        attempt = {
            "target": self.model,
            "provider": self.provider,
            "generation_id": self.generation_id,
            "status": status,
            "error": error[:ATTEMPT_ERROR_LENGTH],
            "milliseconds": _milliseconds(began, now),
            "cost": cost,
            "cost_source": source.value,
            "tokens": self.tokens.as_list,
        }
        whole, _ = self.cost
        self.earlier_tokens = self.earlier_tokens + self.tokens
        self.earlier_cost = whole, _worst(source, self.earlier_cost[1])
        self.tokens, self.charged = Tokens(), None
        self.attempts.append(_clipped(attempt))
        self.is_between_attempts = True

    def begin_attempt(self, model: str, prices: Prices | None) -> None:
        """Turn to another attempt, after `end_attempt`."""
        self.model, self.prices, self.attempt_began_at = model, prices, time.time()
        self.provider = self.generation_id = self.stop_reason = ""
        self.tokens, self.charged, self.is_between_attempts = Tokens(), None, False

    @property
    def latency_ms(self) -> int:
        return _milliseconds(self.started_at, self.settled_at or time.time())


def _worst(*sources: CostSource) -> CostSource:
    """Who says what several attempts cost together."""
    return next(known for known in (CostSource.CATALOGUE, CostSource.UPSTREAM, CostSource.NONE) if known in sources)


class Ledger:
    """The records of one server process."""

    def __init__(self, folder: Path) -> None:
        self.server = uuid4().hex
        self.in_flight: dict[str, Entry] = {}
        self._folder = folder
        self._spool = Spool.create(folder, self.server)
        self._spool_swap = asyncio.Lock()
        self._unwritten: list[Line] = []
        self._tasks: list[asyncio.Task[None]] = []

    # --- on the path of a request ---

    def open(self, entry: Entry) -> None:
        """Record that `entry` is about to go upstream. Raises OSError when it cannot be recorded."""
        self._spool.append(_opened(entry, self.server))
        self.in_flight[entry.request_id] = entry

    def name(self, entry: Entry) -> None:
        """Record what the upstream calls its answer, so that it can be asked about it should this process die."""
        line = {"request_id": entry.request_id, "state": NAMED, "started_at": entry.started_at}
        with contextlib.suppress(OSError):  # a full disk: the settled line will say it
            self._spool.append(_clipped(line | {"generation_id": entry.generation_id, "model": entry.model}))

    def settle(self, entry: Entry, outcome: Outcome) -> None:
        """Record how `entry` ended. Only the first call for an entry counts."""
        if entry.request_id not in self.in_flight:
            return
        entry.settled_at = time.time()
        line = _settled(entry, outcome, self.server)
        del self.in_flight[entry.request_id]
        try:
            self._spool.append(line)
        except OSError as error:
            logger.error("Ledger: a settled record waits in memory: %s", error)
            self._unwritten.append(line)

    # --- beside it ---

    def start(self) -> None:
        jobs = ((self._sync, SYNC_SECONDS), (self.ingest, INGEST_SECONDS), (self._tend, RENEW_SECONDS))
        self._tasks = [asyncio.create_task(_repeat(step, seconds)) for step, seconds in jobs]

    async def close(self) -> None:
        """Bring everything to the database and let go of the spool."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.ingest()
        self._spool.close()

    async def ingest(self) -> None:
        """Bring what this process has spooled to the database; what it does not take stays for the next time."""
        self._write_unwritten()
        while self._spool.backlog:
            try:
                position = await background(_ingest_batch, self._spool)
            except (DatabaseError, InterfaceError) as error:
                logger.warning(
                    "Ledger: the database does not take records, %d bytes wait: %s", self._spool.backlog, error
                )
                return
            async with self._spool_swap:
                self._spool.ingested_to(position)

    def _write_unwritten(self) -> None:
        try:
            while self._unwritten:
                self._spool.append(self._unwritten[0])
                self._unwritten.pop(0)
        except OSError:
            return  # still full; `settle` has said so

    async def _sync(self) -> None:
        async with self._spool_swap:
            await asyncio.get_running_loop().run_in_executor(None, self._spool.sync)

    async def _tend(self) -> None:
        """Adopt the spools of dead processes, renew our leases, and mark as lost what nobody renews."""
        await background(renew_leases, self.server)
        await background(ingest_orphans, self._folder)
        await background(mark_lost, lease_has_expired())
        await background(counting.give_back, lease_has_expired())


async def _repeat(step: Callable[[], Awaitable[None]], seconds: float) -> None:
    """Do `step` again and again: what goes wrong once, whatever it is, must not end the accounting."""
    while True:
        try:
            await step()
        except (DatabaseError, InterfaceError) as error:
            logger.warning("Ledger: the database does not answer: %s", error)
        except Exception:
            logger.exception("Ledger: %s failed and is tried again", step)
        await asyncio.sleep(seconds)


# --- lines -----------------------------------------------------------------------------------------------------------


def _opened(entry: Entry, server: str) -> Line:
    caller, origin = entry.caller, entry.origin
    line = {
        "request_id": entry.request_id,
        "state": State.OPEN.value,
        "server": server,
        "lease_expires_at": time.time() + LEASE_SECONDS,
        "started_at": entry.started_at,
        "team_id": caller.team_id,
        "user_id": caller.user_id,
        "api_key_id": caller.key_id,
        "team_name": caller.team,
        "email": caller.email,
        "key_name": caller.key_name,
        "session_id": origin.session_id,
        "agent_id": origin.agent_id,
        "parent_agent_id": origin.parent_agent_id,
        "requested_model": entry.requested_model,
        "model": entry.model,
        "provider": entry.provider,
        "streamed": entry.streamed,
    }
    return _clipped(line)


def _settled(entry: Entry, outcome: Outcome, server: str) -> Line:
    if entry.attempts and not entry.is_between_attempts:
        entry.end_attempt(outcome.status, outcome.error_message)
    tokens = entry.all_tokens
    cost, source = entry.cost
    settled = {
        "state": outcome.state.value,
        "settled_at": entry.settled_at,
        "latency_ms": entry.latency_ms,
        "first_byte_ms": entry.first_byte_at and _milliseconds(entry.started_at, entry.first_byte_at),
        "generation_id": entry.generation_id,
        "input_tokens": tokens.input,
        "output_tokens": tokens.output,
        "cache_read_tokens": tokens.cache_read,
        "cache_write_tokens": tokens.cache_write,
        "reasoning_tokens": tokens.reasoning,
        "web_searches": tokens.web_searches,
        "estimated_tokens": entry.estimated_tokens,
        "attempts": entry.attempts,
        "cost": cost,
        "cost_source": source.value,
        "status": outcome.status,
        "stop_reason": entry.stop_reason,
        "error_type": outcome.error_type,
        "error_message": outcome.error_message,
    }
    return _opened(entry, server) | _clipped(settled)


def _clipped(line: Line) -> Line:
    """Text cut to its column, and without NUL, which PostgreSQL refuses: a line stays far below a batch."""
    return {
        name: value.replace("\x00", "")[: _LENGTHS.get(name)] if isinstance(value, str) else value
        for name, value in line.items()
    }


def _milliseconds(start: float, end: float) -> int:
    return max(0, round((end - start) * 1000))


# --- the database ----------------------------------------------------------------------------------------------------


def _ingest_batch(spool: Spool) -> int:
    lines, position = spool.read(BATCH_BYTES)
    try:
        write_lines(lines)
    except (OperationalError, InterfaceError):
        raise  # the database is away: the lines wait
    except Exception:
        _write_one_by_one(lines, spool.path)
    return position


def _write_one_by_one(lines: Iterable[Line], spool: Path) -> None:
    """One line that the database refuses must not keep the others out; it is kept in a file beside the spool."""
    for line in lines:
        try:
            write_lines([line])
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:
            logger.error("Ledger: record %s is refused by the database: %s", line.get("request_id"), error)
            with spool.with_suffix(".refused").open("a") as refused:
                refused.write(f"{line}\n")


@transaction.atomic
def write_lines(lines: Iterable[Line]) -> None:
    """Bring lines to the table, in any order and any number of times: a settled record is never reopened.

    With it goes what it cost to the budgets it belongs to: both are written, or neither is.
    """
    opened = {line["request_id"]: line for line in lines if line["state"] == State.OPEN}
    named = {line["request_id"]: line for line in lines if line["state"] == NAMED}
    settled = {line["request_id"]: line for line in lines if line["state"] not in {State.OPEN, NAMED}}
    final = set(UsageRecord.objects.filter(_FINAL, request_id__in=settled).values_list("request_id", flat=True))
    record_rows.insert_missing(line for request_id, line in opened.items() if request_id not in settled)
    _write_names({request_id: line for request_id, line in named.items() if request_id not in settled})
    newly_final = [line for request_id, line in settled.items() if request_id not in final]
    record_rows.insert_or_replace(newly_final)
    counting.settle(newly_final)
    touch(line["started_at"] for line in (*opened.values(), *settled.values()))


def _write_names(named: dict[str, Line]) -> None:
    """Note what the upstream calls answers that are not settled yet, or never will be."""
    if not named:
        return
    records = list(UsageRecord.objects.filter(request_id__in=named, state__in=(State.OPEN, State.LOST)))
    for record in records:
        line = named[record.request_id]
        record.generation_id, record.model = line["generation_id"], line["model"]
    UsageRecord.objects.bulk_update(records, ["generation_id", "model"])


def ingest_orphans(folder: Path) -> int:
    """Ingest the spools of dead processes; how many there were."""
    count = 0
    for spool in orphans(folder):
        count += 1
        try:
            _ingest_whole(spool)
            mark_lost(Q(server=spool.server))
            counting.give_back(Q(server=spool.server))
        except OSError:
            logger.exception("Ledger: the spool %s cannot be read", spool.path)
        finally:
            spool.close()
    return count


def _ingest_whole(spool: Spool) -> None:
    while spool.backlog:
        before = spool.backlog
        spool.ingested_to(_ingest_batch(spool))
        if spool.backlog == before:
            spool.drop_cut_line()


def renew_leases(server: str) -> int:
    lease = datetime.fromtimestamp(time.time() + LEASE_SECONDS, UTC)
    reservations.renew(server, lease)
    return UsageRecord.objects.filter(server=server, state=State.OPEN).update(lease_expires_at=lease)


def lease_has_expired() -> Q:
    return Q(lease_expires_at__lt=datetime.now(UTC))


@transaction.atomic
def mark_lost(whose: Q) -> int:
    """Mark the open records of processes that are known to be dead; how many there were."""
    lost = dict(UsageRecord.objects.filter(whose, state=State.OPEN).values_list("pk", "started_at"))
    touch(lost.values())
    rows = UsageRecord.objects.filter(pk__in=lost, state=State.OPEN)
    return rows.update(state=State.LOST, settled_at=datetime.now(UTC)) if lost else 0

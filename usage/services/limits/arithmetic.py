"""The arithmetic of limits: whether one more request fits, what is left, and when there is enough again. Pure.

Requests and tokens are counted in a sliding window: what is taken in one tick of the clock counts for the 60 whole
ticks that follow, so no 60 seconds hold more than the limit. A tick is a second; all times are in ticks. A request
larger than the whole limit is the one exception: it fits when nothing else counts, or it would never be let in.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

WINDOW = 60
#: What is taken in a tick counts until so many ticks later: the rest of that tick, and a whole window.
SPAN = WINDOW + 1


class Kind(StrEnum):
    """What is limited."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    CONCURRENT = "concurrent"


@dataclass(frozen=True, slots=True)
class Meter:
    """One limit in force for a request: of whom, what, and how much."""

    key: str  # what it is counted under
    whose: str  # as a person would say it: the team Acme
    kind: Kind
    limit: int


@dataclass(frozen=True, slots=True)
class Demand:
    """What one request wants to take: all of its meters, or nothing."""

    request_id: str
    meters: tuple[Meter, ...]
    tokens: int

    def amount(self, meter: Meter) -> int:
        return self.tokens if meter.kind is Kind.TOKENS else 1


@dataclass(frozen=True, slots=True)
class Reading:
    """A meter as it stood before the request."""

    meter: Meter
    used: int
    fits: bool
    opens_at: int | None  # the tick from which the request fits, where somebody can know that
    full_at: int  # the tick at which all of the limit is there again


@dataclass(frozen=True, slots=True)
class Count:
    """All meters of a request, as they stood at one moment."""

    now: float
    readings: tuple[Reading, ...]

    @property
    def tick(self) -> int:
        return math.floor(self.now)

    @property
    def is_taken(self) -> bool:
        """Either every meter has room, and the request has taken of each, or nothing was taken."""
        return all(reading.fits for reading in self.readings)


def read_window(meter: Meter, amount: int, taken: Mapping[int, int], now: float) -> Reading:
    """`meter` before `amount` is taken of it, where `taken` holds what counts, by tick."""
    tick = math.floor(now)
    used = still = sum(taken.values())
    need = min(amount, meter.limit)
    opens_at = tick
    for at in sorted(taken):
        if still + need <= meter.limit:
            break
        still -= taken[at]
        opens_at = at + SPAN
    full_at = max(taken) + SPAN if taken else tick
    return Reading(meter, used, used + need <= meter.limit, opens_at, full_at)


def read_slots(meter: Meter, used: int, now: float) -> Reading:
    """`meter` where `used` requests are in progress: nobody knows when one of them ends."""
    tick = math.floor(now)
    fits = used < meter.limit
    return Reading(meter, used, fits, tick if fits else None, tick)


def lapsed(taken: Iterable[int], now: float) -> list[int]:
    """The ticks of `taken` that count no longer."""
    tick = math.floor(now)
    return [at for at in taken if at + SPAN <= tick]


# --- afterwards ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Return:
    """What a request that took at `taken_at` gives back, and by how much its meters were wrong about it."""

    request_id: str
    taken_at: int
    changes: tuple[tuple[Meter, int], ...]


def settled(demand: Demand, taken_at: int, tokens: int) -> Return:
    """The request has ended and has used `tokens`: its place is free, and the estimate becomes the truth."""
    change = tokens - demand.tokens
    by_kind = {Kind.CONCURRENT: -1, Kind.TOKENS: change}
    changes = ((meter, by_kind.get(meter.kind, 0)) for meter in demand.meters)
    return Return(demand.request_id, taken_at, tuple(pair for pair in changes if pair[1]))


def undone(demand: Demand, taken_at: int) -> Return:
    """The request never went out."""
    return Return(demand.request_id, taken_at, tuple((meter, -demand.amount(meter)) for meter in demand.meters))


def place(demand: Demand) -> Return:
    """The request's place among those in progress, and nothing else."""
    return only_places(undone(demand, 0))


def only_places(returned: Return) -> Return:
    places = tuple(pair for pair in returned.changes if pair[0].kind is Kind.CONCURRENT)
    return Return(returned.request_id, returned.taken_at, places)


# --- what a client is told -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of one kind, where it is scarcest."""

    limit: int
    remaining: int
    full_at: float


#: The kinds that count in a window, each with what is left of it.
Standing = Mapping[Kind, Allowance]
NO_STANDING: Standing = {}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request does not fit."""

    meter: Meter
    amount: int
    left: int
    seconds: int | None  # after which it would fit; None where nobody knows

    def __str__(self) -> str:
        again = "Try again when one has ended."
        if self.seconds is not None:
            again = f"Try again in {self.seconds} second{'s' * (self.seconds != 1)}."
        return f"Rate limit of {self.meter.whose}: {self._words()}. {again}"

    def _words(self) -> str:
        limit = f"at most {self.meter.limit:,}"
        several = "s" * (self.meter.limit != 1)
        match self.meter.kind:
            case Kind.REQUESTS:
                return f"{limit} request{several} a minute"
            case Kind.TOKENS:
                return f"{limit} token{several} a minute; {self.left:,} left, and this request needs {self.amount:,}"
            case Kind.CONCURRENT:
                return f"{limit} request{several} at the same time"


def standing(demand: Demand, count: Count) -> Standing:
    """What is left after the request, or without it where it was refused."""
    found: dict[Kind, Allowance] = {}
    for reading in count.readings:
        meter = reading.meter
        if meter.kind is Kind.CONCURRENT:
            continue
        taken = demand.amount(meter) if count.is_taken else 0
        full_at = count.tick + SPAN if taken else reading.full_at
        left = Allowance(meter.limit, max(0, meter.limit - reading.used - taken), full_at)
        known = found.get(meter.kind)
        if known is None or (left.remaining, -left.full_at) < (known.remaining, -known.full_at):
            found[meter.kind] = left
    return found


def refusal(demand: Demand, count: Count) -> Refusal:
    """The limit that keeps the request out longest. One whose end nobody knows is named where there is no other."""
    full = [reading for reading in count.readings if not reading.fits]
    longest = max(full, key=lambda reading: -1 if reading.opens_at is None else reading.opens_at)
    meter = longest.meter
    seconds = None if longest.opens_at is None else math.ceil(longest.opens_at - count.now)
    return Refusal(meter, demand.amount(meter), max(0, meter.limit - longest.used), seconds)

"""Owns what this process alone has let in during the last minute, and what of it is still in progress.

It is the judge where there is no Redis, or none that answers. Where Redis judges, this is kept beside it, so that it
can take over at any moment, and knows whose places in Redis are to be renewed. What no longer counts is dropped, so
what is kept is bounded by who has asked within a minute.
"""

from collections import defaultdict

from usage.services.limits.arithmetic import (
    Count,
    Demand,
    Kind,
    Meter,
    Reading,
    Return,
    lapsed,
    read_slots,
    read_window,
)


class ProcessCounters:
    """The counters of one process."""

    def __init__(self) -> None:
        self.windows: defaultdict[str, dict[int, int]] = defaultdict(dict)
        self.in_progress: defaultdict[str, set[str]] = defaultdict(set)

    def take(self, demand: Demand, now: float) -> Count:
        """Take of every meter, or of none."""
        count = Count(now, tuple(self._read(meter, demand, now) for meter in demand.meters))
        if count.is_taken:
            self.note(demand, now)
        return count

    def note(self, demand: Demand, now: float) -> None:
        """Count a request that somebody else has let in."""
        tick = int(now)
        for meter in demand.meters:
            if meter.kind is Kind.CONCURRENT:
                self.in_progress[meter.key].add(demand.request_id)
            elif amount := demand.amount(meter):
                window = self.windows[meter.key]
                window[tick] = window.get(tick, 0) + amount

    def give_back(self, returned: Return, now: float) -> None:
        for meter, change in returned.changes:
            if meter.kind is Kind.CONCURRENT:
                self._leave(meter.key, returned.request_id)
            else:
                self._correct(meter.key, change, returned.taken_at, now)

    def sweep(self, now: float) -> None:
        """Forget whoever has not asked for a minute."""
        for key in list(self.windows):
            if not self._counting(key, now):
                del self.windows[key]

    def _leave(self, key: str, request_id: str) -> None:
        inside = self.in_progress.get(key, set())
        inside.discard(request_id)
        if not inside:
            self.in_progress.pop(key, None)

    def _correct(self, key: str, change: int, taken_at: int, now: float) -> None:
        """What turns out to be too much is taken off where it was taken; what comes on top counts from now."""
        if change > 0:
            window = self.windows[key]
            window[int(now)] = window.get(int(now), 0) + change
            return
        window = self.windows.get(key, {})
        if taken_at in window:
            window[taken_at] += change
            if window[taken_at] <= 0:
                del window[taken_at]

    def _read(self, meter: Meter, demand: Demand, now: float) -> Reading:
        if meter.kind is Kind.CONCURRENT:
            return read_slots(meter, len(self.in_progress.get(meter.key, ())), now)
        return read_window(meter, demand.amount(meter), self._counting(meter.key, now), now)

    def _counting(self, key: str, now: float) -> dict[int, int]:
        """What counts under `key`, by tick."""
        window = self.windows.get(key, {})
        for at in lapsed(window, now):
            del window[at]
        return window

"""Owns stop sequences: which go upstream, and which are watched here because no chat completion takes them.

A chat completion takes four (wire.md 2.1), and some models none. Those that go upstream are cut off there; the others
are looked for in the text of the answer, which ends at the first that is complete.
"""

from collections.abc import Sequence

from messages_api.services.model_facts import ModelFacts
from messages_api.services.translation.tables import STOP_SEQUENCES


def sent(stop_sequences: Sequence[str] | None, facts: ModelFacts) -> list[str]:
    """Those that the upstream is asked to stop at."""
    return list(stop_sequences or ())[:STOP_SEQUENCES] if facts.supports("stop") else []


def watched(stop_sequences: Sequence[str] | None, facts: ModelFacts) -> list[str]:
    """Those that are looked for in the answer's text."""
    return list(stop_sequences or ())[len(sent(stop_sequences, facts)) :]


class StopWatch:
    """Looks for stop sequences in text that comes in pieces, and keeps back only what may be the beginning of one."""

    def __init__(self, sequences: Sequence[str]) -> None:
        self.found: str | None = None
        self._sequences = [sequence for sequence in sequences if sequence]
        self._longest = max(map(len, self._sequences), default=0)
        self._by_first: dict[str, list[str]] = {}
        for sequence in self._sequences:
            self._by_first.setdefault(sequence[0], []).append(sequence)
        self._kept = ""

    def let_pass(self, text: str) -> str:
        """The text that cannot belong to a stop sequence; up to the first one, which is then `found`."""
        seen = self._kept + text
        ends = [(at + len(stop), at, stop) for stop in self._sequences if (at := seen.find(stop)) >= 0]
        if ends:  # the one that is complete first, wherever the text was cut; of two, the longer
            _, at, self.found = min(ends)
            self._kept = ""
            return seen[:at]
        size = len(seen) - self._beginning(seen)
        self._kept = seen[size:]
        return seen[:size]

    def rest(self) -> str:
        """What was kept back, now that no more text follows it."""
        kept, self._kept = self._kept, ""
        return kept

    def _beginning(self, seen: str) -> int:
        """The length of the longest end of `seen` that begins a stop sequence."""
        for start in range(max(0, len(seen) - self._longest + 1), len(seen)):
            stops = self._by_first.get(seen[start])
            if stops is not None and any(stop.startswith(seen[start:]) for stop in stops):
                return len(seen) - start
        return 0

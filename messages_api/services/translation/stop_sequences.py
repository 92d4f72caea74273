"""Owns stop sequences: which go upstream, and which are watched here because no chat completion takes them.

A chat completion takes four (wire.md 2.1), and some models none. Those that go upstream are cut off there.
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

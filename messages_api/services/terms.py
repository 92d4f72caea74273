"""Owns the terms on which a request is answered: what its alias imposes, whichever way it goes out. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Terms:
    """What administrators impose on a request. Empty and None impose nothing."""

    system_addendum: str = ""
    provider: Mapping[str, Any] = field(default_factory=dict)  # OpenRouter's `provider` object (wire.md 2.1)
    pdf_engine: str = ""
    max_output: int | None = None
    max_effort: str = ""


NO_TERMS = Terms()

"""Owns the terms on which a request is answered: what its alias imposes, whichever way it goes out. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from messages_api.errors import Forbidden

#: Demands that OpenRouter keeps by its choice of providers (wire.md 2.1, `provider`).
DATA_POLICY: Final[Mapping[str, Any]] = {"zdr": True, "data_collection": "deny", "enforce_distillable_text": True}


@dataclass(frozen=True, slots=True)
class Terms:
    """What administrators impose on a request. Empty and None impose nothing."""

    system_addendum: str = ""
    provider: Mapping[str, Any] = field(default_factory=dict)  # OpenRouter's `provider` object (wire.md 2.1)
    pdf_engine: str = ""
    max_output: int | None = None
    max_effort: str = ""


NO_TERMS = Terms()


def refuse_data_policy(preferences: Mapping[str, Any], provider: str) -> None:
    """Raises Forbidden where an alias demands of a provider beside OpenRouter what nobody holds it to."""
    broken = [name for name, wanted in DATA_POLICY.items() if preferences.get(name) == wanted]
    if broken:
        raise Forbidden(
            f"The model's alias demands {', '.join(broken)}: OpenRouter keeps to that, and {provider} cannot be held "
            "to it. An administrator can take that target, or that demand, out of the alias."
        )

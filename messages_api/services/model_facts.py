"""Owns what is known about a model: its limits, what it takes, and its prices. Pure."""

from dataclasses import dataclass

from usage.pricing import Prices


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is known about a model, for translation and for prices. None and empty mean that it is not known."""

    id: str
    name: str = ""
    family: str = ""
    context_length: int | None = None
    max_output: int | None = None
    modalities: frozenset[str] = frozenset({"text", "image", "file"})
    parameters: frozenset[str] | None = None
    efforts: tuple[str, ...] = ()
    reasoning_is_mandatory: bool = False
    reasoning_takes_budget: bool = False
    prices: Prices | None = None

    def supports(self, parameter: str) -> bool:
        """Whether the model takes `parameter`; a model nobody has described is taken to."""
        return self.parameters is None or parameter in self.parameters

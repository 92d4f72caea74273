"""Owns the figures: from runs to paired ratios, and to the table that is printed."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.load import Run
from benchmarks.workloads import Workload

HARNESS_RANGE = (0.97, 1.03)
#: A short run is for finding regressions; its noise is larger.
QUICK_HARNESS_RANGE = (0.93, 1.07)
LEAST_PAIRS = 10
REGRESSION = 1.3
HEADINGS = ("", "server", "CPU ms/request", "µs/chunk", "ratio", "upper quartile", "p50 ms", "p99 ms", "MB")


@dataclass(frozen=True, slots=True)
class Comparison:
    """One workload: pairs of runs, each of the server and of the bound on the same requests."""

    workload: Workload
    name: str
    pairs: list[tuple[Run, Run]]

    @property
    def ratios(self) -> list[float]:
        return [server.cpu / server.requests / (bound.cpu / bound.requests) for server, bound in self.pairs]

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)

    @property
    def upper_quartile(self) -> float:
        """What a target is judged by."""
        return upper_quartile(self.ratios)

    @property
    def servers(self) -> list[Run]:
        return [server for server, _ in self.pairs]

    @property
    def bounds(self) -> list[Run]:
        return [bound for _, bound in self.pairs]

    @property
    def complaints(self) -> list[str]:
        return [complaint for pair in self.pairs for run in pair for complaint in run.complaints]


def upper_quartile(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=4, method="inclusive")[2] if len(values) > 1 else values[0]


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie; 0 for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def ms_per_request(runs: Sequence[Run]) -> float:
    return statistics.median(run.cpu / run.requests for run in runs) * 1e3


def harness_is_sound(checks: Sequence[Comparison], allowed: tuple[float, float]) -> bool:
    """Whether the bound against itself came out as equal on every workload."""
    return all(allowed[0] <= check.ratio <= allowed[1] for check in checks)


def regressions(baseline: dict[str, Any], found: Sequence[Comparison]) -> list[str]:
    """A line for each workload whose ratio is much higher than in the figures of an earlier run."""
    before = {each["workload"]: each["ratio"] for each in baseline["comparisons"]}
    return [
        f"{now.workload.name}: {now.ratio:.3f} times the bound, and it was {before[now.workload.name]:.3f}"
        for now in found
        if now.ratio > REGRESSION * before.get(now.workload.name, float("inf"))
    ]


# --- the table -------------------------------------------------------------------------------------------------------


def table(comparisons: Sequence[Comparison]) -> str:
    whole = {comparison.workload.name: comparison for comparison in comparisons}
    rows: list[tuple[str, ...]] = [HEADINGS]
    for comparison in comparisons:
        plain = whole.get(comparison.workload.without_stream)
        rows.append(_row(comparison, lambda each: each.servers, comparison.name, plain, is_judged=True))
        rows.append(_row(comparison, lambda each: each.bounds, "bound", plain, is_judged=False))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.rjust, row, widths)) for row in rows)


def _row(
    comparison: Comparison,
    runs_of: Callable[[Comparison], list[Run]],
    name: str,
    plain: Comparison | None,
    *,
    is_judged: bool,
) -> tuple[str, ...]:
    runs = runs_of(comparison)
    chunk = us_per_chunk(comparison.workload, runs, runs_of(plain)) if plain else None
    latencies = [latency for run in runs for latency in run.latencies]
    return (
        comparison.workload.name,
        name,
        f"{ms_per_request(runs):.3f}",
        "" if chunk is None else f"{chunk:.1f}",
        f"{comparison.ratio:.3f}" if is_judged else "",
        f"{comparison.upper_quartile:.3f}" if is_judged else "",
        f"{quantile(latencies, 0.5) * 1e3:.1f}",
        f"{quantile(latencies, 0.99) * 1e3:.1f}",
        f"{max(run.resident_mb for run in runs):.0f}",
    )


def us_per_chunk(workload: Workload, streamed: Sequence[Run], plain: Sequence[Run]) -> float | None:
    """What a chunk costs: the streamed request beyond the same one without a stream."""
    if not workload.is_streamed:
        return None
    return (ms_per_request(streamed) - ms_per_request(plain)) / workload.chunks * 1e3


def as_json(comparison: Comparison) -> dict[str, object]:
    return {
        "workload": comparison.workload.name,
        "title": comparison.workload.title,
        "server": comparison.name,
        "ratio": comparison.ratio,
        "upper_quartile": comparison.upper_quartile,
        "ratios": comparison.ratios,
        comparison.name: _figures(comparison.servers),
        "bound": _figures(comparison.bounds),
    }


def _figures(runs: Sequence[Run]) -> dict[str, object]:
    spread = {name: [v for run in runs for v in getattr(run, name)] for name in ("latencies", "first_bytes", "gaps")}
    return {
        "requests": sum(run.requests for run in runs),
        "wrong": sum(run.wrong for run in runs),
        "ms_per_request": ms_per_request(runs),
        "server_busy": statistics.median(run.cpu / run.wall for run in runs),
        "generator_busy": statistics.median(run.own_cpu / run.wall for run in runs),
        "resident_mb": max(run.resident_mb for run in runs),
    } | {f"{name}_ms": {p: quantile(v, float(p)) * 1e3 for p in ("0.5", "0.99")} for name, v in spread.items()}

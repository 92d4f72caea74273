"""Owns the command: `python -m benchmarks` checks the harness, compares our server with the bound, and says how."""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import msgspec
import orjson

from benchmarks import servers
from benchmarks.load import Job, Run, Target
from benchmarks.meter import cpu_seconds
from benchmarks.report import (
    HARNESS_RANGE,
    LEAST_PAIRS,
    QUICK_HARNESS_RANGE,
    Comparison,
    as_json,
    harness_is_sound,
    regressions,
    table,
)
from benchmarks.servers import Server
from benchmarks.workloads import TOOL_SETS, WORKLOADS, Workload

RESULTS = servers.ROOT / "var" / "bench"
QUICK_FACTOR = 0.1
QUICK_PAIRS = 3
QUICK_HARNESS = ("W1",)
IDLE_SECONDS = 2.0
LIBRARIES = ("aiohttp", "Django", "msgspec", "orjson", "uvicorn", "uvloop")
_decode_runs = msgspec.json.Decoder(list[Run]).decode


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    workloads: list[Workload]
    checked: list[Workload]
    pairs: int
    check_pairs: int
    harness_range: tuple[float, float]
    settle_seconds: float
    database: str


class WrongAnswer(Exception):
    """A server answered something else than the upstream had sent: its figures mean nothing."""


# --- measuring -------------------------------------------------------------------------------------------------------


def compare(plan: Plan, workload: Workload, pairs: int, server: Server, bound: Server) -> Comparison:
    """Pairs of runs, the servers' turns interleaved. The first, in which both warm up, does not count."""
    runs = [_pair(plan, workload, (server, bound), seed) for seed in range(pairs + 1)]
    comparison = Comparison(workload, server.name, runs[1:])
    if comparison.complaints:
        raise WrongAnswer(f"{workload.name}: {'; '.join(comparison.complaints[:3])}")
    return comparison


def _pair(plan: Plan, workload: Workload, pair: tuple[Server, Server], seed: int) -> tuple[Run, Run]:
    targets = [Target(server.url, server.pid, server.api_key) for server in pair]
    job = Job(targets, workload.name, workload.requests, _warm_up(workload, seed), seed, plan.settle_seconds)
    runs = _decode_runs(_generated(msgspec.json.encode(job)))
    return runs[0], runs[1]


def _warm_up(workload: Workload, seed: int) -> int:
    """Requests before the first that counts: every set of tools, every connection; slow streams only once."""
    return 0 if workload.pause and seed else max(2 * TOOL_SETS, workload.connections)


def _generated(job: bytes) -> bytes:
    """What the load generator, a process of its own, found."""
    generator = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.load"], cwd=servers.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    servers.place(generator.pid, servers.OTHER_CORES)
    output, _ = generator.communicate(job)
    if generator.returncode:
        raise RuntimeError("the load generator failed; what it said stands above")
    return output


def check_harness(plan: Plan, folder: Path, upstream: str) -> list[Comparison]:
    """The bound against itself, in two fresh processes."""
    with servers.bound(folder, upstream, "bound again") as again, servers.bound(folder, upstream) as bound:
        return [_said(compare(plan, workload, plan.check_pairs, again, bound)) for workload in plan.checked]


def measure(plan: Plan, folder: Path, upstream: str) -> list[Comparison]:
    """Our server against the bound, both fresh; and the ledger against what was asked."""
    with servers.database(plan.database, folder) as (url, database_pid):
        with servers.ours(folder, upstream, url) as ours, servers.bound(folder, upstream) as bound:
            before = cpu_seconds(database_pid) if database_pid else 0.0
            print(f"ours, idle: {_idle_ms(ours):.1f} ms of CPU a second", flush=True)
            found = [_said(compare(plan, workload, plan.pairs, ours, bound)) for workload in plan.workloads]
            if database_pid:
                print(f"{plan.database}'s own CPU: {cpu_seconds(database_pid) - before:.1f} s", flush=True)
        _check_ledger(servers.recorded(url), plan)
    return found


def _said(comparison: Comparison) -> Comparison:
    """Say how it goes: a whole run takes minutes."""
    print(f"{comparison.workload.name}: {comparison.name}/bound {comparison.ratio:.3f}", flush=True)
    return comparison


def _idle_ms(server: Server) -> float:
    before = cpu_seconds(server.pid)
    time.sleep(IDLE_SECONDS)
    return (cpu_seconds(server.pid) - before) / IDLE_SECONDS * 1e3


def _check_ledger(recorded: dict[str, int], plan: Plan) -> None:
    """Every request that was answered has one settled record."""
    runs = [(workload, seed) for workload in plan.workloads for seed in range(plan.pairs + 1)]
    asked = sum(workload.requests + _warm_up(workload, seed) for workload, seed in runs)
    if recorded != {"completed": asked}:
        raise WrongAnswer(f"the ledger holds {recorded} for {asked} completed requests")


# --- the command -----------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    plan = _plan(options)
    began = time.monotonic()
    try:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bridge-bench-")))
            upstream = stack.enter_context(servers.upstream(folder))
            checks = check_harness(plan, folder, upstream)
            if not harness_is_sound(checks, plan.harness_range):
                print(f"{table(checks)}\nThe bound against itself must come out within {plan.harness_range}.")
                print("Nothing is measured: this machine is too noisy just now.")
                return 1
            found = measure(plan, folder, upstream)
    except WrongAnswer as error:
        print(f"A wrong answer. {error}")
        return 1
    print(f"\n{table(found)}\n\n{_written(plan, checks, found)}, {time.monotonic() - began:.0f} s")
    slower = regressions(orjson.loads(options.baseline.read_bytes()), found) if options.baseline else []
    print("\n".join(slower))
    return 1 if slower else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the requests, for CI: within a minute")
    parser.add_argument("--workload", action="append", choices=sorted(WORKLOADS), help="only this one; may be repeated")
    parser.add_argument("--pairs", type=int, help=f"pairs for each workload, {LEAST_PAIRS} if not said")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--baseline", type=Path, help="an earlier file of figures: fail where a ratio is 30 % higher")
    return parser.parse_args(arguments)


def _plan(options: argparse.Namespace) -> Plan:
    names = options.workload or list(WORKLOADS)
    factor = QUICK_FACTOR if options.quick else 1.0
    checked = [name for name in names if name in QUICK_HARNESS] or names[:1] if options.quick else names
    pairs = options.pairs or (QUICK_PAIRS if options.quick else LEAST_PAIRS)
    return Plan(
        workloads=[WORKLOADS[name].scaled(factor) for name in names],
        checked=[WORKLOADS[name].scaled(factor) for name in checked],
        pairs=pairs,
        check_pairs=max(pairs, LEAST_PAIRS),
        harness_range=QUICK_HARNESS_RANGE if options.quick else HARNESS_RANGE,
        settle_seconds=0.3 if options.quick else 0.6,
        database=options.database,
    )


def _written(plan: Plan, checks: list[Comparison], found: list[Comparison]) -> Path:
    """The file that keeps the figures, with what they were measured on."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    document = {
        "taken_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": {"processor": _processor(), "cores": os.cpu_count(), "system": platform.platform()},
        "versions": {"python": platform.python_version()} | {name: version(name) for name in LIBRARIES},
        "database": plan.database,
        "harness": [as_json(check) for check in checks],
        "comparisons": [as_json(comparison) for comparison in found],
    }
    path.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))
    return path.relative_to(servers.ROOT)


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


if __name__ == "__main__":
    sys.exit(main())

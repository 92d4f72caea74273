"""Owns the reading of what a process tree has cost: CPU to the nanosecond, and memory."""

import time
from pathlib import Path

TICKS_PER_SECOND = 100  # USER_HZ, the same on every Linux
PROC = Path("/proc")


def cpu_seconds(pid: int) -> float:
    """User and system CPU of `pid`, its children, and the children it has waited for.

    The kernel's own clock of each process, since /proc/<pid>/stat counts in steps of ten milliseconds.
    """
    return sum(_own(each) + _waited_for(each) for each in tree(pid))


def tree(pid: int) -> list[int]:
    """`pid` and its descendants."""
    parents = {int(entry.name): _parent(entry) for entry in PROC.iterdir() if entry.name.isdigit()}
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found


def resident_mb(pid: int) -> float:
    return sum(_resident_kb(each) for each in tree(pid)) / 1024


def _own(pid: int) -> float:
    try:
        return time.clock_gettime((~pid << 3) | 2)  # clock_getcpuclockid(3), which Python does not offer
    except OSError:
        return 0.0


def _waited_for(pid: int) -> float:
    fields = _stat(PROC / str(pid))
    return (int(fields[13]) + int(fields[14])) / TICKS_PER_SECOND if fields else 0.0


def _parent(entry: Path) -> int:
    fields = _stat(entry)
    return int(fields[1]) if fields else 0


def _stat(entry: Path) -> list[str]:
    """The fields of stat behind the name, which may hold anything; none when the process has ended."""
    try:
        return (entry / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _resident_kb(pid: int) -> int:
    try:
        lines = (PROC / str(pid) / "status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), 0)

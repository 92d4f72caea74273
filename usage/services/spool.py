"""Owns the file through which records reach the database: one `write()` per record, before anything waits.

Each server process appends to a file of its own, which it holds locked while it lives. A line survives SIGKILL from
the moment it is written; a group fsync bounds what a power cut can take. A file whose lock is free belongs to a
dead process: whoever finds it ingests it. A line is a JSON object; one that was cut short does not count.
"""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import orjson

Line = dict[str, Any]
SUFFIX = ".jsonl"
COMPACT_BYTES = 16 * 1024 * 1024


class Spool:
    """One process's file: append at one end, read back in batches at the other.

    `append` and `ingested_to` belong to one thread (the event loop's); `read` and `sync` may run in another.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._written = os.fstat(descriptor).st_size
        self._ingested = 0
        self._synced = self._written

    @classmethod
    def create(cls, folder: Path, server: str) -> Self:
        """The spool of the server process called `server`: its name tells whose records end with it."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{server}{SUFFIX}"
        return cls(path, _locked_file(path, b""))

    @classmethod
    def adopt(cls, path: Path) -> Self | None:
        """The spool of a dead process, now ours; None while its process lives or when another was quicker."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return None
        except BlockingIOError:
            os.close(descriptor)
            return None
        if _replaced(path, descriptor):
            os.close(descriptor)
            return None
        return cls(path, descriptor)

    @property
    def server(self) -> str:
        return self.path.stem

    @property
    def backlog(self) -> int:
        """Bytes written and not yet ingested."""
        return self._written - self._ingested

    def append(self, line: Line) -> None:
        """Write one line. Raises OSError: then the line does not count, and no half of it stays."""
        data = orjson.dumps(line) + b"\n"
        written = os.write(self._descriptor, data)
        if written != len(data):
            os.ftruncate(self._descriptor, self._written)
            raise OSError(f"the disk took {written} of {len(data)} bytes")
        self._written += written

    def sync(self) -> None:
        """Force what has been written to the disk."""
        written = self._written
        if self._synced != written:
            os.fdatasync(self._descriptor)
            self._synced = written

    def read(self, limit: int) -> tuple[list[Line], int]:
        """Whole lines not yet ingested, up to about `limit` bytes, and the position behind them."""
        data = os.pread(self._descriptor, min(limit, self.backlog), self._ingested)
        end = data.rfind(b"\n") + 1
        if end == 0 and limit < self.backlog:
            return self.read(2 * limit)  # one line that is longer than the limit
        return list(_lines(data[:end])), self._ingested + end

    def ingested_to(self, position: int) -> None:
        """Say that everything before `position` is in the database, and give its space back."""
        self._ingested = position
        if self._ingested == self._written > 0:
            os.ftruncate(self._descriptor, 0)
            self._written = self._ingested = self._synced = 0
        elif self._ingested > COMPACT_BYTES:
            self._compact()

    def drop_cut_line(self) -> None:
        """Give up what is left behind the last newline: its process died while writing it."""
        self.ingested_to(self._written)

    def _compact(self) -> None:
        """Put the few lines not yet ingested into a fresh file, in the old one's place."""
        rest = os.pread(self._descriptor, self.backlog, self._ingested)
        descriptor = _locked_file(self.path, rest)
        os.close(self._descriptor)
        self._descriptor = descriptor
        self._written, self._ingested, self._synced = len(rest), 0, 0

    def close(self) -> None:
        """Let go of the file; remove it if everything in it has been ingested."""
        if self.backlog == 0:
            self.path.unlink(missing_ok=True)
        os.close(self._descriptor)


def orphans(folder: Path) -> Iterator[Spool]:
    """The spools of dead processes, each locked for the caller, who closes it."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        spool = Spool.adopt(path)
        if spool is not None:
            yield spool


def _locked_file(path: Path, content: bytes) -> int:
    """A file that nobody sees under its name before it is locked, or before its content is whole."""
    hidden = path.with_suffix(".new")
    hidden.unlink(missing_ok=True)  # left by a process that died right here; the name is ours alone
    descriptor = os.open(hidden, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.write(descriptor, content) != len(content):
            raise OSError("the disk is full")
        hidden.replace(path)
    except OSError:
        os.close(descriptor)
        hidden.unlink(missing_ok=True)
        raise
    return descriptor


def _replaced(path: Path, descriptor: int) -> bool:
    """Whether `path` no longer names the file that was opened: its owner compacted or removed it meanwhile."""
    try:
        return not os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return True


def _lines(data: bytes) -> Iterator[Line]:
    for text in data.splitlines():
        try:
            yield orjson.loads(text)
        except orjson.JSONDecodeError:
            continue  # cut short by a process that died while writing

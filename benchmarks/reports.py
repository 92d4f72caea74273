"""Owns the command `python -m benchmarks.reports`: are reports quick over as many records as a busy year has?

It starts a PostgreSQL of its own, loads the records with COPY, makes the rollups, and asks for the pages and statements
that people ask for. It fails where one of them takes longer than it may.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks import servers

FEW = 200_000


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.reports", description=__doc__)
    parser.add_argument("--rows", type=int, default=FEW, help=f"how many records a year has; {FEW:,} by default")
    rows: int = parser.parse_args(arguments).rows
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bridge-reports-"))
        url, _ = stack.enter_context(servers.database("postgresql", Path(folder)))
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "testing.settings",
            "DATABASE_URL": url,
            "VAR_DIR": folder,
            "SPOOL_DIR": f"{folder}/spool",
        }
        import django

        django.setup()
        from benchmarks.year_of_usage import measure  # it needs the database's address

        return measure(rows)


if __name__ == "__main__":
    sys.exit(main())

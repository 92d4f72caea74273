"""The command line: python -m tests.mutants [PITFALL ...]. Fails when a bug goes unnoticed."""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from tests.mutants.bugs import BUGS, Bug

ROOT = Path(__file__).resolve().parents[2]
WORKERS = 2
SECONDS = 60  # for one test, however busy the machine; none of them takes four
#: Made by tools, large, or of no use to a test; the tools themselves are linked to.
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".node", "var", ".*_cache", ".hypothesis", "__pycache__")
LINKED = (".venv", ".node")


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.mutants", description=__doc__)
    parser.add_argument("pitfall", nargs="*", type=int, help="only these; all by default")
    wanted = parser.parse_args().pitfall
    bugs = [bug for bug in BUGS if not wanted or bug.pitfall in wanted]
    unnoticed = [bug for bug, is_noticed in _judged(bugs) if not is_noticed]
    print(f"{len(bugs) - len(unnoticed)} of {len(bugs)} bugs were noticed")
    return 1 if unnoticed or not bugs else 0


def _judged(bugs: list[Bug]) -> list[tuple[Bug, bool]]:
    """Each bug, and whether its test saw it; the tests must pass without any bug first."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        trees: SimpleQueue[Path] = SimpleQueue()
        for number in range(WORKERS):
            trees.put(_copy_of_the_tree(Path(folder) / str(number)))
        tests = sorted({bug.test for bug in bugs})
        whole = trees.get()
        if not _passes(whole, tests):
            sys.exit("The tests do not pass as they are.")
        trees.put(whole)

        def judged(bug: Bug) -> tuple[Bug, bool]:
            tree, began = trees.get(), time.monotonic()
            try:
                is_noticed = _is_noticed(tree, bug)
            finally:
                trees.put(tree)
            verdict, seconds = "noticed" if is_noticed else "UNNOTICED", time.monotonic() - began
            print(f"{verdict:9} {bug.pitfall:2} {seconds:4.0f} s {bug.file}: {bug.test}", flush=True)
            return bug, is_noticed

        with ThreadPoolExecutor(WORKERS) as workers:
            return list(workers.map(judged, bugs))


def _copy_of_the_tree(folder: Path) -> Path:
    shutil.copytree(ROOT, folder, ignore=LEFT_OUT)
    for name in LINKED:
        (folder / name).symlink_to(ROOT / name)
    return folder


def _is_noticed(tree: Path, bug: Bug) -> bool:
    file = tree / bug.file
    healthy = file.read_text()
    if healthy.count(bug.healthy) != 1:
        sys.exit(f"{bug.file} does not hold this exactly once: {bug.healthy!r}")
    file.write_text(healthy.replace(bug.healthy, bug.sick))
    try:
        return not _passes(tree, [bug.test])
    except subprocess.TimeoutExpired:
        return False  # nothing was seen; a test that hangs is to end itself, as all do after `--timeout`
    finally:
        file.write_text(healthy)


def _passes(tree: Path, tests: list[str]) -> bool:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", f"--timeout={SECONDS}", *tests]
    done = subprocess.run(  # our own interpreter
        command, cwd=tree, capture_output=True, timeout=3 * SECONDS * len(tests), check=False
    )
    if done.returncode not in {0, 1}:  # not "passed" or "failed": the test was not found, or could not be read
        sys.exit(f"{tests} could not be run:\n{done.stdout.decode()[-2000:]}")
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())

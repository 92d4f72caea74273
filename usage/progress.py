"""Owns how commands show that long work goes on: a bar on a terminal, else a plain line now and then."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from django.core.management.base import OutputWrapper
from tqdm import tqdm

T = TypeVar("T")
LINE_SECONDS = 5.0
BAR_AFTER_SECONDS = 0.5


def shown(items: Iterable[T], total: int, what: str, stream: OutputWrapper) -> Iterator[T]:
    """Each of `items`, while `stream` says how many of `total` are done. What is quick says nothing."""
    if stream.isatty():
        yield from tqdm(items, total=total, desc=what, file=sys.stderr, delay=BAR_AFTER_SECONDS)
        return
    said = time.monotonic()
    for number, item in enumerate(items, 1):
        yield item
        if time.monotonic() - said >= LINE_SECONDS and number < total:
            said = time.monotonic()
            stream.write(f"{what}: {number:,} of {total:,}")
            stream.flush()

"""Owns the one door from the API lane to the ORM.

The lane runs without Django's per-request signals, so nobody else would close a connection that the database server
has killed: `query` does, before and after each call, in a small pool of threads of its own.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from django.db import close_old_connections

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 4
_pool = ThreadPoolExecutor(THREADS, thread_name_prefix="orm")
_beside = ThreadPoolExecutor(2, thread_name_prefix="orm-beside")


async def query(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `function`, which uses the ORM, off the event loop."""
    return await _run(_pool, partial(function, *args, **kwargs))


async def background(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The same for work that no request waits for, in threads of its own: neither can hold up the other."""
    return await _run(_beside, partial(function, *args, **kwargs))


async def _run(pool: ThreadPoolExecutor, function: Callable[[], T]) -> T:
    def call() -> T:
        close_old_connections()
        try:
            return function()
        finally:
            close_old_connections()

    return await asyncio.get_running_loop().run_in_executor(pool, call)

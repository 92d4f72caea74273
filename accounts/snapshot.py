"""Owns what a process remembers of the configuration: read once, and again only after a change."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from accounts import configuration
from accounts.database import query

T = TypeVar("T")


class Snapshot(Generic[T]):
    """What `load` reads, as it stood at one moment; read once for all who wait for it."""

    def __init__(self, load: Callable[[], T]) -> None:
        self._load = load
        self.known: T | None = None
        self._loading: asyncio.Task[T] | None = None
        #: What was known last, which may be stale: for when the database does not answer.
        self.last: T | None = None
        configuration.on_change(self.forget)

    def forget(self) -> None:
        self.known = None

    async def current(self) -> T:
        if self.known is not None:
            return self.known
        loading = self._loading
        if loading is None or loading.done() or loading.get_loop() is not asyncio.get_running_loop():
            loading = self._loading = asyncio.create_task(self._read())
        return await asyncio.shield(loading)

    async def _read(self) -> T:
        version = configuration.seen_changes()
        read = self.last = await query(self._load)
        if configuration.seen_changes() == version:  # else what was just read may be stale already
            self.known = read
        return read

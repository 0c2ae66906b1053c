"""Bounded work: rate limits per conversation or address, admission of messages and turns, the event loop's lag."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from prometheus_client import Gauge

REMEMBERED = 20_000
LAG_EVERY_SECONDS = 0.25


class RateLimit:
    """A token bucket a key, `per_minute` a minute, kept for the last REMEMBERED keys."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allows(self, key: str) -> bool:
        now = time.monotonic()
        left, since = self._buckets.pop(key, (float(self._per_minute), now))
        left = min(self._per_minute, left + (now - since) * self._per_minute / 60)
        allowed = left >= 1
        self._buckets[key] = (left - allowed, now)
        if len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
        return allowed


async def measure_loop_lag(gauge: Gauge) -> None:
    """Measure for ever how late the event loop wakes up, in seconds."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LAG_EVERY_SECONDS
        await asyncio.sleep(LAG_EVERY_SECONDS)
        gauge.set(max(0.0, loop.time() - due))


class Busy(Exception):
    """There is no place within the patience."""


class Calm:
    """Whether few messages wait to be assessed. Other work waits for it: what a message says of danger goes first."""

    def __init__(self, at_most: int) -> None:
        self._at_most, self._assessing = at_most, 0
        self._is_calm = asyncio.Event()
        self._is_calm.set()

    @property
    def idle(self) -> bool:
        """Whether no message is being assessed."""
        return not self._assessing

    @contextmanager
    def assessing(self) -> Iterator[None]:
        """Count one message that is being assessed, or waits for it."""
        self._assessing += 1
        if self._assessing > self._at_most:
            self._is_calm.clear()
        try:
            yield
        finally:
            self._assessing -= 1
            if self._assessing <= self._at_most:
                self._is_calm.set()

    async def wait(self) -> None:
        await self._is_calm.wait()


class Admission:
    """Lets `at_once` pieces of work through while it is calm; `waiting` more queue in order of arrival, and no more.

    Turns are fair between conversations because a conversation takes one turn at a time.
    """

    def __init__(self, at_once: int, waiting: int, patience_seconds: float, calm: Calm) -> None:
        self._slots = asyncio.Semaphore(at_once)
        self._limit, self._patience_seconds, self._calm = waiting, patience_seconds, calm
        self.waiting = 0

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a place; raises Busy at once when the queue is full, or after the patience is used up."""
        if self.waiting >= self._limit:
            raise Busy
        self.waiting += 1
        try:
            async with asyncio.timeout(self._patience_seconds):
                await self._slots.acquire()
        except TimeoutError:
            raise Busy from None
        finally:
            self.waiting -= 1
        try:
            try:
                async with asyncio.timeout(self._patience_seconds):
                    await self._calm.wait()
            except TimeoutError:
                raise Busy from None
            yield
        finally:
            self._slots.release()

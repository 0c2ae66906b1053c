"""Bounded work: rate limits per conversation or address, admission of messages and turns, the event loop's lag."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

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


class Admission:
    """Lets `at_once` pieces of work through, `waiting` more queue in order of arrival, and no more.

    Turns are fair between conversations because a conversation takes one turn at a time.
    """

    def __init__(self, at_once: int, waiting: int, patience_seconds: float) -> None:
        self._slots = asyncio.Semaphore(at_once)
        self._limit, self._patience_seconds = waiting, patience_seconds
        self.waiting = 0

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a place; raises Busy at once when the queue is full, or after the patience is used up."""
        if self.waiting >= self._limit:
            raise Busy
        self.waiting += 1
        try:
            await asyncio.wait_for(self._slots.acquire(), self._patience_seconds)
        except TimeoutError:
            raise Busy from None
        finally:
            self.waiting -= 1
        try:
            yield
        finally:
            self._slots.release()

"""Bounded work: rate limits per conversation or address, a lagging event loop, admission of turns to Rasa."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import Gauge

REMEMBERED = 20_000


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


class LoopLag:
    """How late the event loop runs: the sign that more arrives than this process can take in."""

    EVERY_SECONDS = 0.05

    def __init__(self, limit_seconds: float, gauge: Gauge) -> None:
        self._limit_seconds, self._gauge = limit_seconds, gauge
        self._due, self._before, self._last = float("inf"), 0.0, 0.0

    @property
    def seconds(self) -> float:
        """The smaller of the last two measurements: one long text is no overload. One that is overdue counts."""
        overdue = time.monotonic() - self._due
        return min(self._last, overdue) if overdue > self._last else min(self._before, self._last)

    def is_over(self) -> bool:
        return self.seconds > self._limit_seconds

    async def measure(self) -> None:
        """Measure for ever, into the gauge as well."""
        while True:
            self._due = time.monotonic() + self.EVERY_SECONDS
            await asyncio.sleep(self.EVERY_SECONDS)
            self._before, self._last = self._last, max(0.0, time.monotonic() - self._due)
            self._gauge.set(self.seconds)


class Busy(Exception):
    """No turn can be taken within its deadline."""


class Admission:
    """Lets `at_once` turns reach Rasa, `waiting` more queue in order of arrival, and no more.

    Fair between conversations because a conversation takes one turn at a time.
    """

    def __init__(self, at_once: int, waiting: int, patience_seconds: float) -> None:
        self._slots = asyncio.Semaphore(at_once)
        self._limit, self._patience_seconds = waiting, patience_seconds
        self.waiting = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Hold a slot; raises Busy at once when the queue is full, or after the patience is used up."""
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

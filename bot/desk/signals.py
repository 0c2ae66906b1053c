"""Hints to open event streams. Signals are never data: readers catch up from the record by sequence."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Listener:
    """One open stream's ear. `extras` holds messages that could not be recorded, and typing hints.

    `behind`: the record may hold messages the stream has not shown.
    """

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.behind = True
        self.extras: list[tuple[str, dict[str, Any]]] = []


class Signals:
    def __init__(self) -> None:
        self._listeners: dict[str, set[Listener]] = defaultdict(set)

    @contextmanager
    def listen(self, conversation: str) -> Iterator[Listener]:
        listener = Listener()
        self._listeners[conversation].add(listener)
        try:
            yield listener
        finally:
            self._listeners[conversation].discard(listener)
            if not self._listeners[conversation]:
                del self._listeners[conversation]

    def notify(self, conversation: str) -> None:
        """Say that the record holds something new."""
        for listener in self._listeners.get(conversation, ()):
            listener.behind = True
            listener.event.set()

    def tell(self, conversation: str, kind: str, data: dict[str, Any]) -> None:
        """Hand `data` to the open streams as it is: a typing hint, or a reply the record could not take."""
        for listener in self._listeners.get(conversation, ()):
            listener.extras.append((kind, data))
            listener.event.set()

    @staticmethod
    async def wait(listener: Listener, seconds: float) -> None:
        """Wait until `listener` is told something; after `seconds` without a word it may have missed one."""
        try:
            await asyncio.wait_for(listener.event.wait(), seconds)
        except TimeoutError:
            listener.behind = True

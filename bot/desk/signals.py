"""Hints to open event streams: readers catch up from the record, by sequence.

What this process has just recorded it hands to its own streams with the hint, which saves them the reading. With a
relay the other replicas hear the hints too, and with a sound one a reader need not look at the record so often.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from bot.store.values import StoredMessage

EVERY = "*"  # listened to by who wants to know of every conversation: the counselors' queue
NEW = "new"
MOST_NEWS = 20  # messages handed to a stream that has not taken them: one so slow reads the record instead


def counselors_of(conversation: str) -> str:
    """Return the key for hints that the counselors reading a conversation get, and the person does not."""
    return f"counselors:{conversation}"


class Relay(Protocol):
    """What signals need to reach other replicas: text goes out, and is heard there or lost."""

    is_up: bool

    def send(self, text: str) -> None: ...


class Listener:
    """One open stream's ear. `extras` holds messages that could not be recorded, and hints such as typing.

    `behind`: the record may hold messages the stream has not shown; `news`: recorded messages, perhaps shown already.
    """

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.behind = True
        self.news: list[StoredMessage] = []
        self.extras: list[tuple[str, dict[str, Any]]] = []


class Signals:
    def __init__(self, relay: Relay | None = None) -> None:
        self._listeners: dict[str, set[Listener]] = defaultdict(set)
        self._relay = relay
        self._hearers: dict[str, Callable[[str, dict[str, Any]], None]] = {}

    @property
    def reaches_replicas(self) -> bool:
        return self._relay is not None and self._relay.is_up

    @contextmanager
    def listen(self, *keys: str) -> Iterator[Listener]:
        """Listen to conversations, by id, or to EVERY one."""
        listener = Listener()
        for key in keys:
            self._listeners[key].add(listener)
        try:
            yield listener
        finally:
            for key in keys:
                self._listeners[key].discard(listener)
                if not self._listeners[key]:
                    del self._listeners[key]

    def notify(self, conversation: str, messages: Sequence[StoredMessage] = ()) -> None:
        """Say that the record holds something new: these messages and nothing else, where they are given."""
        self._notify_here(conversation, messages)
        self._pass_on(conversation, NEW, {})

    def _notify_here(self, conversation: str, messages: Sequence[StoredMessage] = ()) -> None:
        for listener in self._listeners.get(conversation, ()):
            listener.news += messages
            if not messages or len(listener.news) > MOST_NEWS:
                listener.behind, listener.news = True, []
            listener.event.set()
        for listener in self._listeners.get(EVERY, ()):
            listener.behind = True
            listener.event.set()

    def tell(self, key: str, kind: str, data: dict[str, Any]) -> None:
        """Hand `data` to this process's open streams as it is: a hint, or a reply the record could not take."""
        for listener in self._listeners.get(key, ()):
            listener.extras.append((kind, data))
            listener.event.set()

    def hint(self, key: str, kind: str, data: dict[str, Any] | None = None) -> None:
        """Hand a passing hint, such as typing, to the open streams of every replica; `data` holds no words."""
        self._hand_over(key, kind, data or {})
        self._pass_on(key, kind, data or {})

    def on(self, kind: str, hearer: Callable[[str, dict[str, Any]], None]) -> None:
        """Give hints of a kind to `hearer(key, data)` instead of to the streams, and wake those of EVERY."""
        self._hearers[kind] = hearer

    def _hand_over(self, key: str, kind: str, data: dict[str, Any]) -> None:
        if kind not in self._hearers:
            return self.tell(key, kind, data)
        self._hearers[kind](key, data)
        for listener in self._listeners.get(EVERY, ()):
            listener.event.set()

    def _pass_on(self, key: str, kind: str, data: dict[str, Any]) -> None:
        if self._relay is not None:
            self._relay.send(json.dumps([key, kind, data]))

    def hear(self, text: str | None) -> None:
        """Take what another replica passed on; None: some of it may have been missed, so that everyone looks again."""
        if text is None:
            for listener in {each for listeners in self._listeners.values() for each in listeners}:
                listener.behind = True
                listener.event.set()
            return
        key, kind, data = json.loads(text)
        if kind == NEW:
            self._notify_here(key)
        else:
            self._hand_over(key, kind, data)

    @staticmethod
    async def wait(listener: Listener, seconds: float) -> bool:
        """Wait until `listener` is told something; False after `seconds` without a word: it may have missed one."""
        try:
            await asyncio.wait_for(listener.event.wait(), seconds)
        except TimeoutError:
            listener.behind = True
            return False
        return True

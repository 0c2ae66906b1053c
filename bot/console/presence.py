"""Who is looking at which conversation: their open pages here, and what other replicas say of theirs."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bot.desk.signals import Signals

LOOKING = "looking"
SAID_EVERY_SECONDS = 5.0
FORGOTTEN_AFTER_SECONDS = 12.0  # a replica that died says nothing any more
Who = tuple[int, str]  # a counselor's number and display name


class Presence:
    """Passing hints: nothing of it is kept."""

    def __init__(self, signals: Signals) -> None:
        self._looking: dict[str, Counter[Who]] = defaultdict(Counter)
        self._elsewhere: dict[str, dict[Who, float]] = defaultdict(dict)  # until when it holds
        self._said_at: dict[tuple[str, Who], float] = {}
        self._signals = signals
        signals.on(LOOKING, self._hear)

    @contextmanager
    def look(self, conversation: str, counselor: int, display_name: str) -> Iterator[None]:
        """Count one open page of a counselor for as long as it is open."""
        who = (counselor, display_name)
        self._looking[conversation][who] += 1
        self._say(conversation, who, is_here=True)
        try:
            yield
        finally:
            self._looking[conversation][who] -= 1
            if self._looking[conversation][who] == 0:
                self._said_at.pop((conversation, who), None)
                self._say(conversation, who, is_here=False)
            if not +self._looking[conversation]:
                del self._looking[conversation]

    def go_on_looking(self, conversation: str, counselor: int, display_name: str) -> None:
        """Say to the other replicas, every few seconds, that a page is still open."""
        who = (counselor, display_name)
        if time.monotonic() - self._said_at.get((conversation, who), 0.0) >= SAID_EVERY_SECONDS:
            self._say(conversation, who, is_here=True)

    def at(self, conversation: str, but: int | None = None) -> list[str]:
        """Return the display names of who is looking, without the counselor `but`."""
        here = {who for who, open_pages in self._looking.get(conversation, Counter()).items() if open_pages > 0}
        now = time.monotonic()
        here |= {who for who, until in self._elsewhere.get(conversation, {}).items() if until > now}
        return sorted({name for counselor, name in here if counselor != but})

    def _say(self, conversation: str, who: Who, *, is_here: bool) -> None:
        if is_here:
            self._said_at[conversation, who] = time.monotonic()
        self._signals.hint(conversation, LOOKING, {"who": who, "is_here": is_here})

    def _hear(self, conversation: str, data: dict[str, Any]) -> None:
        """Note what a replica says; this one's own hints pass here too and change nothing."""
        counselor, name = data["who"]
        pages = self._elsewhere[conversation]
        if data["is_here"] and not self._looking.get(conversation, Counter())[counselor, name]:
            pages[counselor, name] = time.monotonic() + FORGOTTEN_AFTER_SECONDS
        else:
            pages.pop((counselor, name), None)
        if not pages:
            del self._elsewhere[conversation]

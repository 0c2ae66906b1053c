"""The clock, handed in wherever time decides, so that tests can move it."""

from __future__ import annotations

from datetime import UTC, datetime


class Clock:
    def now(self) -> datetime:
        """Return the time in UTC, aware."""
        return datetime.now(UTC)

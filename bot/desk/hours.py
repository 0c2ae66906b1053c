"""When counselors are on duty, as HANDRAIL_STAFFED_HOURS says it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bot.errors import SettingsError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ALWAYS = "24/7"
SPAN = re.compile(rf"({'|'.join(DAYS)})(?:-({'|'.join(DAYS)}))? (\d\d):(\d\d)-(\d\d):(\d\d)")


@dataclass(frozen=True)
class Hours:
    """Weekly spans in one time zone. No spans: nobody is there."""

    spans: tuple[tuple[int, time, time], ...]
    zone: ZoneInfo
    always: bool = False

    @classmethod
    def parse(cls, text: str, timezone: str) -> Hours:
        """Read `24/7`, or spans such as `mon-fri 09:00-17:00, sat 22:00-02:00`; SettingsError names the fault."""
        try:
            zone = ZoneInfo(timezone)
        except (ZoneInfoNotFoundError, ValueError):
            raise SettingsError("HANDRAIL_TIMEZONE is not a time zone; use a name such as America/New_York") from None
        if text.strip() == ALWAYS:
            return cls((), zone, always=True)
        spans: list[tuple[int, time, time]] = []
        for part in filter(None, (part.strip().lower() for part in text.split(","))):
            found = SPAN.fullmatch(part)
            try:
                if found is None:
                    raise ValueError
                first, last = DAYS.index(found[1]), DAYS.index(found[2] or found[1])
                start, end = time(int(found[3]), int(found[4])), time(int(found[5]), int(found[6]))
            except ValueError:
                raise SettingsError(
                    "HANDRAIL_STAFFED_HOURS cannot be read; write 24/7, or spans such as mon-fri 09:00-17:00"
                ) from None
            spans += [((first + n) % 7, start, end) for n in range((last - first) % 7 + 1)]
        return cls(tuple(spans), zone)

    @property
    def known(self) -> bool:
        return self.always or bool(self.spans)

    def open_at(self, now: datetime) -> bool:
        """Whether somebody is on duty. An end before its start is next day's."""
        if self.always:
            return True
        here = now.astimezone(self.zone)
        for day, start, end in self.spans:
            if start < end:
                if here.weekday() == day and start <= here.time() < end:
                    return True
            elif (here.weekday() == day and here.time() >= start) or (
                (here - timedelta(days=1)).weekday() == day and here.time() < end
            ):
                return True
        return False

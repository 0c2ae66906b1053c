"""The disclosure clock: when somebody is told again that this is a program and not a person.

It is said at the start and on question everywhere; what the clock adds follows the jurisdiction (all read 2026-11-23):
New York, Gen. Bus. Law 1702: at the beginning of an interaction, at most once a day, and every three hours of one that
goes on. Utah Code 13-72a-203: after seven days without use. California, Bus. & Prof. Code 22602(c): every three hours
for known minors; nobody's age is known here, so for everybody.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.store.values import Context

ITEMS = ("system/disclosure", "system/sms-first", "system/disclosure-again", "conversation/bot-challenge")
WHOLE, AGAIN = "disclosure", "disclosure_again"
WHOLE_BY_SMS = "sms_first"


@dataclass(frozen=True)
class Rules:
    """None and False: the jurisdiction does not ask for it."""

    every: timedelta | None = None
    each_day: bool = False
    after_idle: timedelta | None = None


THREE_HOURS, SEVEN_DAYS, DAY = timedelta(hours=3), timedelta(days=7), timedelta(days=1)
RULES = {
    "strictest": Rules(THREE_HOURS, True, SEVEN_DAYS),
    "US-CA": Rules(every=THREE_HOURS),
    "US-NY": Rules(every=THREE_HOURS, each_day=True),
    "US-UT": Rules(after_idle=SEVEN_DAYS),
}


def due(context: Context, channel: str, now: datetime, rules: Rules) -> str | None:
    """Return what is to be said before the next reply: the whole disclosure, the short note, or None."""
    if context.began_at_utc is None or context.heard_at_utc is None:
        return None  # their first message: the disclosure stands before it
    disclosed = max([context.began_at_utc, *(context.seen[item] for item in ITEMS if item in context.seen)])
    idle = now - context.heard_at_utc
    if rules.after_idle and idle >= rules.after_idle:
        return WHOLE if channel == "web" else WHOLE_BY_SMS
    goes_on = idle < THREE_HOURS
    if rules.every and goes_on and now - disclosed >= rules.every:
        return AGAIN
    if rules.each_day and not goes_on and now - disclosed >= DAY:
        return AGAIN
    return None

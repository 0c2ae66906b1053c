"""Raising flags, inside the record's transactions."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from bot.store import contacts
from bot.store.counters import count
from bot.store.models import Conversation, Flag
from bot.store.values import FlagRaised

KINDS = ("crisis", "request")  # in the order of routing


def raise_flag(session: Session, conversation: str, flag: FlagRaised, sequence: int, now: datetime) -> None:
    """Open a flag, or note in the open one of its kind what was heard last."""
    contacts.hear_danger(session, conversation, flag.category, now)
    there = session.scalar(
        select(Flag)
        .where(Flag.conversation_id == conversation, Flag.kind == flag.kind, Flag.state != "closed")
        .with_for_update()  # a counselor may be closing it
    )
    if there:
        there.last_heard_at_utc, there.check_back_at_utc = now, None
        if flag.category:
            there.category, there.about = flag.category, flag.about
        return
    session.add(
        Flag(
            conversation_id=conversation,
            kind=flag.kind,
            category=flag.category,
            about=flag.about,
            heard_by=flag.heard_by,
            state="open",
            message_sequence=sequence,
            opened_at_utc=now,
            last_heard_at_utc=now,
        )
    )
    session.flush()  # the next one of this transaction finds it
    channel = session.get_one(Conversation, conversation).channel
    count(session, now, channel, f"flag_{flag.kind}", flag.category or "")


def waiting_since(flag: Flag) -> datetime:
    """Return since when nobody has been there: the opening, or the latest of release, new danger and check-back."""
    if flag.released_at_utc is None:
        return flag.opened_at_utc
    since = max(flag.released_at_utc, flag.check_back_at_utc or flag.released_at_utc)
    return flag.last_heard_at_utc if flag.last_heard_at_utc > since else since

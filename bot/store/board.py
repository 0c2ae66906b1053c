"""What counselors see: the queue as a snapshot, and one conversation with its flags. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from bot.store.accounts import ABSOLUTE
from bot.store.audit import has_viewed
from bot.store.delivery import Delivery, delivery_of
from bot.store.flags import KINDS, waiting_since
from bot.store.models import Conversation, Counselor, Flag
from bot.store.takeover import Takeover
from bot.store.values import StoredMessage


@dataclass(frozen=True)
class QueueRow:
    """One conversation that waits for a counselor or has one. `later`: to be checked back at that time."""

    conversation: str
    kind: str
    also_asked: bool
    category: str | None
    about: str | None
    channel: str
    language: str
    waiting_since_utc: datetime
    last_heard_at_utc: datetime
    claimed_by: int | None
    claimed_by_name: str | None
    danger_unanswered: bool
    awaits_reply: bool
    counselor_at_utc: datetime | None
    erased: bool
    later: datetime | None
    handover: str | None


@dataclass(frozen=True)
class Standing:
    """What a person may know of counselors: the display name of the one here, or their place among those who wait."""

    counselor: str | None = None
    place: int | None = None


@dataclass(frozen=True)
class Opened:
    """A conversation a counselor has opened."""

    row: QueueRow
    voice: str
    messages: tuple[StoredMessage, ...]


class Board:
    def __init__(self, takeover: Takeover) -> None:
        self._takeover, self._database = takeover, takeover.database

    async def queue(self, now: datetime) -> list[QueueRow]:
        """Return a row for each conversation with a flag that is not closed, in the order of need."""
        return await self._database.run(lambda session: _rows(session, now), writes=False)

    async def row(self, conversation: str, now: datetime) -> QueueRow | None:
        """Return one conversation's row; None when no flag of it is open: then it is nobody's to read."""
        found = await self._database.run(lambda session: _rows(session, now, conversation), writes=False)
        return found[0] if found else None

    async def standing(self, conversation: str, now: datetime) -> Standing:
        """Return how a person stands with the counselors; no place during a crisis, or when nothing was asked."""

        def work(session: Session) -> Standing:
            row = session.get(Conversation, conversation)
            if row is None or row.erased_at_utc:
                return Standing()
            if row.voice == "counselor":
                holder = session.get(Counselor, row.claimed_by) if row.claimed_by else None
                return Standing(counselor=holder.display_name if holder else None)
            own = select(Flag.kind).where(Flag.conversation_id == conversation, Flag.state == "open")
            if set(session.scalars(own)) != {"request"}:
                return Standing()
            waiting = [each for each in _rows(session, now) if each.claimed_by is None and not each.erased]
            places = [each.conversation for each in waiting if each.later is None or each.conversation == conversation]
            return Standing(place=places.index(conversation) + 1)

        return await self._database.run(work, writes=False)

    async def open(self, conversation: str, counselor: int, now: datetime) -> Opened | None:
        """Return a conversation with all its messages, and note in the audit who read it; None as in `row`."""

        def work(session: Session) -> Opened | None:
            rows = _rows(session, now, conversation)
            if not rows:
                return None
            voice = session.get_one(Conversation, conversation).voice
            self._takeover.audit.add(session, now, counselor, "open", conversation)
            return Opened(rows[0], voice, tuple(self._takeover.messages_in(session, conversation, 0)))

        return await self._database.run(work)

    async def delivery(self, conversation: str) -> Delivery:
        """Return whether the person can be texted, and what did not arrive."""
        return await self._database.run(lambda session: delivery_of(session, conversation), writes=False)

    async def follow(self, conversation: str, counselor: int, now: datetime) -> bool:
        """Note in the audit who follows a conversation whose page they have not opened; False as in `row`."""

        def work(session: Session) -> bool:
            if not _rows(session, now, conversation):
                return False
            if not has_viewed(session, counselor, conversation, now - ABSOLUTE):
                self._takeover.audit.add(session, now, counselor, "open", conversation)
            return True

        return await self._database.run(work)

    async def export(self, conversation: str, counselor: int, ground: str, now: datetime) -> Opened | None:
        """Return a conversation for somebody outside, and note in the audit on what ground; None as in `row`."""

        def work(session: Session) -> Opened | None:
            rows = _rows(session, now, conversation)
            if not rows or rows[0].erased:
                return None
            voice = session.get_one(Conversation, conversation).voice
            self._takeover.audit.add(session, now, counselor, "export", conversation, ground)
            return Opened(rows[0], voice, tuple(self._takeover.messages_in(session, conversation, 0, 100_000)))

        return await self._database.run(work)

    async def after(self, conversation: str, sequence: int) -> list[StoredMessage]:
        """Return the messages after `sequence`; none of an erased conversation."""
        return await self._database.run(
            lambda session: self._takeover.messages_in(session, conversation, sequence), writes=False
        )


def _rows(session: Session, now: datetime, only: str | None = None) -> list[QueueRow]:
    query = (
        select(Flag, Conversation, Counselor.display_name)
        .join(Conversation, Conversation.id == Flag.conversation_id)
        .outerjoin(Counselor, Counselor.id == Conversation.claimed_by)
        .where(Flag.state != "closed")
    )
    if only is not None:
        query = query.where(Flag.conversation_id == only)
    by_conversation: dict[str, list[tuple[Flag, Conversation, str | None]]] = {}
    for flag, conversation, name in session.execute(query):
        by_conversation.setdefault(conversation.id, []).append((flag, conversation, name))
    return sorted((_row(found, now) for found in by_conversation.values()), key=_need)


def _row(found: list[tuple[Flag, Conversation, str | None]], now: datetime) -> QueueRow:
    found.sort(key=lambda each: KINDS.index(each[0].kind))
    flag, conversation, name = found[0]
    wrote = conversation.counselor_at_utc
    later = flag.check_back_at_utc if flag.check_back_at_utc and flag.check_back_at_utc > now else None
    return QueueRow(
        conversation.id,
        flag.kind,
        len(found) > 1,
        flag.category,
        flag.about,
        conversation.channel,
        conversation.language,
        waiting_since(flag),
        flag.last_heard_at_utc,
        conversation.claimed_by,
        name,
        bool(flag.kind == "crisis" and wrote and flag.last_heard_at_utc > wrote),
        bool(wrote and conversation.last_at_utc > wrote),
        wrote,
        conversation.erased_at_utc is not None,
        later,
        flag.handover,
    )


def _need(row: QueueRow) -> tuple[bool, bool, int, datetime]:
    """Sort unanswered danger and what nobody has first, then the held, last what is to be checked back later."""
    held = row.claimed_by is not None and not row.danger_unanswered
    return row.later is not None, held, KINDS.index(row.kind), row.waiting_since_utc

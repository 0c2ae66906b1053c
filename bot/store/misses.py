"""Looking for what the guard missed: a lead reads a sample and marks it; only counts of the marks are kept apart."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, exists, func, select
from sqlalchemy.orm import Session

from bot.store.counters import count
from bot.store.models import Conversation, Flag, Message, MissReview
from bot.store.takeover import Takeover
from bot.store.values import StoredMessage

MARKS = {"missed": "Crisis language the guard missed", "not_crisis": "No crisis language", "unsure": "Cannot say"}
# Where a miss may be: Rasa's net heard danger, or a person asked for a counselor, got one, and the guard heard nothing.
SOURCES = {"rasa": "heard by Rasa's net only", "taken": "taken by a counselor without a crisis flag"}


@dataclass(frozen=True)
class Sample:
    conversation: str
    source: str
    channel: str
    language: str
    messages: tuple[StoredMessage, ...]


class Misses:
    def __init__(self, takeover: Takeover) -> None:
        self._takeover, self._database = takeover, takeover.database

    async def left(self) -> dict[str, int]:
        """Return by source how many conversations nobody has reviewed yet."""

        def work(session: Session) -> dict[str, int]:
            return {
                source: session.scalar(select(func.count()).select_from(_unreviewed(source).subquery())) or 0
                for source in SOURCES
            }

        return await self._database.run(work, writes=False)

    async def sample(self, source: str, lead: int, now: datetime) -> Sample | None:
        """Return one at random of those nobody has reviewed, and note in the audit who read it."""

        def work(session: Session) -> Sample | None:
            found = session.scalar(_unreviewed(source).order_by(func.random()).limit(1))
            if found is None:
                return None
            row = session.get_one(Conversation, found)
            self._takeover.audit.add(session, now, lead, "review", found)
            return Sample(
                found, source, row.channel, row.language, tuple(self._takeover.messages_in(session, found, 0))
            )

        return await self._database.run(work)

    async def mark(self, conversation: str, source: str, mark: str, lead: int, now: datetime) -> bool:
        """Keep a mark, once; False when it is not one to be reviewed (any more)."""

        def work(session: Session) -> bool:
            if session.scalar(_unreviewed(source).where(Conversation.id == conversation)) is None:
                return False
            row = session.get_one(Conversation, conversation, with_for_update=True)
            if session.get(MissReview, conversation) is not None:
                return False
            session.add(MissReview(conversation_id=conversation, counselor_id=lead, mark=mark, at_utc=now))
            count(session, now, row.channel, "miss_review", f"{source}_{mark}")
            return True

        return await self._database.run(work)


def _unreviewed(source: str) -> Select[str]:
    """Select the conversations of a source that hold words and have no mark."""
    flags = (Flag.conversation_id == Conversation.id,)
    heard = exists().where(*flags, Flag.kind == "crisis", Flag.heard_by == "guard")
    there: ColumnElement[bool] = exists().where(*flags, Flag.kind == "crisis", Flag.heard_by == "rasa")
    if source == "taken":
        there = exists().where(*flags, Flag.kind == "request", Flag.first_claimed_at_utc.is_not(None)) & ~heard
    return select(Conversation.id).where(
        there,
        Conversation.erased_at_utc.is_(None),
        exists().where(Message.conversation_id == Conversation.id),
        ~exists().where(MissReview.conversation_id == Conversation.id),
    )

"""Follow-ups: one message a person agreed to, at a time they called safe, sent by a counselor's hand or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from bot.store import contacts
from bot.store.models import Conversation, Counselor, FollowUp
from bot.store.record import rows_of
from bot.store.takeover import Say, Takeover, TakeoverRefused

SAFE_FOR = timedelta(hours=1)  # after the time agreed: a later hour is one the person did not call safe
SOONEST, LATEST = timedelta(minutes=5), timedelta(days=30)
KEPT_IN_LIST = timedelta(days=2)  # the missed ones


@dataclass(frozen=True)
class Agreed:
    """A follow-up that waits. `state`: early, now, missed, or blocked (opted out, or the phone may not be safe)."""

    id: int
    conversation: str
    channel: str
    language: str
    counselor: str
    due_at_utc: datetime
    state: str


class FollowUps:
    def __init__(self, takeover: Takeover) -> None:
        self._takeover, self._database = takeover, takeover.database

    async def agree(self, conversation: str, counselor: int, due: datetime, now: datetime) -> None:
        """Note that a person agreed to one message at `due`; it stands instead of one agreed before.

        Raises TakeoverRefused: not_yours without the voice, bad_time outside five minutes to thirty days from now,
        not_safe where a text may not go.
        """

        def work(session: Session) -> None:
            row = self._takeover.lock_own(session, conversation, counselor)
            if not SOONEST <= due - now <= LATEST:
                raise TakeoverRefused("bad_time")
            if not _may_send(session, row):
                raise TakeoverRefused("not_safe")
            waits = update(FollowUp).where(FollowUp.conversation_id == conversation, FollowUp.state == "waiting")
            session.execute(waits.values(state="replaced", settled_at_utc=now))
            session.add(
                FollowUp(
                    conversation_id=conversation,
                    counselor_id=counselor,
                    agreed_at_utc=now,
                    due_at_utc=due,
                    state="waiting",
                )
            )
            self._takeover.audit.add(session, now, counselor, "follow_up_agreed", conversation)

        await self._database.run(work)

    async def waiting(self, now: datetime) -> list[Agreed]:
        """Return what waits to be sent, the earliest first, and for two days what was missed."""
        query = (
            select(FollowUp, Conversation, Counselor.display_name)
            .join(Conversation, Conversation.id == FollowUp.conversation_id)
            .outerjoin(Counselor, Counselor.id == FollowUp.counselor_id)
            .where(FollowUp.state == "waiting", FollowUp.due_at_utc > now - SAFE_FOR - KEPT_IN_LIST)
            .order_by(FollowUp.due_at_utc)
        )

        def work(session: Session) -> list[Agreed]:
            return [
                Agreed(
                    each.id,
                    row.id,
                    row.channel,
                    row.language,
                    name or "",
                    each.due_at_utc,
                    _state(session, each, row, now),
                )
                for each, row, name in session.execute(query)
            ]

        return await self._database.run(work, writes=False)

    async def send(self, follow_up: int, counselor: int, say: Say, now: datetime) -> str:
        """Send a follow-up once, in its hour; return its conversation. Raises TakeoverRefused: no_follow_up, not_now,
        not_safe, or taken when another counselor speaks with the person."""

        def work(session: Session) -> str:
            found = session.get(FollowUp, follow_up)
            if found is None:
                raise TakeoverRefused("no_follow_up")
            row = self._takeover.lock(session, found.conversation_id)
            state = _state(session, found, row, now)
            if state != "now":
                raise TakeoverRefused("not_safe" if state == "blocked" else "not_now")
            if row.voice == "counselor" and row.claimed_by != counselor:
                raise TakeoverRefused("taken")
            mine = update(FollowUp).where(FollowUp.id == follow_up, FollowUp.state == "waiting")
            if not rows_of(session.execute(mine.values(state="sent", settled_at_utc=now))):
                raise TakeoverRefused("no_follow_up")
            self._takeover.say(session, row, say, now)
            self._takeover.audit.add(session, now, counselor, "follow_up_sent", row.id)
            return row.id

        return await self._database.run(work)

    async def cancel(self, follow_up: int, counselor: int, now: datetime) -> None:
        """Drop a follow-up; raises TakeoverRefused when it does not wait any more."""

        def work(session: Session) -> None:
            found = session.get(FollowUp, follow_up)
            this = update(FollowUp).where(FollowUp.id == follow_up, FollowUp.state == "waiting")
            if found is None or not rows_of(session.execute(this.values(state="cancelled", settled_at_utc=now))):
                raise TakeoverRefused("no_follow_up")
            self._takeover.audit.add(session, now, counselor, "follow_up_cancelled", found.conversation_id)

        await self._database.run(work)


def _may_send(session: Session, row: Conversation) -> bool:
    return row.channel != "sms" or contacts.may_text(session, row.id)


def _state(session: Session, found: FollowUp, row: Conversation, now: datetime) -> str:
    if not _may_send(session, row):
        return "blocked"
    if now < found.due_at_utc:
        return "early"
    return "now" if now <= found.due_at_utc + SAFE_FOR else "missed"

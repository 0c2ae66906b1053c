"""The record as counselors change it: who has the voice, what they say, how flags end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from bot.store import outbox
from bot.store.audit import Audit
from bot.store.cipher import Cipher
from bot.store.counters import count
from bot.store.engine import Database
from bot.store.flags import raise_flag
from bot.store.models import Contact, Conversation, Counselor, Flag, Message
from bot.store.record import Record, rows_of
from bot.store.values import Body, Context, FlagRaised, Reply

Say = Callable[[Context, str], Reply]  # (context, channel) -> what the program says
Compose = Callable[[Context, str], Body]  # (context, channel) -> what the counselor says
LATEST = 100  # messages looked at for who still waits for an answer


class TakeoverRefused(Exception):
    """A counselor may not do this now. `code` says why: taken, not_yours, erased, no_flag, no_counselor, no_number;
    of follow-ups bad_time, not_now, not_safe, no_follow_up."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Takeover(Record):
    """Counselors' transactions. Every one locks the conversation's row, so that two counselors never both win."""

    def __init__(self, database: Database, cipher: Cipher, audit: Audit) -> None:
        super().__init__(database, cipher)
        self.audit = audit

    async def take(self, conversation: str, counselor: int, say_joined: Say, now: datetime) -> None:
        """Give the voice to a counselor and say so to the person; raises TakeoverRefused when another has it."""

        def work(session: Session) -> None:
            row = self.lock(session, conversation)
            if row.voice == "counselor":
                if row.claimed_by == counselor:
                    return
                raise TakeoverRefused("taken")
            if not self._has_open_flag(session, conversation):
                raise TakeoverRefused("no_flag")
            self._claim(session, conversation, now, counselor)
            session.refresh(row)
            self.say(session, row, say_joined, now)
            self.audit.add(session, now, counselor, "claim", conversation)

        await self.database.run(work)

    async def reply(self, conversation: str, counselor: int, compose: Compose, client_id: str, now: datetime) -> None:
        """Store a counselor's message in sequence; the same `client_id` again changes nothing."""

        def work(session: Session) -> None:
            row = self.lock_own(session, conversation, counselor)
            there = select(Message.id).where(Message.conversation_id == conversation, Message.client_id == client_id)
            if session.scalar(there):
                return
            body = compose(self._context(session, row), row.channel)
            body["name"] = session.get_one(Counselor, counselor).display_name
            self._put(session, row, "counselor", body, now, client_id=client_id)
            row.counselor_at_utc = now
            detail = "reviewed_text" if body.get("item") else ""
            self.audit.add(session, now, counselor, "reply", conversation, detail)

        await self.database.run(work)

    async def hand_back(
        self,
        conversation: str,
        counselor: int,
        say_left: Say,
        now: datetime,
        check_back: tuple[str, datetime] | None,
        handover: str,
    ) -> None:
        """Give the voice back to the bot; the flags are open again, from `check_back` on when a time is given.

        `handover` is one of HANDOVERS for the next counselor, or empty.
        """

        def work(session: Session) -> None:
            row = self.lock_own(session, conversation, counselor)
            told = update(Flag).where(Flag.conversation_id == conversation, Flag.state == "claimed")
            session.execute(told.values(handover=handover or None))
            if handover:
                self.audit.add(session, now, counselor, "hand_over", conversation, handover)
            self._release(session, row, now, check_back[1] if check_back else None)
            self.say(session, row, say_left, now)
            self.audit.add(session, now, counselor, "hand_back", conversation, check_back[0] if check_back else "")

        await self.database.run(work)

    async def close(self, conversation: str, counselor: int, outcome: str, say_left: Say, now: datetime) -> None:
        """Close the conversation's flags with an outcome. Who had the voice leaves, and the person is told."""

        def work(session: Session) -> None:
            row = self.lock(session, conversation, erased_too=True)
            if row.voice == "counselor" and row.claimed_by != counselor:
                raise TakeoverRefused("taken")
            closed = self._close_flags(session, conversation, outcome, now)
            if not closed and row.voice != "counselor":
                raise TakeoverRefused("no_flag")
            if row.voice == "counselor":
                self._release(session, row, now)
                if not row.erased_at_utc:
                    self.say(session, row, say_left, now)
            self.audit.add(session, now, counselor, "close", conversation, outcome)

        await self.database.run(work)

    async def end_contact(self, conversation: str, counselor: int, outcome: str, say_ended: Say, now: datetime) -> None:
        """Close the flags and end the contact: only what the guard hears is answered with more than a notice."""

        def work(session: Session) -> None:
            row = self.lock_own(session, conversation, counselor)
            self._close_flags(session, conversation, outcome, now)
            self._release(session, row, now)
            row.voice = "ended"
            self.say(session, row, say_ended, now)
            self.audit.add(session, now, counselor, "end_contact", conversation, outcome)

        await self.database.run(work)

    async def reveal(self, conversation: str, counselor: int, reason: str, now: datetime) -> str:
        """Return the person's phone number to the counselor who has the voice, and note in the audit why."""

        def work(session: Session) -> str:
            self.lock_own(session, conversation, counselor)
            contact = session.get(Contact, conversation)
            if contact is None or contact.address is None:
                raise TakeoverRefused("no_number")
            self.audit.add(session, now, counselor, "reveal", conversation, reason)
            return str(self._cipher.open(contact.address))

        return await self.database.run(work)

    async def transfer(self, conversation: str, by: int, to: int, now: datetime, *, any_holder: bool) -> None:
        """Give a claimed conversation to another counselor; for the person a counselor stays here.

        `any_holder`: also what `by` does not have, as leads may.
        """

        def work(session: Session) -> None:
            row = self.lock(session, conversation)
            receiver = session.get(Counselor, to)
            if receiver is None or receiver.disabled_at_utc or receiver.role not in ("counselor", "lead"):
                raise TakeoverRefused("no_counselor")
            if row.voice != "counselor" or (row.claimed_by != by and not any_holder):
                raise TakeoverRefused("not_yours")
            row.claimed_by, row.counselor_at_utc, row.claimed_at_utc = to, now, now
            held = update(Flag).where(Flag.conversation_id == conversation, Flag.state == "claimed")
            session.execute(held.values(claimed_by=to, claimed_at_utc=now))
            self.audit.add(session, now, by, "transfer", conversation)
            self.audit.add(session, now, to, "received", conversation)

        await self.database.run(work)

    async def holds(self, conversation: str, counselor: int) -> bool:
        """Whether this counselor has the voice."""
        theirs = (Conversation.voice == "counselor", Conversation.claimed_by == counselor)
        query = select(Conversation.id).where(Conversation.id == conversation, *theirs)
        return await self.database.run(lambda session: session.scalar(query) is not None, writes=False)

    async def held(self) -> list[str]:
        """Return the conversations whose voice a counselor has."""
        query = select(Conversation.id).where(Conversation.voice == "counselor", Conversation.claimed_by.is_not(None))
        return await self.database.run(lambda session: list(session.scalars(query)), writes=False)

    async def attend(
        self,
        conversation: str,
        say_card: Callable[[Context, str, Flag], Reply],
        say_gone: Say,
        now: datetime,
        *,
        card_after: timedelta,
        gone_after: timedelta,
    ) -> str | None:
        """Do for one held conversation what its counselor has not; return "gone", "card" or None.

        Danger said after the claim and answered by nobody within `card_after` gets the card (promise P5). A person
        who has waited `gone_after` for the counselor is told so, and the voice goes back to the bot.
        """

        def due(session: Session) -> tuple[bool, bool]:
            row = session.get(Conversation, conversation)
            if row is None or row.voice != "counselor" or row.erased_at_utc:
                return False, False
            danger, waits = self._waiting_since(session, row)
            return (
                waits is not None and now - waits >= gone_after,
                danger is not None and now - danger >= card_after,
            )

        def work(session: Session) -> str | None:
            row = self.lock(session, conversation, erased_too=True)
            gone, card = due(session)
            if card:
                self._show_card(session, row, say_card, now)
            if gone and row.claimed_by is not None:
                holder = row.claimed_by
                self._release(session, row, now)
                self._reopen(session, row, now)
                self.say(session, row, say_gone, now)
                self.audit.add(session, now, holder, "gone", conversation)
            return "gone" if gone else "card" if card else None

        if not any(await self.database.run(due, writes=False)):
            return None
        return await self.database.run(work)

    def _waiting_since(self, session: Session, row: Conversation) -> tuple[datetime | None, datetime | None]:
        """Return since when danger has no answer, and since when the person waits for the counselor."""
        query = select(Message.author, Message.flagged, Message.created_at_utc).where(Message.conversation_id == row.id)
        latest = session.execute(query.order_by(Message.sequence.desc()).limit(LATEST)).all()
        claimed_at = row.claimed_at_utc or row.last_at_utc
        danger = waits = None
        has_card = False
        for author, flagged, at in latest:
            if at < claimed_at:
                break
            if author == "counselor":
                return danger, waits
            if author == "person":
                waits = at
                danger = at if flagged and not has_card else danger
            else:
                has_card = has_card or flagged
        return danger, claimed_at

    def _show_card(
        self, session: Session, row: Conversation, say_card: Callable[[Context, str, Flag], Reply], now: datetime
    ) -> None:
        flag = session.scalar(
            select(Flag).where(Flag.conversation_id == row.id, Flag.kind == "crisis", Flag.state != "closed")
        )
        if flag is not None and flag.category:
            card = say_card(self._context(session, row), row.channel, flag)
            self._add_replies(session, row, [card], row.next_sequence - 1, now)

    def _reopen(self, session: Session, row: Conversation, now: datetime) -> None:
        """A flag is open again after its counselor went, even if none was left."""
        if not self._has_open_flag(session, row.id):
            request = FlagRaised("request", heard_by="person")
            raise_flag(session, row.id, request, row.next_sequence - 1, now)

    def lock(self, session: Session, conversation: str, *, erased_too: bool = False) -> Conversation:
        """Lock a conversation's row for the caller's transaction; raises TakeoverRefused when it was erased."""
        row = session.get(Conversation, conversation, with_for_update=True)
        if row is None or (row.erased_at_utc and not erased_too):
            raise TakeoverRefused("erased")
        return row

    def lock_own(self, session: Session, conversation: str, counselor: int) -> Conversation:
        """Lock a conversation this counselor has the voice in; raises TakeoverRefused otherwise."""
        row = self.lock(session, conversation)
        if row.voice != "counselor" or row.claimed_by != counselor:
            raise TakeoverRefused("not_yours")
        return row

    def _release(
        self, session: Session, row: Conversation, now: datetime, check_back_at_utc: datetime | None = None
    ) -> None:
        row.voice, row.claimed_by, row.claimed_at_utc, row.counselor_at_utc = "bot", None, None, None
        held = update(Flag).where(Flag.conversation_id == row.id, Flag.state == "claimed")
        session.execute(
            held.values(state="open", claimed_by=None, released_at_utc=now, check_back_at_utc=check_back_at_utc)
        )

    def _close_flags(self, session: Session, conversation: str, outcome: str, now: datetime) -> int:
        there = update(Flag).where(Flag.conversation_id == conversation, Flag.state != "closed")
        closed = rows_of(session.execute(there.values(state="closed", closed_at_utc=now, outcome=outcome)))
        if closed:
            channel = session.get_one(Conversation, conversation).channel
            count(session, now, channel, "outcome", outcome, closed)
        return closed

    def say(self, session: Session, row: Conversation, say: Say, now: datetime) -> None:
        """Say something unprompted, in the caller's transaction; by SMS without choices, which would name topics.

        A locked screen shows them.
        """
        body = say(self._context(session, row), row.channel).body
        self._put(session, row, "bot", {**body, "choices": []} if row.channel == "sms" else body, now, last=True)

    def _put(
        self,
        session: Session,
        row: Conversation,
        author: str,
        body: Body,
        now: datetime,
        client_id: str | None = None,
        last: bool = False,
    ) -> None:
        """Store a message that answers no single one of the person's; by SMS it goes out through the outbox."""
        message = self._add(session, row, author, body, now, client_id=client_id, last=last)
        if row.channel == "sms":
            # No webhook waits for what a counselor does, so that it is due at once, in order.
            outbox.post(session, row.id, message.sequence, "counselor", card=False, now=now)

    @staticmethod
    def _has_open_flag(session: Session, conversation: str) -> bool:
        query = select(Flag.id).where(Flag.conversation_id == conversation, Flag.state != "closed").limit(1)
        return session.scalar(query) is not None

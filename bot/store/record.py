"""The record's transactions. Each method is one; each is safe to repeat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, Row, Table, bindparam, delete, exists, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from bot.store import contacts, outbox
from bot.store.cipher import Cipher
from bot.store.counters import count
from bot.store.engine import Database
from bot.store.flags import raise_flag
from bot.store.models import Conversation, Flag, Message, Posting, Sighting
from bot.store.values import (
    HELPED,
    Accepted,
    Body,
    Composed,
    Context,
    ConversationErased,
    FlagRaised,
    Inbound,
    OpenFlag,
    Pending,
    Reply,
    StoredMessage,
    Turn,
)

RECENT_TEXTS = 2
RECENT_BODIES = 6
READ_AT_ONCE = 200  # messages; who follows a conversation asks again
RECENT_MESSAGES = 12  # read to find these: a turn has one message of the person and seldom more than three of ours

# What every turn asks, built once and on tables: building statements and entities costs more than the asking.
_MESSAGE_TABLE = cast(Table, Message.__table__)
_message, _flag, _sighting = _MESSAGE_TABLE.c, Flag.__table__.c, Sighting.__table__.c
_IN_CONVERSATION = _message.conversation_id == bindparam("conversation")
_MESSAGES = select(*_message)
_FIRST_WITH_CLIENT_ID = _MESSAGES.where(_IN_CONVERSATION, _message.client_id == bindparam("client_id"))
_REPLIES = _MESSAGES.where(_IN_CONVERSATION, _message.in_reply_to == bindparam("sequence")).order_by(_message.sequence)
_WAITING = _MESSAGES.where(_IN_CONVERSATION, ~_message.answered).order_by(_message.sequence).limit(1)
_ANY_WAITING = select(exists().where(_IN_CONVERSATION, ~_message.answered))
_LATEST = (
    select(_message.author, _message.body, _message.created_at_utc)
    .where(_IN_CONVERSATION, _message.sequence < bindparam("before"))
    .order_by(_message.sequence.desc())
    .limit(RECENT_MESSAGES)
)
_AFTER = (
    _MESSAGES.where(_IN_CONVERSATION, _message.sequence > bindparam("sequence"))
    .order_by(_message.sequence)
    .limit(bindparam("limit"))
)
_OPEN_FLAGS = select(_flag.kind, _flag.category, _flag.about, _flag.state, _flag.opened_at_utc).where(
    _flag.conversation_id == bindparam("conversation"), _flag.state != "closed"
)
_SEEN = select(_sighting.item, _sighting.last_at_utc).where(_sighting.conversation_id == bindparam("conversation"))
_ANSWER = update(_MESSAGE_TABLE).where(_message.id == bindparam("message"), ~_message.answered).values(answered=True)
_ERASED = select(Conversation.id).where(
    Conversation.id == bindparam("conversation"), Conversation.erased_at_utc.is_not(None)
)


class Record:
    """Conversations, messages and flags in the database."""

    def __init__(self, database: Database, cipher: Cipher) -> None:
        self.database, self._cipher = database, cipher
        insert: Any = sqlite.insert if database.backend == "sqlite" else postgresql.insert
        self._begin = insert(Conversation).on_conflict_do_nothing().returning(Conversation.id)
        seen = insert(Sighting.__table__)
        self._seen = seen.on_conflict_do_update(
            index_elements=["conversation_id", "item"],
            set_={"times": _sighting.times + 1, "last_at_utc": seen.excluded.last_at_utc},
        )

    async def accept(
        self,
        inbound: Inbound,
        compose: Callable[[Context, Callable[[str], Body | None]], Composed],
        *,
        urgent: bool = False,
    ) -> Accepted:
        """Transaction A: store the message, the flag and the replies it already has; then it is acknowledged.

        `compose` gets the context and a look-up of choice ids. `urgent`: before what waits for the database. Raises
        ConversationErased, StoreAway.
        """
        return await self.database.run(lambda session: self._accept(session, inbound, compose), urgent=urgent)

    def _accept(
        self, session: Session, inbound: Inbound, compose: Callable[..., Composed], *, adopts: bool = False
    ) -> Accepted:
        conversation, is_new = self._lock_conversation(session, inbound)
        if conversation.erased_at_utc and inbound.texted is None:
            raise ConversationErased
        if conversation.erased_at_utc and adopts and inbound.received_at_utc <= conversation.erased_at_utc:
            raise ConversationErased  # it was in the spool when its person had everything erased
        if conversation.erased_at_utc:  # a phone number has no token to renew: it begins anew
            conversation.erased_at_utc, conversation.state = None, None
            conversation.channel, conversation.language = inbound.channel, inbound.language
            is_new = True
        with_same_id = {"conversation": conversation.id, "client_id": inbound.client_id}
        if not is_new and (first := session.execute(_FIRST_WITH_CLIENT_ID, with_same_id).first()):
            return self._accepted_before(session, first)
        context = self._context(session, conversation, is_new=is_new)
        composed = compose(context, lambda choice: self._find_choice(session, conversation.id, choice))
        now = inbound.received_at_utc
        if inbound.texted:
            says_itself = composed.consent in ("start", "stop")
            contacts.meet(session, self._cipher, conversation.id, inbound.texted.address, now, consents=not says_itself)
            session.flush()
        if composed.consent and composed.consent != "stop":
            contacts.consent(session, conversation.id, composed.consent, composed.consent_source, now)
        opening = []
        for reply in composed.opening:
            opening.append(_stored(self._add(session, conversation, "bot", reply.body, now), reply.body))
            if reply.item:
                self._see(session, conversation.id, reply.item, now)
        by_bot = conversation.voice == "bot"
        needs_turn = composed.needs_turn and by_bot
        others_wait = needs_turn and session.scalar(_ANY_WAITING, {"conversation": conversation.id})
        body: Body = {"text": composed.text}
        if composed.choice:
            body["choice"] = composed.choice
        if composed.flag and composed.flag.span:
            body["heard"] = composed.flag.span
        message = self._add(
            session, conversation, "person", body, now, client_id=inbound.client_id, answered=not needs_turn
        )
        message.flagged = composed.flag is not None
        if composed.flag:
            raise_flag(session, conversation.id, composed.flag, message.sequence, now)
            if composed.flag.category:
                count(session, now, conversation.channel, f"crisis_{composed.flag.heard_by}", composed.flag.category)
        whole = conversation.voice != "counselor" or composed.demanded
        spoken = composed.replies if whole else [reply for reply in composed.replies if reply.body["card"]]
        stored = self._add_replies(
            session,
            conversation,
            spoken,
            message.sequence,
            now,
            closes=not needs_turn,
            urgent=composed.flag is not None,
            given=composed.given,
        )
        if composed.consent == "stop" and contacts.consent(
            session, conversation.id, "stop", composed.consent_source, now
        ):
            outbox.hold_back(session, conversation.id, message.sequence, now)
        count(session, now, conversation.channel, "messages", "")
        pending = None
        if needs_turn and not others_wait:
            bodies = (*context.recent_bodies, *(reply.body for reply in (*composed.opening, *composed.replies)))
            session.flush()  # for the message's id
            shown = {reply.item: now for reply in (*composed.opening, *composed.replies) if reply.item}
            seen, turn = context.seen | shown, conversation.next_sequence
            context = replace(context, recent_bodies=bodies, seen=seen, turn=turn, is_new=False)
            pending = self._as_pending(conversation, message, body, context, composed.concern)
        added = (*opening, _stored(message, body), *stored)
        return Accepted(message.sequence, message.flagged, needs_turn, stored, pending=pending, stored=added)

    def _lock_conversation(self, session: Session, inbound: Inbound) -> tuple[Conversation, bool]:
        held = session.get(Conversation, inbound.conversation, with_for_update=True)
        if held is not None:
            return held, False
        now = inbound.received_at_utc
        made = session.scalar(
            self._begin,
            {
                "id": inbound.conversation,
                "channel": inbound.channel,
                "language": inbound.language,
                "voice": "bot",
                "voice_epoch": 0,
                "next_sequence": 1,
                "created_at_utc": now,
                "last_at_utc": now,
            },
        )
        return session.get_one(Conversation, inbound.conversation, with_for_update=True), made is not None

    def _accepted_before(self, session: Session, first: Row[Any]) -> Accepted:
        of_it = {"conversation": first.conversation_id, "sequence": first.sequence}
        stored = tuple(self._stored(message) for message in session.execute(_REPLIES, of_it))
        return Accepted(first.sequence, first.flagged, not first.answered, stored, repeated=True)

    async def pending(self, conversation: str) -> Pending | None:
        """Return the conversation's first acknowledged message without a reply, or None."""
        return await self.database.run(lambda session: self._pending(session, conversation), writes=False)

    def _pending(self, session: Session, conversation_id: str) -> Pending | None:
        message = session.execute(_WAITING, {"conversation": conversation_id}).first()
        if message is None:
            return None
        conversation = session.get_one(Conversation, conversation_id)
        context = self._context(session, conversation, before=message.sequence)
        return self._as_pending(conversation, message, self._cipher.open(message.body), context)

    def _as_pending(
        self,
        conversation: Conversation,
        message: Message | Row[Any],
        body: Body,
        context: Context,
        concern: bool | None = None,
    ) -> Pending:
        return Pending(
            message.id,
            conversation.id,
            conversation.channel,
            message.sequence,
            body,
            message.created_at_utc,
            conversation.voice_epoch,
            None if conversation.state is None else self._cipher.open(conversation.state),
            context,
            concern,
        )

    async def commit(self, pending: Pending, turn: Turn, now: datetime) -> tuple[StoredMessage, ...] | None:
        """Transaction B: store the replies, state and effects of a turn, each exactly once.

        None: a counselor claimed the conversation meanwhile, it was erased, or another desk answered first; the
        bot's replies are dropped (promises P5 and P6). The database decides, under the conversation's row lock.
        """
        return await self.database.run(lambda session: self._commit(session, pending, turn, now))

    def _commit(
        self, session: Session, pending: Pending, turn: Turn, now: datetime
    ) -> tuple[StoredMessage, ...] | None:
        conversation = session.get(Conversation, pending.conversation, with_for_update=True)
        if conversation is None or conversation.erased_at_utc or conversation.voice != "bot":
            return None
        if conversation.voice_epoch != pending.voice_epoch:
            return None
        if not rows_of(session.execute(_ANSWER, {"message": pending.message_id})):
            return None
        conversation.state = None if turn.state is None else self._cipher.seal(turn.state)
        if turn.language:
            conversation.language = turn.language
        if turn.flag:
            raise_flag(session, conversation.id, turn.flag, pending.sequence, now)
            session.execute(update(Message).where(Message.id == pending.message_id).values(flagged=True))
        if turn.requests_counselor:
            raise_flag(session, conversation.id, FlagRaised("request", heard_by="person"), pending.sequence, now)
        if turn.cancels_request:
            cancelled = session.execute(
                update(Flag)
                .where(Flag.conversation_id == conversation.id, Flag.kind == "request", Flag.state == "open")
                .values(state="closed", closed_at_utc=now)
            )
            if rows_of(cancelled):
                count(session, now, conversation.channel, "outcome", "taken_back")
        if turn.helped:
            self._see(session, conversation.id, turn.helped + HELPED, now)
            count(session, now, conversation.channel, "helped", turn.helped)
        for name, category in turn.counts:
            count(session, now, conversation.channel, name, category)
        urgent = turn.flag is not None
        return self._add_replies(session, conversation, turn.replies, pending.sequence, now, urgent=urgent)

    def _add_replies(
        self,
        session: Session,
        conversation: Conversation,
        replies: Sequence[Reply],
        to: int,
        now: datetime,
        *,
        closes: bool = True,
        urgent: bool = False,
        given: bool = False,
    ) -> tuple[StoredMessage, ...]:
        """Store replies. `closes`: no more follow; `urgent`: they answer danger; `given`: the person has them."""
        stored = []
        for index, reply in enumerate(replies):
            last = closes and index == len(replies) - 1
            message = self._add(
                session, conversation, "bot", reply.body, now, in_reply_to=to, last=last, flagged=reply.flagged
            )
            if conversation.channel == "sms" and not given:
                card = reply.body["card"] or (urgent and reply.flagged)
                outbox.post(session, conversation.id, message.sequence, "bot", card=card, now=now)
            stored.append(_stored(message, reply.body))
            if reply.item:
                self._see(session, conversation.id, reply.item, now)
            _count_reply(session, conversation.channel, reply, now)
        return tuple(stored)

    def _add(
        self,
        session: Session,
        conversation: Conversation,
        author: str,
        body: Body,
        now: datetime,
        *,
        client_id: str | None = None,
        in_reply_to: int | None = None,
        last: bool = False,
        flagged: bool = False,
        answered: bool = True,
    ) -> Message:
        message = Message(
            conversation_id=conversation.id,
            sequence=conversation.next_sequence,
            author=author,
            client_id=client_id,
            body=self._cipher.seal(body),
            in_reply_to=in_reply_to,
            last=last,
            flagged=flagged,
            answered=answered,
            created_at_utc=now,
        )
        conversation.next_sequence += 1
        conversation.last_at_utc = now
        session.add(message)
        return message

    def _see(self, session: Session, conversation_id: str, item: str, now: datetime) -> None:
        session.execute(self._seen, {"conversation_id": conversation_id, "item": item, "times": 1, "last_at_utc": now})

    def _find_choice(self, session: Session, conversation_id: str, choice_id: str) -> Body | None:
        """Return the choice `<sequence>:<index>` of a message this conversation was shown, with its item and step."""
        sequence, _, index = choice_id.partition(":")
        if not (choice_id.isascii() and sequence.isdecimal() and index.isdecimal() and len(choice_id) < 16):
            return None
        message = session.scalar(
            select(Message).where(
                Message.conversation_id == conversation_id, Message.sequence == int(sequence), Message.author == "bot"
            )
        )
        if message is None:
            return None
        body = self._cipher.open(message.body)
        choices = body.get("choices", [])
        if int(index) >= len(choices):
            return None
        found: Body = choices[int(index)]
        return {**found, "item": body.get("item"), "step": body.get("step", 0)}

    def _context(
        self, session: Session, conversation: Conversation, *, before: int | None = None, is_new: bool = False
    ) -> Context:
        by_sms = conversation.channel == "sms"
        stopped = by_sms and contacts.is_stopped(session, conversation.id)
        if is_new:
            return Context(conversation.language, conversation.voice, (), {}, (), (), 0, is_new=True, stopped=stopped)
        here = {"conversation": conversation.id}
        before = conversation.next_sequence if before is None else before
        latest = session.execute(_LATEST, {**here, "before": before}).all()
        texts = [row.body for row in latest if row.author == "person"][:RECENT_TEXTS]
        bodies = [row.body for row in latest if row.author == "bot"][:RECENT_BODIES]
        return Context(
            conversation.language,
            conversation.voice,
            tuple(OpenFlag(*flag) for flag in session.execute(_OPEN_FLAGS, here)),
            {item: at for item, at in session.execute(_SEEN, here)},
            tuple(self._cipher.open(body)["text"] for body in reversed(texts)),
            tuple(self._cipher.open(body) for body in reversed(bodies)),
            conversation.next_sequence,
            stopped=stopped,
            quiet=by_sms and contacts.is_quiet(session, conversation.id),
            began_at_utc=conversation.created_at_utc,
            heard_at_utc=next((row.created_at_utc for row in latest if row.author == "person"), None),
        )

    def _stored(self, message: Row[Any]) -> StoredMessage:
        return _stored(message, self._cipher.open(message.body))

    async def messages_after(self, conversation: str, sequence: int, limit: int = READ_AT_ONCE) -> list[StoredMessage]:
        """Return a conversation's messages after `sequence`, in order. Raises ConversationErased."""

        def read(session: Session) -> list[StoredMessage]:
            found = self.messages_in(session, conversation, sequence, limit)
            if not found and session.scalar(_ERASED, {"conversation": conversation}):
                raise ConversationErased
            return found

        return await self.database.run(read, writes=False)

    def messages_in(self, session: Session, conversation: str, sequence: int, limit: int = 2000) -> list[StoredMessage]:
        """Return a conversation's messages after `sequence`, in order, within the caller's transaction."""
        asked = {"conversation": conversation, "sequence": sequence, "limit": limit}
        return [self._stored(message) for message in session.execute(_AFTER, asked)]

    async def waiting_flags(self, now: datetime) -> dict[str, tuple[int, float]]:
        """Return by kind how many open flags nobody has taken, and how many seconds the oldest has waited."""
        statement = (
            select(Flag.kind, func.count(), func.min(Flag.opened_at_utc))
            .where(Flag.state == "open")
            .group_by(Flag.kind)
        )
        found = await self.database.run(lambda session: session.execute(statement).all(), writes=False)
        return {kind: (count, (now - oldest).total_seconds()) for kind, count, oldest in found}

    async def unanswered(self, now: datetime, older_than_seconds: float) -> list[str]:
        """Return the conversations with an acknowledged message that has waited for its reply, the longest first."""
        since = now - timedelta(seconds=older_than_seconds)
        statement = (
            select(Message.conversation_id)
            .where(~Message.answered, Message.created_at_utc <= since)
            .group_by(Message.conversation_id)
            .order_by(func.min(Message.created_at_utc))
            .limit(1000)
        )
        return await self.database.run(lambda session: list(session.scalars(statement)), writes=False)

    async def adopt(
        self,
        inbound: Inbound,
        replies: Sequence[Reply],
        flag: FlagRaised | None,
        consent: str | None = None,
        consent_source: str = "keyword",
    ) -> None:
        """Record a spooled message with the replies its person was given; a repeated call changes nothing."""
        composed = Composed(
            inbound.text,
            replies=replies,
            flag=flag,
            needs_turn=False,
            consent=consent,
            consent_source=consent_source,
            given=True,
        )
        try:
            await self.database.run(
                lambda session: self._accept(session, inbound, lambda _context, _find_choice: composed, adopts=True)
            )
        except ConversationErased:
            return

    async def claim(self, conversation: str, now: datetime) -> int | None:
        """Give the voice to a counselor: after the commit no bot message is sequenced. The new epoch; None if taken."""

        return await self.database.run(lambda session: self._claim(session, conversation, now))

    def _claim(self, session: Session, conversation: str, now: datetime, counselor: int | None = None) -> int | None:
        epoch = session.scalar(
            update(Conversation)
            .where(
                Conversation.id == conversation, Conversation.voice != "counselor", Conversation.erased_at_utc.is_(None)
            )
            .values(
                voice="counselor",
                voice_epoch=Conversation.voice_epoch + 1,
                last_at_utc=now,
                claimed_by=counselor,
                claimed_at_utc=now,
                counselor_at_utc=now,
            )
            .returning(Conversation.voice_epoch)
        )
        if epoch is not None:
            session.execute(
                update(Message).where(Message.conversation_id == conversation, ~Message.answered).values(answered=True)
            )
            session.execute(
                update(Flag)
                .where(Flag.conversation_id == conversation, Flag.state == "open")
                .values(
                    state="claimed",
                    claimed_by=counselor,
                    claimed_at_utc=now,
                    first_claimed_at_utc=func.coalesce(Flag.first_claimed_at_utc, now),
                    check_back_at_utc=None,
                )
            )
        return epoch

    def exists(self, session: Session, conversation: str) -> bool:
        """Whether a conversation is stored and not erased."""
        row = session.get(Conversation, conversation)
        return row is not None and row.erased_at_utc is None

    async def leave(self, conversation: str, now: datetime) -> bool:
        """Note for a counselor who has the voice that the person used quick exit; return whether that was new."""

        def work(session: Session) -> bool:
            row = session.get(Conversation, conversation, with_for_update=True)
            if row is None or row.voice != "counselor" or row.erased_at_utc:
                return False
            latest = select(Message.author).where(Message.conversation_id == conversation)
            if session.scalar(latest.order_by(Message.sequence.desc()).limit(1)) == "left":
                return False
            self._add(session, row, "left", {"text": ""}, now)
            return True

        return await self.database.run(work)

    async def erase(self, conversation: str, now: datetime) -> bool:
        """Erase a conversation's text, state and sightings; return whether an open flag stays (kind and times only).

        The empty row stays so that the token, which is verified without the database, cannot bring it back.
        """

        def work(session: Session) -> bool:
            row = session.get(Conversation, conversation, with_for_update=True)
            if row is None:
                session.add(
                    Conversation(
                        id=conversation,
                        channel="",
                        language="",
                        voice="bot",
                        voice_epoch=0,
                        next_sequence=1,
                        created_at_utc=now,
                        last_at_utc=now,
                        erased_at_utc=now,
                    )
                )
                return False
            row.erased_at_utc, row.state = row.erased_at_utc or now, None
            session.execute(delete(Message).where(Message.conversation_id == conversation))
            session.execute(delete(Posting).where(Posting.conversation_id == conversation))
            contacts.forget(session, [conversation])
            session.execute(delete(Sighting).where(Sighting.conversation_id == conversation))
            session.execute(delete(Flag).where(Flag.conversation_id == conversation, Flag.state == "closed"))
            left = session.execute(
                update(Flag)
                .where(Flag.conversation_id == conversation)
                .values(category=None, about=None, handover=None)
            )
            return rows_of(left) > 0

        return await self.database.run(work)


def _stored(message: Message | Row[Any], body: Body) -> StoredMessage:
    """Return a row as the message it is, with its body opened."""
    return StoredMessage(
        message.sequence,
        message.author,
        body,
        message.client_id,
        message.in_reply_to,
        message.last,
        message.flagged,
        message.created_at_utc,
    )


def _count_reply(session: Session, channel: str, reply: Reply, now: datetime) -> None:
    """Count a card or a line with the number as a referral by the category heard, anything else as content shown."""
    if reply.flagged:
        name = "referral" if reply.body.get("card") else "referral_line"
        category = reply.item.removeprefix("card/").partition("#")[0] if reply.item else ""
        count(session, now, channel, name, category if reply.item and reply.item.startswith("card/") else "")
    elif reply.item:
        count(session, now, channel, "shown", reply.item)


def rows_of(result: Any) -> int:
    """Return how many rows a statement changed."""
    return result.rowcount if isinstance(result, CursorResult) else 0

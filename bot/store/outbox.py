"""The outbox: messages on their way to phones, each in one state, which only moves forward.

queued -> sending -> sent -> delivered | failed; unknown is where nobody can say whether it was sent.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Row, and_, exists, func, or_, select, update
from sqlalchemy.orm import Session, aliased

from bot.errors import UnreadableBody
from bot.store import contacts
from bot.store.cipher import Cipher
from bot.store.engine import Database
from bot.store.flags import raise_flag
from bot.store.models import Contact, Flag, Message, Posting
from bot.store.values import Body, FlagRaised

STATES = ("queued", "sending", "sent", "delivered", "failed", "unknown")
WEBHOOK_FIRST_SECONDS = 10.0  # longer than a webhook waits (bot/channels/sms.py): its answer carries what is ready
IN_FLIGHT_SECONDS = 6.0  # longer than an API call lasts (bot/channels/twilio.py): by another desk, perhaps
# So long after the person's last words a text still is an answer: they hold the phone. Our judgement, not a measure.
ANSWER_SECONDS = 300.0
STOPPED, DAILY, UNREADABLE, LATE, UNSAFE = "stopped", "daily_limit", "unreadable", "late", "not_safe"
# From which states each may be reached. Back to queued: the provider is known not to have it.
BEFORE = {
    "queued": ("sending", "sent"),
    "sending": ("queued",),
    "sent": ("queued", "sending", "unknown"),
    "delivered": ("queued", "sending", "sent", "unknown"),
    "failed": ("queued", "sending", "sent", "unknown"),
    "unknown": ("sending",),
}


@dataclass(frozen=True)
class Letter:
    """A message to be sent, or to be asked after. `closes`: nothing follows it in its turn. `known` holds
    the provider's ids of the conversation's so far."""

    id: str
    conversation: str
    sequence: int
    address: str
    body: Body
    card: bool
    attempts: int
    changed_at_utc: datetime
    written_at_utc: datetime
    closes: bool
    known: frozenset[str] = frozenset()


def post(session: Session, conversation: str, sequence: int, author: str, *, card: bool, now: datetime) -> None:
    """Put a message just stored into the outbox; what a counselor wrote is due at once, as no webhook waits for it."""
    wait = WEBHOOK_FIRST_SECONDS if author == "bot" else 0.0
    stopped = contacts.is_stopped(session, conversation)
    session.add(
        Posting(
            id=str(uuid.uuid4()),
            conversation_id=conversation,
            sequence=sequence,
            card=card,
            state="failed" if stopped else "queued",
            error=STOPPED if stopped else None,
            attempts=0,
            not_before_utc=now + timedelta(seconds=wait),
            changed_at_utc=now,
        )
    )


def hold_back(session: Session, conversation: str, before: int, now: datetime) -> None:
    """Send nothing more that waits from before a message: its person opted out."""
    session.execute(
        update(Posting)
        .where(Posting.conversation_id == conversation, Posting.state == "queued", Posting.sequence < before)
        .values(state="failed", error=STOPPED, changed_at_utc=now)
    )


class Outbox:
    def __init__(self, database: Database, cipher: Cipher) -> None:
        self._database, self._cipher = database, cipher

    async def claim(
        self, conversation: str, sequences: Sequence[int], now: datetime, daily: int, *, repeated: bool = False
    ) -> dict[int, str]:
        """Take queued messages for a webhook's answer: outbox id by sequence. Whoever claims first sends.

        Over the daily ceiling only cards are given; the others fail visibly. `repeated`: the provider asks again, so a
        card that is `sending` is given again.
        """

        def work(session: Session) -> dict[int, str]:
            named = (Posting.conversation_id == conversation, Posting.sequence.in_(sequences))
            queued = Posting.state == "queued"
            if not self._has_room(session, now, daily):
                self._refuse(session, [*named, queued, ~Posting.card], now)
            in_doubt = and_(Posting.state == "sending", Posting.card)
            taken = session.execute(
                update(Posting)
                .where(*named, or_(queued, in_doubt) if repeated else queued)
                .values(state="sending", attempts=Posting.attempts + 1, changed_at_utc=now)
                .returning(Posting.sequence, Posting.id)
            )
            return {sequence: posting for sequence, posting in taken}

        return await self._database.run(work) if sequences else {}

    async def due(self, now: datetime, daily: int, limit: int = 20) -> list[Letter]:
        """Take what is due, the oldest first, one message a conversation so that their order stays; cards wait for
        nothing. Replicas pass over what another one holds.

        Whoever is sent answers only gets nothing, no card either, once their own words are ANSWER_SECONDS old: it fails
        as `not_safe`, which counselors see, and a card raises the flag again.
        """
        is_due = (Posting.state == "queued", Posting.not_before_utc <= now)
        if not await self._database.run(lambda session: session.scalar(select(exists().where(*is_due))), writes=False):
            return []  # the usual answer, and it takes no turn among the writers
        earlier = aliased(Posting)
        in_flight = and_(
            earlier.state == "sending", earlier.changed_at_utc > now - timedelta(seconds=IN_FLIGHT_SECONDS)
        )
        waits = exists().where(
            earlier.conversation_id == Posting.conversation_id,
            earlier.sequence < Posting.sequence,
            or_(earlier.state == "queued", in_flight),
        )
        query = (
            select(Posting)
            .where(*is_due, or_(Posting.card, ~waits))
            .order_by(Posting.not_before_utc, Posting.sequence)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )

        def work(session: Session) -> list[Letter]:
            has_room = self._has_room(session, now, daily)
            letters = []
            for row in session.scalars(query):
                row.changed_at_utc = now
                if contacts.is_quiet(session, row.conversation_id) and not _is_answer(session, row, now):
                    self._fail(session, row, UNSAFE, now)
                elif not has_room and not row.card:
                    row.state, row.error = "failed", DAILY
                elif letter := self._open(session, row):
                    row.state, row.attempts = "sending", row.attempts + 1
                    letters.append(letter)
                else:
                    self._fail(session, row, UNREADABLE, now)
            return letters

        return await self._database.run(work)

    async def stuck(self, now: datetime, after_seconds: float, limit: int = 20) -> list[Letter]:
        """Return what has been `sending` for too long: nobody here knows whether it was sent."""
        since = now - timedelta(seconds=after_seconds)
        query = select(Posting).where(Posting.state == "sending", Posting.changed_at_utc <= since).limit(limit)

        def work(session: Session) -> list[Letter]:
            found = []
            for row in session.scalars(query):
                if letter := self._open(session, row):
                    found.append(letter)
                else:
                    self._fail(session, row, UNREADABLE, now)
            return found

        return await self._database.run(work)

    async def attempts(self, posting: str) -> int:
        """Return how often a message was tried; 0 when there is none (it was erased)."""

        def work(session: Session) -> int:
            row = session.get(Posting, posting)
            return row.attempts if row else 0

        return await self._database.run(work, writes=False)

    async def move(
        self,
        posting: str,
        state: str,
        now: datetime,
        *,
        provider_id: str | None = None,
        error: str | None = None,
        wait_seconds: float = 0.0,
        as_of: datetime | None = None,
        heard: bool = False,
    ) -> bool:
        """Bring a message forward to a state; False when that would be backward, or there is no such message.

        `as_of`: only if nothing changed since. `heard`: the provider's callback about the try `provider_id`; of an
        earlier try it changes nothing. A card that failed raises the flag again; "stopped" as error opts out.
        """

        def work(session: Session) -> bool:
            row = session.get(Posting, posting, with_for_update=True)
            if row is None or row.state not in BEFORE[state] or as_of not in (None, row.changed_at_utc):
                return False
            if heard and _is_of_earlier_try(row, provider_id):
                return False
            row.provider_id = provider_id or row.provider_id
            row.changed_at_utc = now
            if state == "failed":
                self._fail(session, row, error or "", now)
                return True
            row.state, row.error = state, error
            row.not_before_utc = now + timedelta(seconds=wait_seconds)
            return True

        return await self._database.run(work)

    async def counts(self, now: datetime) -> dict[str, int]:
        """Return how many messages are in each state: all that wait, of the others those of the last day."""
        recent = Posting.changed_at_utc > now - timedelta(days=1)
        query = (
            select(Posting.state, func.count())
            .where(or_(Posting.state.in_(("queued", "sending")), recent))
            .group_by(Posting.state)
        )
        rows = await self._database.run(lambda session: session.execute(query).all(), writes=False)
        return dict.fromkeys(STATES, 0) | {state: count for state, count in rows}

    def _has_room(self, session: Session, now: datetime, daily: int) -> bool:
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        query = select(func.count()).where(
            Posting.changed_at_utc >= midnight, Posting.state.not_in(("queued", "failed"))
        )
        return (session.scalar(query) or 0) < daily

    def _refuse(self, session: Session, which: list[Any], now: datetime) -> None:
        session.execute(update(Posting).where(*which).values(state="failed", error=DAILY, changed_at_utc=now))

    def _fail(self, session: Session, row: Posting, error: str, now: datetime) -> None:
        row.state, row.error, row.changed_at_utc = "failed", error[:24], now
        if row.card:
            raise_flag(session, row.conversation_id, self._flag(session, row), row.sequence, now)
        if error == STOPPED and not contacts.is_stopped(session, row.conversation_id):
            contacts.consent(session, row.conversation_id, "stop", "provider_refusal", now)
            hold_back(session, row.conversation_id, 2**31 - 1, now)

    def _flag(self, session: Session, row: Posting) -> FlagRaised:
        """Return the crisis of a card that failed, as it was heard last."""
        heard = session.scalars(
            select(Flag)
            .where(Flag.conversation_id == row.conversation_id, Flag.kind == "crisis")
            .order_by(Flag.last_heard_at_utc.desc())
        ).first()
        if heard is None:
            return FlagRaised("crisis", heard_by="desk")
        return FlagRaised("crisis", heard.category, heard.about, "desk")

    def _open(self, session: Session, row: Posting) -> Letter | None:
        """Return a row as a letter; None when its message or number is gone or opens with no key."""
        message, contact = self._message(session, row), session.get(Contact, row.conversation_id)
        if message is None or contact is None or contact.address is None:
            return None
        known = session.scalars(
            select(Posting.provider_id).where(
                Posting.conversation_id == row.conversation_id, Posting.provider_id.is_not(None)
            )
        )
        try:
            address, body = self._cipher.open(contact.address), self._cipher.open(message.body)
        except UnreadableBody:
            return None
        return Letter(
            row.id,
            row.conversation_id,
            row.sequence,
            address,
            body,
            row.card,
            row.attempts + (row.state == "queued"),
            row.changed_at_utc,
            message.created_at_utc,
            message.last,
            frozenset(each for each in known if each),
        )

    def _message(self, session: Session, row: Posting) -> Row[Any] | None:
        ours = and_(Message.conversation_id == row.conversation_id, Message.sequence == row.sequence)
        columns = (Message.body, Message.created_at_utc, Message.last)
        return cast("Row[Any] | None", session.execute(select(*columns).where(ours)).first())


def _is_answer(session: Session, row: Posting, now: datetime) -> bool:
    """Whether the person has written within ANSWER_SECONDS."""
    wrote = select(func.max(Message.created_at_utc)).where(
        Message.conversation_id == row.conversation_id, Message.author == "person"
    )
    at = session.scalar(wrote)
    return at is not None and now - at <= timedelta(seconds=ANSWER_SECONDS)


def _is_of_earlier_try(row: Posting, provider_id: str | None) -> bool:
    """Whether a callback is about another try than the one in hand: while sending, the id kept is the last try's."""
    if row.state == "sending":
        return row.provider_id is not None and row.provider_id == provider_id
    return row.provider_id is not None and row.provider_id != provider_id

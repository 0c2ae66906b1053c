"""Flags nobody has taken: who was told of them, how often, and who acknowledged. The database decides who tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from bot.store import contacts
from bot.store.flags import KINDS, waiting_since
from bot.store.models import Conversation, Counselor, Flag, Notice
from bot.store.record import rows_of
from bot.store.takeover import Takeover
from bot.store.values import Context, Reply

PERSON, WEBHOOK, EMAIL = "person", "webhook", "email"
OWNER_WAYS = (WEBHOOK, EMAIL)


@dataclass(frozen=True)
class Told:
    """What one way's notices have come to since the flag began to wait. `due_at_utc`: when the next may go."""

    since_utc: datetime
    due_at_utc: datetime
    sent: int
    sent_at_utc: datetime | None


@dataclass(frozen=True)
class Waiting:
    """An open flag nobody has taken. `tells_person`: its person hears of it, and can be told now.

    `unacknowledged_since_utc` is None once somebody acknowledged it and no danger was said after that.
    """

    flag: int
    conversation: str
    kind: str
    category: str | None
    channel: str
    opened_at_utc: datetime
    since_utc: datetime
    unacknowledged_since_utc: datetime | None
    acknowledged_by: str | None
    tells_person: bool
    told: dict[str, Told]


class Watch:
    def __init__(self, takeover: Takeover) -> None:
        self._takeover, self._database = takeover, takeover.database
        insert: Any = sqlite.insert if self._database.backend == "sqlite" else postgresql.insert
        made = insert(Notice)
        self._begin = made.on_conflict_do_update(
            index_elements=["flag_id", "way"],
            set_={name: made.excluded[name] for name in ("since_utc", "due_at_utc", "tries", "sent")},
            where=Notice.since_utc != made.excluded.since_utc,
        )

    async def waiting(self, now: datetime) -> list[Waiting]:
        """Return the open flags nobody has taken and nobody put off, crises first, then who has waited longest."""
        return await self._database.run(lambda session: _waiting(session, now), writes=False)

    async def tell_person(
        self, waiting: Waiting, say: Callable[[Context, str], Reply], now: datetime, again_at: datetime, most: int
    ) -> bool:
        """Say the notice to the person, in one transaction with the note that it was said: once, whoever asks."""

        def work(session: Session) -> bool:
            row = session.get(Conversation, waiting.conversation, with_for_update=True)
            still = [each for each in _waiting(session, now, waiting.flag) if each.tells_person]
            if row is None or not still or not self._take(session, still[0], PERSON, still[0].since_utc, now, again_at):
                return False
            notice = session.get_one(Notice, (waiting.flag, PERSON), populate_existing=True)
            if notice.sent >= most:
                return False
            notice.sent, notice.sent_at_utc, notice.tries = notice.sent + 1, now, 0
            self._takeover.say(session, row, say, now)
            return True

        return await self._database.run(work)

    async def take(self, waiting: Waiting, way: str, now: datetime, lease: timedelta) -> tuple[Waiting, int] | None:
        """Take a notice to the owner for as long as the lease: the flag as it is now, and which try this is.

        None: another process has it, it is not due, or somebody took or acknowledged the flag meanwhile. Whoever dies
        with a notice in hand leaves it to the next one when the lease is over.
        """

        def work(session: Session) -> tuple[Waiting, int] | None:
            for still in _waiting(session, now, waiting.flag):
                since = still.unacknowledged_since_utc
                if since is not None and self._take(session, still, way, since, now, now + lease):
                    return still, session.get_one(Notice, (still.flag, way), populate_existing=True).tries
            return None

        return await self._database.run(work)

    async def settle(
        self, waiting: Waiting, way: str, now: datetime, *, sent: bool, again_at: datetime, taken_until: datetime
    ) -> None:
        """Note how a notice went, and when the next is due; nothing when the lease ran out meanwhile."""
        ours = (Notice.flag_id == waiting.flag, Notice.way == way, Notice.due_at_utc == taken_until)
        values: dict[str, Any] = {"due_at_utc": again_at}
        if sent:
            values |= {"sent": Notice.sent + 1, "sent_at_utc": now, "tries": 0}
        await self._database.run(lambda session: session.execute(update(Notice).where(*ours).values(values)))

    async def acknowledge(self, flag: int, counselor: int, now: datetime) -> bool:
        """Note that somebody knows of a flag: the owner is told no more, until new danger. False: nobody waits."""

        def work(session: Session) -> bool:
            row = session.get(Flag, flag, with_for_update=True)
            if row is None or row.state != "open":
                return False
            row.acknowledged_by, row.acknowledged_at_utc = counselor, now
            self._takeover.audit.add(session, now, counselor, "acknowledge", row.conversation_id)
            return True

        return await self._database.run(work)

    async def conversation_of(self, flag: int) -> str | None:
        """Return the conversation of a flag that is not closed."""
        query = select(Flag.conversation_id).where(Flag.id == flag, Flag.state != "closed")
        return await self._database.run(lambda session: session.scalar(query), writes=False)

    def _take(
        self, session: Session, waiting: Waiting, way: str, since: datetime, now: datetime, until: datetime
    ) -> bool:
        made = {"flag_id": waiting.flag, "way": way, "since_utc": since, "due_at_utc": now, "tries": 0, "sent": 0}
        session.execute(self._begin, made)
        due = update(Notice).where(Notice.flag_id == waiting.flag, Notice.way == way, Notice.due_at_utc <= now)
        return rows_of(session.execute(due.values(due_at_utc=until, tries=Notice.tries + 1))) == 1


def _waiting(session: Session, now: datetime, only: int | None = None) -> list[Waiting]:
    query = (
        select(Flag, Conversation, Counselor.display_name)
        .join(Conversation, Conversation.id == Flag.conversation_id)
        .outerjoin(Counselor, Counselor.id == Flag.acknowledged_by)
        .where(Flag.state == "open", Conversation.voice != "counselor")
    )
    found = [
        row for row in session.execute(query) if row[0].check_back_at_utc is None or row[0].check_back_at_utc <= now
    ]
    told: dict[int, dict[str, Told]] = {}
    ids = [flag.id for flag, _, _ in found if only in (None, flag.id)]
    for notice in session.scalars(select(Notice).where(Notice.flag_id.in_(ids))) if ids else ():
        told.setdefault(notice.flag_id, {})[notice.way] = Told(
            notice.since_utc, notice.due_at_utc, notice.sent, notice.sent_at_utc
        )
    in_crisis = {flag.conversation_id for flag, _, _ in found if flag.kind == "crisis"}
    each = [
        Waiting(
            flag.id,
            conversation.id,
            flag.kind,
            flag.category,
            conversation.channel,
            flag.opened_at_utc,
            waiting_since(flag),
            _unacknowledged_since(flag),
            name,
            _tells_person(session, flag, conversation, in_crisis),
            told.get(flag.id, {}),
        )
        for flag, conversation, name in found
        if flag.id in ids
    ]
    return sorted(each, key=lambda one: (KINDS.index(one.kind), one.since_utc))


def _unacknowledged_since(flag: Flag) -> datetime | None:
    since, seen = waiting_since(flag), flag.acknowledged_at_utc
    if seen is None or seen < since:
        return since
    return flag.last_heard_at_utc if flag.last_heard_at_utc > seen else None


def _tells_person(session: Session, flag: Flag, conversation: Conversation, in_crisis: set[str]) -> bool:
    """Whether this flag's notice is the one its person gets: one a conversation, never where a text may not go."""
    if conversation.erased_at_utc or (flag.kind != "crisis" and conversation.id in in_crisis):
        return False
    return conversation.channel != "sms" or contacts.may_text(session, conversation.id)

"""Looking after the record: retention, and sealing everything again with the newest key. Safe to repeat, any time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Update, delete, exists, select, update
from sqlalchemy.orm import Session

from bot.store import contacts
from bot.store.cipher import Cipher
from bot.store.engine import Database
from bot.store.models import Contact, Conversation, Counselor, Flag, Message, Posting, Sighting
from bot.store.record import rows_of

BATCH = 200  # rows a transaction: short enough that no turn waits long behind one


class Upkeep:
    """`token_days`: for so long an erased conversation's empty row stays, that no token may bring it back."""

    def __init__(self, database: Database, cipher: Cipher, token_days: int) -> None:
        self._database, self._cipher, self._token_days = database, cipher, token_days

    def expire(self, now: datetime, *, keep_days: int, keep_flagged_days: int) -> int:
        """Delete what nobody needs any more; return how many conversations went. Raises StoreAway.

        A conversation without a flag goes `keep_days` after its last message, one that was ever flagged after
        `keep_flagged_days`. An open flag stays, with kind and times, until a counselor has closed it.
        """
        flagged = exists().where(Flag.conversation_id == Conversation.id)
        open_flag = exists().where(Flag.conversation_id == Conversation.id, Flag.state != "closed")
        has_text = exists().where(Message.conversation_id == Conversation.id)
        erased = Conversation.erased_at_utc.is_not(None)
        due = (
            ~erased & ~flagged & (Conversation.last_at_utc < now - timedelta(days=keep_days))
            | ~erased & flagged & (Conversation.last_at_utc < now - timedelta(days=keep_flagged_days))
            | erased & (Conversation.erased_at_utc < now - timedelta(days=self._token_days + 1))
        )
        found = select(Conversation.id).where(due, ~open_flag | has_text).limit(BATCH).with_for_update(skip_locked=True)
        gone = 0
        while ids := self._database.call(lambda session: _delete(session, list(session.scalars(found)), now)):
            gone += ids
        if gone:
            self._tidy()
        return gone

    def reseal(self) -> tuple[int, int]:
        """Seal every body, state, number and TOTP secret with the newest key.

        Returns how many were changed and how many open with no key. A row that changes meanwhile is left to the next
        call: call again until nothing was changed.
        """
        sealed: list[tuple[Any, Any]] = [(Message.id, Message.body), (Conversation.id, Conversation.state)]
        sealed += [(Contact.conversation_id, Contact.address), (Counselor.id, Counselor.totp_secret)]
        done = [self._reseal(key, column) for key, column in sealed]
        changed, strange = sum(each[0] for each in done), sum(each[1] for each in done)
        if changed:
            self._tidy()
        return changed, strange

    def _reseal(self, key: Any, column: Any) -> tuple[int, int]:
        """Seal one column anew, batch by batch; a row is changed only while it still holds what was read."""
        changed = strange = 0
        rows = self._read(key, column, None)
        while rows:
            sealed = [(row_id, old, self._cipher.reseal(old)) for row_id, old in rows]
            strange += sum(new is None for _, _, new in sealed)
            todo = [
                update(column.class_).where(key == row_id, column == old).values({column.key: new})
                for row_id, old, new in sealed
                if new is not None and new != old
            ]
            changed += self._write(todo) if todo else 0
            rows = self._read(key, column, rows[-1][0])
        return changed, strange

    def _read(self, key: Any, column: Any, after: Any) -> Sequence[Any]:
        query = select(key, column).where(column.is_not(None)).order_by(key).limit(BATCH)
        if after is not None:
            query = query.where(key > after)
        return self._database.call(lambda session: session.execute(query).all(), writes=False)

    def _write(self, statements: Sequence[Update]) -> int:
        def write(session: Session) -> int:
            return sum(rows_of(session.execute(statement)) for statement in statements)

        return self._database.call(write)

    def _tidy(self) -> None:
        """Leave no old bytes in SQLite's log; PostgreSQL's own vacuum does the same in its time."""
        if self._database.backend == "sqlite":
            self._database.checkpoint()


def _delete(session: Session, ids: list[str], now: datetime) -> int:
    """Delete these conversations; of one with an open flag only the text goes."""
    if not ids:
        return 0
    session.execute(delete(Message).where(Message.conversation_id.in_(ids)))
    session.execute(delete(Posting).where(Posting.conversation_id.in_(ids)))
    contacts.forget(session, ids)
    session.execute(delete(Sighting).where(Sighting.conversation_id.in_(ids)))
    session.execute(delete(Flag).where(Flag.conversation_id.in_(ids), Flag.state == "closed"))
    still = select(Flag.conversation_id).where(Flag.conversation_id.in_(ids))
    session.execute(
        update(Conversation)
        .where(Conversation.id.in_(ids), Conversation.id.in_(still))
        .values(state=None, erased_at_utc=now)
    )
    session.execute(delete(Conversation).where(Conversation.id.in_(ids), Conversation.id.not_in(still)))
    return len(ids)

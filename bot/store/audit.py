"""The audit: what counselors did, append-only, each entry chained to the one before under a locked head row.

The chain is keyed with a secret that is not in the database: who can write only there cannot mend it after a change,
nor cut its end off, which the head's seal binds. An older copy of the whole log put back can be found only by an end
that was noted elsewhere: `verify` gives it, and takes it back.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from bot.store.engine import Database
from bot.store.models import AuditEntry, AuditHead, Counselor

# Written down and never anything else: an entry holds no words of anybody.
ACTIONS = frozenset(
    {"sign_in", "sign_in_refused", "sign_out", "open", "claim", "reply", "hand_back", "close", "transfer"}
)
ACTIONS |= {"received", "gone", "end_contact", "account_added", "account_reset", "account_disabled", "password_changed"}
ACTIONS |= {"acknowledge", "export", "hand_over", "reveal", "review"}
ACTIONS |= {"follow_up_agreed", "follow_up_sent", "follow_up_cancelled"}
OUTCOMES = {
    "reached": "Reached the person",
    "hotline": "Connected to a hotline",
    "emergency_called": "Emergency services called by a counselor",
    "no_answer": "No answer",
    "not_a_crisis": "Not a crisis",
    "other_service": "Handed to another service",
}
CHECK_BACK_MINUTES = {"30_minutes": 30, "1_hour": 60, "2_hours": 120, "4_hours": 240, "1_day": 1440}
# On what ground a conversation is given to somebody outside (42 CFR 2.31, 2.51, 2.61 and following; 2.23).
GROUNDS = {
    "consent": "The person's written consent",
    "own_request": "The person asked for it themself",
    "emergency": "A medical emergency",
    "court_order": "A court order",
}
HANDOVERS = {
    "with_somebody": "Somebody is with the person",
    "line_given": "The person has a line to call",
    "will_write_again": "The person will write again",
    "did_not_answer": "The person did not answer any more",
    "services_called": "Emergency services were called",
    "still_talking": "We were still talking",
}
REVEAL_REASONS = {
    "emergency_services": "To give it to emergency services",
    "asked_to_be_called": "The person asked to be called",
    "report_required": "For a report the law asks for",
}
DETAILS = frozenset({"", "counselor", "lead", "auditor", "reviewed_text", "report"})
DETAILS |= {*OUTCOMES, *CHECK_BACK_MINUTES, *GROUNDS, *HANDOVERS, *REVEAL_REASONS}


@dataclass(frozen=True)
class Entry:
    """One line as the auditor reads it."""

    id: int
    at_utc: datetime
    counselor: str
    action: str
    conversation: str | None
    detail: str


class Audit:
    def __init__(self, key: str) -> None:
        self._key = hashlib.sha256(b"handrail.audit\n" + key.encode()).digest()

    def add(
        self,
        session: Session,
        now: datetime,
        counselor: int,
        action: str,
        conversation: str | None = None,
        detail: str = "",
    ) -> None:
        """Add an entry in the caller's transaction: what is done and that it was done are stored together."""
        if action not in ACTIONS or detail not in DETAILS:
            raise ValueError("not an action or detail of the audit")
        head = session.get_one(AuditHead, 1, with_for_update=True)
        entry = AuditEntry(
            id=head.last_id + 1,
            at_utc=now,
            counselor_id=counselor,
            action=action,
            conversation_id=conversation,
            detail=detail,
            previous_hash=head.hash,
        )
        entry.hash = self._hash(entry)
        session.add(entry)
        head.last_id, head.hash = entry.id, entry.hash
        head.seal = self._seal(head)
        session.flush()

    def verify(self, database: Database, noted: str = "") -> tuple[str, str | None]:
        """Return the log's end as `<number>:<hash>`, and what is wrong with the first entry not as it was written.

        `noted`: the end an earlier call gave, which must still be in the log.
        """
        return database.call(lambda session: self._verify(session, noted), writes=False)

    def _verify(self, session: Session, noted: str = "") -> tuple[str, str | None]:
        previous, count = "", 0
        number, _, known = noted.partition(":")
        for entry in session.scalars(select(AuditEntry).order_by(AuditEntry.id).execution_options(yield_per=1000)):
            count += 1
            if entry.id != count:
                return f"{count - 1}:{previous}", f"entry {count} is missing"
            if entry.previous_hash != previous or not hmac.compare_digest(entry.hash, self._hash(entry)):
                return f"{count - 1}:{previous}", f"entry {entry.id} is not as it was written"
            previous = entry.hash
            if number == str(count) and known != previous:
                return f"{count}:{previous}", f"entry {count} is not the one noted before"
        end = f"{count}:{previous}"
        head = session.get_one(AuditHead, 1)
        if (head.last_id, head.hash) != (count, previous):
            return end, f"entries after {count} are missing"
        if count and head.seal != self._seal(head):
            return end, f"the end of the log was changed: entries after {count} may be missing"
        if noted and not (number.isdecimal() and 0 < int(number) <= count):
            return end, f"entries after {count} are missing: the end noted before was {number}"
        return end, None

    def _seal(self, head: AuditHead) -> str:
        return hmac.new(self._key, f"end:{head.last_id}:{head.hash}".encode(), hashlib.sha256).hexdigest()

    def _hash(self, entry: AuditEntry) -> str:
        at = entry.at_utc.replace(tzinfo=None).isoformat()
        fields: list[Any] = [entry.id, at, entry.counselor_id, entry.action, entry.conversation_id, entry.detail]
        return hmac.new(self._key, json.dumps([*fields, entry.previous_hash]).encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Sought:
    """What an auditor looks for; empty fields leave all. Days are in UTC, the last one included."""

    counselor: str = ""
    action: str = ""
    conversation: str = ""
    first_day: date | None = None
    last_day: date | None = None


def find_entries(session: Session, sought: Sought, before: int | None, limit: int) -> list[Entry]:
    """Return the newest entries sought below the id `before`, newest first."""
    query = (
        select(AuditEntry, Counselor.name).outerjoin(Counselor, Counselor.id == AuditEntry.counselor_id).limit(limit)
    )
    if before is not None:
        query = query.where(AuditEntry.id < before)
    if sought.counselor:
        query = query.where(Counselor.name == sought.counselor)
    if sought.action:
        query = query.where(AuditEntry.action == sought.action)
    if sought.conversation:
        query = query.where(AuditEntry.conversation_id.startswith(sought.conversation, autoescape=True))
    if sought.first_day:
        query = query.where(AuditEntry.at_utc >= datetime.combine(sought.first_day, time(), UTC))
    if sought.last_day:
        query = query.where(AuditEntry.at_utc < datetime.combine(sought.last_day + timedelta(days=1), time(), UTC))
    return [
        Entry(row.id, row.at_utc, name or "", row.action, row.conversation_id, row.detail)
        for row, name in session.execute(query.order_by(AuditEntry.id.desc()))
    ]


def has_viewed(session: Session, counselor: int, conversation: str, since: datetime) -> bool:
    """Whether the audit knows that a counselor has read a conversation since then."""
    seen = select(AuditEntry.id).where(
        AuditEntry.counselor_id == counselor,
        AuditEntry.conversation_id == conversation,
        AuditEntry.action == "open",
        AuditEntry.at_utc >= since,
    )
    return session.scalar(seen.limit(1)) is not None

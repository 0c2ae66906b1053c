"""Numbers and consents of the SMS channel, inside the record's transactions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, exists, select, update
from sqlalchemy.orm import Session

from bot.store.cipher import Cipher
from bot.store.models import Consent, Contact, FollowUp, MissReview

# After language of these categories whoever hurts the person may read the phone. child_danger is among them because the
# guard files "he hits me and reads my phone" and "my dad hits me" there (tried 2026-11-23).
MAY_BE_READ = frozenset({"violence", "child_danger"})


def is_stopped(session: Session, conversation: str) -> bool:
    """Whether the person behind a conversation has opted out."""
    contact = session.get(Contact, conversation)
    return contact is not None and contact.stopped_at_utc is not None


def is_quiet(session: Session, conversation: str) -> bool:
    """Whether the person behind a conversation is sent answers only, and nothing unprompted."""
    contact = session.get(Contact, conversation)
    return contact is not None and contact.quiet_since_utc is not None


def may_text(session: Session, conversation: str) -> bool:
    """Whether a text nobody asked for may go to a phone now: to follow up, or to say that nobody has come."""
    return not is_stopped(session, conversation) and not is_quiet(session, conversation)


def meet(
    session: Session, cipher: Cipher, conversation: str, address: str, now: datetime, *, consents: bool = True
) -> None:
    """Keep the number of somebody who wrote; the first time their writing is the consent to be answered.

    `consents` False: what they wrote opts in or out itself and is recorded as that.
    """
    contact = session.get(Contact, conversation)
    if contact is None:
        session.add(Contact(conversation_id=conversation, address=cipher.seal(address), created_at_utc=now))
        if consents:
            _note(session, conversation, "start", "first_contact", now)
    elif contact.address is None:
        contact.address = cipher.seal(address)


def consent(session: Session, conversation: str, kind: str, source: str, now: datetime) -> bool:
    """Record a change of what a number may be sent: "start", "stop", "quiet" or "safe".

    False when it was said before what holds now (it came out of the spool): then it is recorded and changes nothing.
    """
    contact = session.get_one(Contact, conversation)
    pair = ("start", "stop") if kind in ("start", "stop") else ("quiet", "safe")
    later = (Consent.conversation_id == conversation, Consent.kind.in_(pair), Consent.at_utc > now)
    holds = not session.scalar(select(exists().where(*later)))
    if holds and kind in ("start", "stop"):
        contact.stopped_at_utc = (contact.stopped_at_utc or now) if kind == "stop" else None
    elif holds:
        contact.quiet_since_utc = (contact.quiet_since_utc or now) if kind == "quiet" else None
    _note(session, conversation, kind, source, now)
    return holds


def hear_danger(session: Session, conversation: str, category: str | None, now: datetime) -> None:
    """Send answers only from now on, if a flag's category says that somebody else may read the phone."""
    if category not in MAY_BE_READ or is_quiet(session, conversation):
        return
    if session.get(Contact, conversation) is not None:
        consent(session, conversation, "quiet", "danger", now)


def forget(session: Session, conversations: Sequence[str]) -> None:
    """Forget these numbers and what was agreed; of an opt-out stays that it is one, without the number."""
    session.execute(delete(FollowUp).where(FollowUp.conversation_id.in_(conversations)))
    session.execute(delete(MissReview).where(MissReview.conversation_id.in_(conversations)))
    ours = Contact.conversation_id.in_(conversations)
    session.execute(delete(Contact).where(ours, Contact.stopped_at_utc.is_(None)))
    session.execute(update(Contact).where(ours).values(address=None, quiet_since_utc=None))
    still = select(Contact.conversation_id).where(ours)
    session.execute(
        delete(Consent).where(Consent.conversation_id.in_(conversations), Consent.conversation_id.not_in(still))
    )


def _note(session: Session, conversation: str, kind: str, source: str, now: datetime) -> None:
    session.add(Consent(conversation_id=conversation, kind=kind, source=source, at_utc=now))

"""Whether a person can be reached by SMS, and which messages did not arrive, for counselors. Reads only."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from bot.store import contacts
from bot.store.models import Posting


@dataclass(frozen=True)
class Delivery:
    """`reach`: "stopped" (opted out: nothing can be sent), "quiet" (answers only), or None. `troubles`: state ("failed"
    or "unknown") and error by the message's sequence."""

    reach: str | None = None
    troubles: dict[int, tuple[str, str]] = field(default_factory=dict)


def delivery_of(session: Session, conversation: str) -> Delivery:
    """Return how it stands with a conversation's texts; nothing of one that is not by SMS."""
    reach = None
    if contacts.is_stopped(session, conversation):
        reach = "stopped"
    elif contacts.is_quiet(session, conversation):
        reach = "quiet"
    query = select(Posting.sequence, Posting.state, Posting.error).where(
        Posting.conversation_id == conversation, Posting.state.in_(("failed", "unknown"))
    )
    troubles = {sequence: (state, error or "") for sequence, state, error in session.execute(query)}
    return Delivery(reach, troubles)

"""What goes into the record's transactions and comes out of them: frozen values, no rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

Body = dict[str, Any]


@dataclass(frozen=True)
class Texted:
    """What a message by SMS has besides its text. `address` is the number it came from, as +15551234567.

    `opted`: the provider says it has handled this keyword itself: "stop", "start" or "help". `held`: "limit" (say once
    that it is too much) or "silent" (say nothing), unless it is a crisis.
    """

    address: str
    media: bool = False
    opted: str | None = None
    held: str | None = None


@dataclass(frozen=True)
class Inbound:
    """One message as a channel received it. `text` is what the person wrote, or the label of the choice they took."""

    conversation: str
    channel: str
    language: str
    client_id: str
    text: str
    received_at_utc: datetime
    choice: str | None = None
    texted: Texted | None = None


@dataclass(frozen=True)
class FlagRaised:
    """`span`: which characters of the message raised it, from and up to; None when no single words did."""

    kind: str
    category: str | None = None
    about: str | None = None
    heard_by: str = "guard"
    span: tuple[int, int] | None = None


@dataclass(frozen=True)
class Reply:
    """One message to be stored for the person: its body, and the item it came from (for sightings)."""

    body: Body
    item: str | None = None
    flagged: bool = False


@dataclass(frozen=True)
class StoredMessage:
    """A message as it is shown. `sequence` is None for one that has no place in the record."""

    sequence: int | None
    author: str
    body: Body
    client_id: str | None
    in_reply_to: int | None
    last: bool
    flagged: bool
    created_at_utc: datetime


@dataclass(frozen=True)
class OpenFlag:
    kind: str
    category: str | None
    about: str | None
    state: str
    opened_at_utc: datetime


HELPED = "#helped"  # after an item's id in the sightings: the person said it helped


@dataclass(frozen=True)
class Context:
    """What a conversation's record says at this moment, for choosing words. `seen`: item id -> last shown.

    By SMS, `stopped`: the person opted out; `quiet`: they are sent answers only.
    `heard_at_utc`: when the person wrote last, before the message at hand.
    """

    language: str
    voice: str
    flags: tuple[OpenFlag, ...]
    seen: dict[str, datetime]
    recent_texts: tuple[str, ...]
    recent_bodies: tuple[Body, ...]
    turn: int
    is_new: bool = False
    stopped: bool = False
    quiet: bool = False
    began_at_utc: datetime | None = None
    heard_at_utc: datetime | None = None

    @property
    def shown(self) -> list[str]:
        """The items shown, the longest ago first."""
        return [item for _, item in sorted((at, item) for item, at in self.seen.items() if "#" not in item)]

    @property
    def helped(self) -> frozenset[str]:
        """The items the person said helped."""
        return frozenset(item.removesuffix(HELPED) for item in self.seen if item.endswith(HELPED))

    @property
    def crisis(self) -> OpenFlag | None:
        return next((flag for flag in self.flags if flag.kind == "crisis"), None)


@dataclass(frozen=True)
class Composed:
    """What a message calls for, decided inside transaction A: replies now, a flag, or a turn later (`needs_turn`).

    `concern`: it tells of distress without danger; kept for the turn and stored nowhere. `consent`: by it the
    person opted in ("start") or out ("stop"), or wants answers only ("quiet") or no longer ("safe"); `consent_source`:
    see the table of consents. `demanded`: carriers demand these replies, whoever has the voice. `given`: the person has
    the replies already.
    """

    text: str
    choice: Body | None = None
    concern: bool = False
    opening: Sequence[Reply] = ()
    replies: Sequence[Reply] = ()
    flag: FlagRaised | None = None
    needs_turn: bool = True
    consent: str | None = None
    consent_source: str = "keyword"
    demanded: bool = False
    given: bool = False


@dataclass(frozen=True)
class Accepted:
    """An acknowledged message. `replies` are those stored with it; a repeated message gets the first answer again.

    `stored`: every message this call added, in order: the opening, the person's, the replies.
    `pending` is there when a turn is due and no earlier message of the conversation waits for one.
    """

    sequence: int
    flagged: bool
    needs_turn: bool
    replies: tuple[StoredMessage, ...]
    repeated: bool = False
    pending: Pending | None = None
    stored: tuple[StoredMessage, ...] = ()


@dataclass(frozen=True)
class Pending:
    """An acknowledged message that has no reply yet, with what a turn needs. `concern` None: not assessed since."""

    message_id: int
    conversation: str
    channel: str
    sequence: int
    body: Body
    received_at_utc: datetime
    voice_epoch: int
    state: Any
    context: Context
    concern: bool | None = None


@dataclass(frozen=True)
class Turn:
    """The outcome of a turn, to be stored in transaction B. `helped`: an item the person said helped."""

    replies: Sequence[Reply]
    state: Any
    flag: FlagRaised | None = None
    requests_counselor: bool = False
    language: str | None = None
    counts: Sequence[tuple[str, str]] = ()
    erases: bool = False
    helped: str | None = None
    cancels_request: bool = False

    @property
    def changes_standing(self) -> bool:
        """Whether the person may stand otherwise with the counselors after it."""
        return self.flag is not None or self.requests_counselor or self.cancels_request


class ConversationErased(Exception):
    """The conversation was erased; its token opens nothing any more."""


def late(pending: Pending, now: datetime, after_seconds: float) -> bool:
    """Whether a reply to `pending` would come so late that it needs the late notice instead."""
    return now - pending.received_at_utc > timedelta(seconds=after_seconds)

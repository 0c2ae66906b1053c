"""The tables. docs/privacy.md says of every column why it exists and how long it lives; a test keeps the two equal."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time; stored naive, because SQLite keeps no zone."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


class Base(DeclarativeBase):
    pass


class Conversation(Base):
    """One person's chat on one channel; made with its first message."""

    __tablename__ = "conversations"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    channel: Mapped[str] = mapped_column(String(8))
    language: Mapped[str] = mapped_column(String(8))
    voice: Mapped[str] = mapped_column(String(12), default="bot")
    voice_epoch: Mapped[int] = mapped_column(Integer, default=0)
    next_sequence: Mapped[int] = mapped_column(Integer, default=1)
    state: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at_utc: Mapped[datetime] = mapped_column(UtcDateTime)
    last_at_utc: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    erased_at_utc: Mapped[datetime | None] = mapped_column(UtcDateTime)
    claimed_by: Mapped[int | None] = mapped_column(Integer)
    claimed_at_utc: Mapped[datetime | None] = mapped_column(UtcDateTime)
    counselor_at_utc: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Message(Base):
    """One message of a conversation, by person, bot or counselor, or the note that the person left.

    `answered` is about the person's messages only.
    """

    __tablename__ = "messages"
    __table_args__ = (
        UniqueConstraint("conversation_id", "sequence"),
        UniqueConstraint("conversation_id", "client_id"),
        Index(
            "messages_unanswered",
            "conversation_id",
            sqlite_where=text("answered = 0"),
            postgresql_where=text("NOT answered"),
        ),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversations.id", ondelete="CASCADE"))
    sequence: Mapped[int] = mapped_column(Integer)
    author: Mapped[str] = mapped_column(String(12))
    client_id: Mapped[str | None] = mapped_column(String(64))
    body: Mapped[bytes] = mapped_column(LargeBinary)
    in_reply_to: Mapped[int | None] = mapped_column(Integer)
    last: Mapped[bool] = mapped_column(Boolean, default=False)
    flagged: Mapped[bool] = mapped_column(Boolean, default=False)
    answered: Mapped[bool] = mapped_column(Boolean, default=True)
    created_at_utc: Mapped[datetime] = mapped_column(UtcDateTime)


class Flag(Base):
    """Crisis language heard, or a counselor asked for. Category: which language was heard, not what a person has."""

    __tablename__ = "flags"
    __table_args__ = (
        Index(
            "flags_one_open_of_a_kind",
            "conversation_id",
            "kind",
            unique=True,
            sqlite_where=text("state <> 'closed'"),
            postgresql_where=text("state <> 'closed'"),
        ),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversations.id"))
    kind: Mapped[str] = mapped_column(String(12))
    category: Mapped[str | None] = mapped_column(String(20))
    about: Mapped[str | None] = mapped_column(String(8))
    heard_by: Mapped[str] = mapped_column(String(8))
    state: Mapped[str] = mapped_column(String(8), default="open")
    message_sequence: Mapped[int] = mapped_column(Integer)
    opened_at_utc: Mapped[datetime] = mapped_column(UtcDateTime)
    last_heard_at_utc: Mapped[datetime] = mapped_column(UtcDateTime)
    closed_at_utc: Mapped[datetime | None] = mapped_column(UtcDateTime)
    claimed_by: Mapped[int | None] = mapped_column(Integer)
    claimed_at_utc: Mapped[datetime | None] = mapped_column(UtcDateTime)
    first_claimed_at_utc: Mapped[datetime | None] = mapped_column(UtcDateTime)
    released_at_utc: Mapped[datetime | None] = mapped_column(UtcDateTime)
    outcome: Mapped[str | None] = mapped_column(String(20))
    check_back_at_utc: Mapped[datetime | None] = mapped_column(UtcDateTime)
    handover: Mapped[str | None] = mapped_column(String(20))
    acknowledged_by: Mapped[int | None] = mapped_column(Integer)
    acknowledged_at_utc: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Notice(Base):
    """What is said while nobody takes a flag, by way: to its person, to the flag owner by webhook or e-mail.

    `due_at_utc` is also the lease: whoever moves it forward has the notice to send.
    """

    __tablename__ = "notices"

    flag_id: Mapped[int] = mapped_column(ForeignKey("flags.id", ondelete="CASCADE"), primary_key=True)
    way: Mapped[str] = mapped_column(String(8), primary_key=True)
    since_utc: Mapped[datetime] = mapped_column(UtcDateTime)
    due_at_utc: Mapped[datetime] = mapped_column(UtcDateTime)
    tries: Mapped[int] = mapped_column(Integer, default=0)
    sent: Mapped[int] = mapped_column(Integer, default=0)
    sent_at_utc: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Contact(Base):
    """The number behind a conversation by SMS, whether it opted out, and since when it gets answers only.

    Bound to no conversation: an opt-out outlives erasing, as an id (a keyed hash of the number) without an address.
    """

    __tablename__ = "contacts"

    conversation_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    address: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at_utc: Mapped[datetime] = mapped_column(UtcDateTime)
    stopped_at_utc: Mapped[datetime | None] = mapped_column(UtcDateTime)
    quiet_since_utc: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Consent(Base):
    """One change of what a number may be sent: start, stop, quiet (answers only) or safe (any time again).

    Source: first_contact (the person wrote first), keyword (a single word), words (said in a sentence),
    provider_keyword (the provider heard a keyword and handled it), provider_refusal (it refused to send: opted out) or
    danger (the guard heard words after which somebody else may read the phone).
    """

    __tablename__ = "consents"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    conversation_id: Mapped[str] = mapped_column(String(36), index=True)
    kind: Mapped[str] = mapped_column(String(8))
    source: Mapped[str] = mapped_column(String(16))
    at_utc: Mapped[datetime] = mapped_column(UtcDateTime)


class FollowUp(Base):
    """One message a person agreed to at a time they called safe. States: waiting, sent, cancelled, replaced."""

    __tablename__ = "follow_ups"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversations.id", ondelete="CASCADE"), index=True)
    counselor_id: Mapped[int] = mapped_column(Integer)
    agreed_at_utc: Mapped[datetime] = mapped_column(UtcDateTime)
    due_at_utc: Mapped[datetime] = mapped_column(UtcDateTime)
    state: Mapped[str] = mapped_column(String(12))
    settled_at_utc: Mapped[datetime | None] = mapped_column(UtcDateTime)


class MissReview(Base):
    """A lead's mark on a conversation drawn to find what the guard missed. It is drawn once."""

    __tablename__ = "miss_reviews"

    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversations.id", ondelete="CASCADE"), primary_key=True)
    counselor_id: Mapped[int] = mapped_column(Integer)
    mark: Mapped[str] = mapped_column(String(12))
    at_utc: Mapped[datetime] = mapped_column(UtcDateTime)


class Posting(Base):
    """One message on its way to a phone. States: queued, sending, sent, delivered, failed, unknown."""

    __tablename__ = "outbox"
    __table_args__ = (
        UniqueConstraint("conversation_id", "sequence"),
        Index("outbox_state", "state", "not_before_utc"),
        Index("outbox_changed", "changed_at_utc"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversations.id", ondelete="CASCADE"))
    sequence: Mapped[int] = mapped_column(Integer)
    card: Mapped[bool] = mapped_column(Boolean, default=False)
    state: Mapped[str] = mapped_column(String(12), default="queued")
    provider_id: Mapped[str | None] = mapped_column(String(64))
    error: Mapped[str | None] = mapped_column(String(24))
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    not_before_utc: Mapped[datetime] = mapped_column(UtcDateTime)
    changed_at_utc: Mapped[datetime] = mapped_column(UtcDateTime)


class Sighting(Base):
    """Which content item a conversation has seen, so that nothing repeats while others remain."""

    __tablename__ = "sightings"

    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversations.id", ondelete="CASCADE"), primary_key=True)
    item: Mapped[str] = mapped_column(String(80), primary_key=True)
    times: Mapped[int] = mapped_column(Integer)
    last_at_utc: Mapped[datetime] = mapped_column(UtcDateTime)


class Counter(Base):
    """A number by day, channel, name and category, and nothing else."""

    __tablename__ = "counters"

    day: Mapped[date] = mapped_column(Date, primary_key=True)
    channel: Mapped[str] = mapped_column(String(8), primary_key=True)
    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    category: Mapped[str] = mapped_column(String(80), primary_key=True)
    value: Mapped[int] = mapped_column(Integer)


class Counselor(Base):
    """Somebody who may sign in to the console. Never deleted, so that the audit's ids keep their meaning."""

    __tablename__ = "counselors"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(String(40), unique=True)
    display_name: Mapped[str] = mapped_column(String(60))
    password_hash: Mapped[str] = mapped_column(String(200))
    totp_secret: Mapped[bytes] = mapped_column(LargeBinary)
    totp_last_step: Mapped[int] = mapped_column(Integer, default=0)
    role: Mapped[str] = mapped_column(String(10))
    disabled_at_utc: Mapped[datetime | None] = mapped_column(UtcDateTime)
    failed_count: Mapped[int] = mapped_column(Integer, default=0)
    locked_until_utc: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at_utc: Mapped[datetime] = mapped_column(UtcDateTime)


class ConsoleSession(Base):
    """One sign-in of a counselor. The session's id itself is only in the browser's cookie."""

    __tablename__ = "sessions"

    id_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    counselor_id: Mapped[int] = mapped_column(ForeignKey("counselors.id"), index=True)
    csrf: Mapped[str] = mapped_column(String(64))
    created_at_utc: Mapped[datetime] = mapped_column(UtcDateTime)
    last_at_utc: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at_utc: Mapped[datetime | None] = mapped_column(UtcDateTime)


class AuditEntry(Base):
    """What a counselor did, chained to the entry before it. Only ever added to."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    at_utc: Mapped[datetime] = mapped_column(UtcDateTime)
    counselor_id: Mapped[int] = mapped_column(Integer)
    action: Mapped[str] = mapped_column(String(20))
    conversation_id: Mapped[str | None] = mapped_column(String(36))
    detail: Mapped[str] = mapped_column(String(20))
    previous_hash: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))


class AuditHead(Base):
    """The chain's one last link. Locked by whoever adds an entry."""

    __tablename__ = "audit_head"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    last_id: Mapped[int] = mapped_column(Integer)
    hash: Mapped[str] = mapped_column(String(64))
    seal: Mapped[str | None] = mapped_column(String(64))

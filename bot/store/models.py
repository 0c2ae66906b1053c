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


class Message(Base):
    """One message of a conversation, by person, bot or counselor. `answered` is about the person's messages only."""

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
    category: Mapped[str] = mapped_column(String(20), primary_key=True)
    value: Mapped[int] = mapped_column(Integer)

"""Counting: numbers by day, channel, name and category, and nothing else. They outlive what they count."""

from __future__ import annotations

from datetime import date, datetime
from functools import cache
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from bot.store.models import Counter


@cache
def _counted(backend: str) -> Any:
    insert: Any = sqlite.insert if backend == "sqlite" else postgresql.insert
    made = insert(Counter.__table__)
    return made.on_conflict_do_update(
        index_elements=["day", "channel", "name", "category"],
        set_={"value": Counter.__table__.c.value + made.excluded.value},
    )


def count(session: Session, now: datetime, channel: str, name: str, category: str, times: int = 1) -> None:
    """Add to a number, in the caller's transaction."""
    statement = _counted(session.get_bind().dialect.name)
    row = {"day": now.date(), "channel": channel, "name": name, "category": category, "value": times}
    session.execute(statement, row)


def totals(
    session: Session, name: str, first_day: date, last_day: date, by: str = "category", category: str | None = None
) -> dict[Any, int]:
    """Return the sums of a number over these days (both included) by `category`, `channel` or `day`."""
    key = getattr(Counter, by)
    query = (
        select(key, func.sum(Counter.value))
        .where(Counter.name == name, Counter.day >= first_day, Counter.day <= last_day)
        .group_by(key)
    )
    if category is not None:
        query = query.where(Counter.category == category)
    return {found: int(value) for found, value in session.execute(query)}

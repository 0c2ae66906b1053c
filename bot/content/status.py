"""The state of every sign-off, for `handrail content status`, the metrics and the reviewer's work list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from bot.content import hotlines as lines
from bot.content.ledger import State
from bot.content.shelf import read_shelf

SOON_DAYS = 30


@dataclass(frozen=True)
class Row:
    """One item in one language: its sign-off, and the days left until it must be reviewed again."""

    file: str
    item: str
    language: str
    version: int
    state: State
    reviewer: str
    role: str
    signed_at: str
    next_review: date | None
    days_left: int | None

    @property
    def is_due_soon(self) -> bool:
        return self.days_left is not None and self.days_left <= SOON_DAYS


def status(folder: Path, *, now: datetime, roles: frozenset[str] | None = None) -> list[Row]:
    """Return a row for every item and the hotlines; `roles` None accepts every role the reviewers have."""
    shelf = read_shelf(folder)
    roles = frozenset(r.role for r in shelf.ledger.reviewers.values()) if roles is None else roles
    texts = [(item.file, item.id, item.language, item.version, item.sha256) for item in shelf.items]
    if shelf.hotlines:
        texts.append((lines.FILE, lines.ITEM, lines.LANGUAGE, 0, shelf.hotlines.sha256))
    rows = []
    for file, item, language, version, sha256 in texts:
        standing = shelf.ledger.standing(item, language, sha256, now=now, roles=roles)
        entry = standing.entry
        rows.append(
            Row(
                file=file,
                item=item,
                language=language,
                version=entry.version if entry else version,
                state=standing.state,
                reviewer=entry.reviewer if entry else "",
                role=entry.role if entry else "",
                signed_at=entry.signed_at if entry else "",
                next_review=entry.next_review if entry else None,
                days_left=(entry.next_review - now.date()).days if entry else None,
            )
        )
    return rows


def lines_to_check(folder: Path, *, now: datetime) -> list[str]:
    """Return the verified hotlines whose next check is past: someone reads the operator's page again."""
    hotlines = read_shelf(folder).hotlines
    return hotlines.to_check(now.date()) if hotlines else []


def table(rows: Sequence[Row]) -> str:
    """Return the rows as aligned text."""
    cells = [("item", "language", "version", "sign-off", "reviewer", "role", "next review", "days")]
    for row in rows:
        days = "" if row.days_left is None else f"{row.days_left}{' soon' if row.is_due_soon else ''}"
        due = row.next_review.isoformat() if row.next_review else ""
        cells.append((row.item, row.language, str(row.version), row.state, row.reviewer, row.role, due, days))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in cells)

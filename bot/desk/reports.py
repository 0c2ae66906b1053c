"""Reports: how long people waited, what was heard and shown, how it ended. Numbers only, small ones withheld."""

from __future__ import annotations

import csv
import io
import json
import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from math import ceil
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from bot.crisis.decision import CATEGORIES
from bot.desk.cells import SMALLEST, Cells, protect
from bot.store.audit import OUTCOMES
from bot.store.counters import totals
from bot.store.flags import KINDS
from bot.store.misses import MARKS, SOURCES
from bot.store.models import Flag

CHANNELS = ("web", "sms")
REVIEWS = tuple(f"{source}_{mark}" for source in SOURCES for mark in MARKS)
PERIOD = re.compile(r"(\d{4})(?:-(\d\d))?")
WITHHELD = "withheld"
ITEMS_SHOWN = 30
P90_FROM = 10  # with fewer waits the ninetieth percentile is the longest one's


@dataclass(frozen=True)
class Table:
    """Numbers of one kind. `total` None: none is given, or it is small; `cells` None: they would give it away."""

    name: str
    title: str
    cells: Cells | None
    total: int | None = None
    unit: str = ""


@dataclass(frozen=True)
class Report:
    period: str
    first_day: date
    last_day: date
    tables: tuple[Table, ...]

    def rows(self) -> list[tuple[str, str, str]]:
        """Return (table, label, number) as text, `withheld` where a number is not published."""
        found = []
        for table in self.tables:
            cells: Cells = {WITHHELD: None} if table.cells is None else table.cells
            found += [(table.name, label, WITHHELD if value is None else str(value)) for label, value in cells.items()]
            if table.total is not None:
                found.append((table.name, "total", str(table.total)))
        return found

    def as_csv(self) -> str:
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerows([("period", "table", "label", "number"), *((self.period, *row) for row in self.rows())])
        return text.getvalue()

    def as_json(self) -> str:
        tables: dict[str, Any] = {}
        for table in self.tables:
            tables[table.name] = {
                "cells": WITHHELD if table.cells is None else _said(table.cells),
                "total": table.total,
            }
        return json.dumps({"period": self.period, "withheld_below": SMALLEST, "tables": tables}, indent=1)


def days_of(period: str) -> tuple[date, date]:
    """Return the first and last day of `2026` or `2026-11`; ValueError when it is neither."""
    found = PERIOD.fullmatch(period)
    if not found:
        raise ValueError("a period is a year, 2026, or a month, 2026-11")
    year, month = int(found[1]), int(found[2] or 0)
    if found[2] is None:
        return date(year, 1, 1), date(year, 12, 31)
    return date(year, month, 1), date(year, month, monthrange(year, month)[1])


def make_report(session: Session, period: str) -> Report:
    """Return the report of a month or a year, from the counters and from the flags that are still kept."""
    first, last = days_of(period)

    def sums(name: str, by: str = "category") -> dict[Any, int]:
        return totals(session, name, first, last, by)

    by_category = _categories(sums("flag_crisis"), request=sums("flag_request"))
    by_day = "Flags by day" if len(period) > len("2026") else "Flags by month"
    flags = [
        _table("flags_by_category", "Flags by language heard", by_category),
        _table("flags_by_channel", "Flags by channel", _both(sums, "channel", CHANNELS)),
        _table("flags_by_day", by_day, _days(sums, first, last, period)),
    ]
    outcomes = {**dict.fromkeys([*OUTCOMES, "taken_back"], 0), **sums("outcome")}
    heard = {"guard": sum(sums("crisis_guard").values()), "rasa_only": sum(sums("crisis_rasa").values())}
    tables = [
        *flags,
        *_waits(session, first, last),
        _table("outcomes", "How flags ended", outcomes),
        _table("heard_by", "Messages with crisis language, by who heard it", heard),
        _table("missed_by_guard", "Heard by Rasa's net only", _categories(sums("crisis_rasa"))),
        _table("cards", "Hotline cards shown", _categories(sums("referral"))),
        _table("miss_review", "Reviewed for misses", {**dict.fromkeys(REVIEWS, 0), **sums("miss_review")}),
        _content("shown", "Reviewed texts shown most", sums("shown")),
        _content("helped", "Reviewed texts people said helped", sums("helped")),
    ]
    return Report(period, first, last, tuple(tables))


def make_referrals(session: Session, year: int) -> dict[str, Any]:
    """Return what Cal. Bus. & Prof. Code 22603(a)(1) asks for: how often people were referred in a calendar year.

    The total is exact, as the statute asks; by category small numbers are withheld.
    """
    first, last = date(year, 1, 1), date(year, 12, 31)
    cards = totals(session, "referral", first, last)
    lines = sum(totals(session, "referral_line", first, last).values())
    by_category = protect(_categories(cards))
    return {
        "year": year,
        "crisis_referral_notifications": sum(cards.values()) + lines,
        "hotline_cards": sum(cards.values()),
        "lines_with_the_number": lines,
        "hotline_cards_by_language_heard": WITHHELD if by_category is None else _said(by_category),
        "withheld_below": SMALLEST,
    }


def _said(cells: Cells) -> dict[str, int | str]:
    return {name: WITHHELD if value is None else value for name, value in cells.items()}


def _table(name: str, title: str, cells: dict[str, int]) -> Table:
    total = sum(cells.values())
    if 0 < total < SMALLEST:
        return Table(name, title, None)
    return Table(name, title, protect(cells), total)


def _content(name: str, title: str, found: dict[str, int]) -> Table:
    most = sorted(found.items(), key=lambda each: (-each[1], each[0]))[:ITEMS_SHOWN]
    enough = {item: value for item, value in most if value >= SMALLEST}
    return Table(name, title, protect(enough, total_shown=False))


def _categories(crises: dict[str, int], request: dict[str, int] | None = None) -> dict[str, int]:
    cells = {category: crises.get(category, 0) for category in CATEGORIES}
    if other := sum(value for category, value in crises.items() if category not in CATEGORIES):
        cells["not_known"] = other
    return cells if request is None else {**cells, "request": sum(request.values())}


def _both(sums: Any, by: str, labels: tuple[str, ...]) -> dict[str, int]:
    crises, requests = sums("flag_crisis", by), sums("flag_request", by)
    return {label: crises.get(label, 0) + requests.get(label, 0) for label in labels}


def _days(sums: Any, first: date, last: date, period: str) -> dict[str, int]:
    crises, requests = sums("flag_crisis", "day"), sums("flag_request", "day")
    length = len("2026-11-23" if len(period) > len("2026") else "2026-11")
    cells: dict[str, int] = {}
    day = first
    while day <= last:
        label = day.isoformat()[:length]
        cells[label] = cells.get(label, 0) + crises.get(day, 0) + requests.get(day, 0)
        day += timedelta(days=1)
    return cells


def _waits(session: Session, first: date, last: date) -> list[Table]:
    """Return per kind how long flags waited for their first counselor; of erased and expired ones nothing is known."""
    begin, end = datetime.combine(first, time(), UTC), datetime.combine(last + timedelta(days=1), time(), UTC)
    tables = []
    for kind, title in zip(KINDS, ("a crisis", "a request"), strict=True):
        query = select(Flag.opened_at_utc, Flag.first_claimed_at_utc).where(
            Flag.kind == kind,
            Flag.opened_at_utc >= begin,
            Flag.opened_at_utc < end,
            Flag.first_claimed_at_utc.is_not(None),
        )
        waits = sorted((claimed - opened).total_seconds() for opened, claimed in session.execute(query) if claimed)
        cells: Cells | None = None
        if not waits:
            cells = {}
        elif len(waits) >= SMALLEST:
            cells = {"flags": len(waits), "median": percentile(waits, 0.5)}
            if len(waits) >= P90_FROM:
                cells["p90"] = percentile(waits, 0.9)
        tables.append(Table(f"wait_{kind}", f"How long {title} waited for a counselor", cells, unit="seconds"))
    return tables


def percentile(ordered: list[float], share: float) -> int:
    """Return the nearest-rank percentile of ordered numbers, as whole seconds."""
    return round(ordered[max(0, ceil(share * len(ordered)) - 1)])

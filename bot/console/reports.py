"""The reports on screen, with small charts drawn as SVG on the server, and as files."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session
from starlette.responses import Response

from bot.console.door import OVERSIGHT, Denied, Door, Visit
from bot.console.views import CATEGORIES, CHANNELS, Views
from bot.desk.cells import SMALLEST
from bot.desk.clock import Clock
from bot.desk.reports import Report, Table, days_of, make_report
from bot.store.audit import OUTCOMES
from bot.store.misses import MARKS, SOURCES
from bot.store.takeover import Takeover

MONTHS_OFFERED = 12
FORMATS = {"csv": "text/csv; charset=utf-8", "json": "application/json"}
LABELS = {**CATEGORIES, **CHANNELS, **OUTCOMES, "taken_back": "Taken back by the person"}
LABELS |= {"request": "Asked for a counselor"}
LABELS |= {"guard": "The guard", "rasa_only": "Rasa's net only", "not_known": "Not known"}
LABELS |= {"flags": "Flags", "median": "Median", "p90": "90 of 100 within"}
LABELS |= {f"{source}_{mark}": f"{MARKS[mark]}, {SOURCES[source]}" for source in SOURCES for mark in MARKS}


class Reports:
    def __init__(self, views: Views, takeover: Takeover, clock: Clock) -> None:
        self._views, self._takeover, self._clock = views, takeover, clock

    def declare(self, door: Door) -> None:
        door.add("GET", "/reports", OVERSIGHT, self.show)
        door.add("POST", "/reports/file", OVERSIGHT, self.save)

    async def show(self, visit: Visit) -> Response:
        now = self._clock.now()
        period = period_in(visit.request.query_params.get("period") or now.strftime("%Y-%m"))
        report: Report = await self._takeover.database.run(lambda session: make_report(session, period), writes=False)
        return self._views.page(
            "reports.html",
            "Reports",
            visit.visitor,
            period=period,
            periods=periods(now),
            tables=[show_table(table) for table in report.tables],
            smallest=SMALLEST,
        )

    async def save(self, visit: Visit) -> Response:
        period, format = period_in(visit.form.get("period", "")), visit.form.get("format", "")
        if format not in FORMATS:
            raise Denied(422, "Choose CSV or JSON.")

        def work(session: Session) -> Report:
            self._takeover.audit.add(session, self._clock.now(), visit.visitor.counselor, "export", detail="report")
            return make_report(session, period)

        report = await self._takeover.database.run(work)
        headers = {"Content-Disposition": f'attachment; filename="handrail-{period}.{format}"'}
        text = report.as_csv() if format == "csv" else report.as_json()
        return Response(text, media_type=FORMATS[format], headers=headers)


def period_in(given: str) -> str:
    try:
        days_of(given)
    except ValueError:
        raise Denied(422, "Choose a month or a year.") from None
    return given


def periods(now: datetime) -> list[str]:
    """Return the periods offered: this year and the last, and the latest months."""
    months, year, month = [], now.year, now.month
    for _ in range(MONTHS_OFFERED):
        months.append(f"{year}-{month:02}")
        year, month = (year - 1, 12) if month == 1 else (year, month - 1)
    return [*months, str(now.year), str(now.year - 1)]


def show_table(table: Table) -> dict[str, Any]:
    """Return a table for the template: each row with its bar's length in percent of the longest."""
    cells = table.cells or {}
    longest = max((value for value in cells.values() if value), default=0)
    rows = [
        {
            "label": LABELS.get(name, name),
            "code": name not in LABELS and "/" in name,
            "value": shown(value, table.unit if name != "flags" else ""),
            "percent": round(100 * value / longest) if value and longest else 0,
        }
        for name, value in cells.items()
    ]
    return {
        "title": table.title,
        "rows": rows,
        "total": table.total,
        "withheld": table.cells is None,
        "empty": not longest and all(value == 0 for value in cells.values()),
        "columns": table.name == "flags_by_day",
        "unit": table.unit,
    }


def shown(value: int | None, unit: str) -> str:
    if value is None:
        return "withheld"
    if unit != "seconds":
        return str(value)
    return f"{value} s" if value < 120 else f"{value // 60} min" if value < 7200 else f"{value / 3600:.1f} h"

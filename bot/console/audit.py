"""The audit as leads and auditors read it: filtered, page by page. No words of anybody are in it."""

from __future__ import annotations

import re
from datetime import date
from urllib.parse import urlencode

from starlette.responses import Response

from bot.console.door import OVERSIGHT, Denied, Door, Visit
from bot.console.views import Views
from bot.store.accounts import Accounts
from bot.store.audit import ACTIONS, Sought, find_entries

PAGE = 100
PART_OF_ID = re.compile(r"[0-9a-f-]{0,36}")


class AuditPages:
    def __init__(self, views: Views, accounts: Accounts) -> None:
        self._views, self._accounts = views, accounts

    def declare(self, door: Door) -> None:
        door.add("GET", "/audit", OVERSIGHT, self.show)

    async def show(self, visit: Visit) -> Response:
        asked = dict(visit.request.query_params)
        sought = sought_in(asked)
        page = asked.get("before", "")
        before = int(page) if page.isascii() and page.isdecimal() and len(page) < 10 else None
        database = self._accounts.database
        entries = await database.run(lambda session: find_entries(session, sought, before, PAGE), writes=False)
        names = [each.name for each in await database.run(self._accounts.all, writes=False)]
        shown = [(entry, entry.at_utc.strftime("%Y-%m-%d %H:%M:%S")) for entry in entries]
        kept = {name: value for name, value in asked.items() if value and name in FIELDS}
        older = urlencode({**kept, "before": entries[-1].id}) if len(entries) == PAGE else None
        newest = urlencode(kept) if before else None
        return self._views.page(
            "audit.html",
            "Audit",
            visit.visitor,
            entries=shown,
            older=older,
            newest=newest,
            asked={name: asked.get(name, "") for name in FIELDS},
            names=names,
            actions=sorted(ACTIONS),
        )


FIELDS = ("counselor", "action", "conversation", "first_day", "last_day")


def sought_in(asked: dict[str, str]) -> Sought:
    """Return the filters of a query string; raises Denied for one that cannot be read."""
    action, conversation = asked.get("action", ""), asked.get("conversation", "").strip()
    if (action and action not in ACTIONS) or not PART_OF_ID.fullmatch(conversation):
        raise Denied(422, "That filter cannot be read.")
    return Sought(
        asked.get("counselor", "")[:40], action, conversation, _day(asked, "first_day"), _day(asked, "last_day")
    )


def _day(asked: dict[str, str], name: str) -> date | None:
    try:
        return date.fromisoformat(asked[name]) if asked.get(name) else None
    except ValueError:
        raise Denied(422, "Write a day as 2026-11-23.") from None

"""Flags nobody has taken: what the owner's notice links to, and where it is acknowledged."""

from __future__ import annotations

from typing import Any

from starlette.responses import RedirectResponse, Response

from bot.console.door import COUNSELORS, PREFIX, Denied, Door, Visit
from bot.console.views import CATEGORIES, CHANNELS, Views, clock, milliseconds
from bot.desk.clock import Clock
from bot.store.watch import OWNER_WAYS, PERSON, Waiting, Watch

WAYS = {"webhook": "webhook", "email": "e-mail"}


class Flags:
    def __init__(self, views: Views, watch: Watch, clock: Clock) -> None:
        self._views, self._watch, self._clock = views, watch, clock

    def declare(self, door: Door) -> None:
        door.add("GET", "/flags", COUNSELORS, self.list)
        door.add("GET", "/flags/{flag}", COUNSELORS, self.show)
        door.add("POST", "/flags/{flag}/acknowledge", COUNSELORS, self.acknowledge)

    async def list(self, visit: Visit) -> Response:
        return await self._page(visit, None)

    async def show(self, visit: Visit) -> Response:
        flag = flag_of(visit)
        if await self._watch.conversation_of(flag) is None:
            raise Denied(404, "This flag is closed.")
        return await self._page(visit, flag)

    async def acknowledge(self, visit: Visit) -> Response:
        if not await self._watch.acknowledge(flag_of(visit), visit.visitor.counselor, self._clock.now()):
            raise Denied(409, "Nobody waits with this flag any more: it was claimed or closed.")
        return RedirectResponse(f"{PREFIX}/flags", 303)

    async def _page(self, visit: Visit, only: int | None) -> Response:
        now = self._clock.now()
        flags = [_show(each) for each in await self._watch.waiting(now) if only in (None, each.flag)]
        taken = await self._watch.conversation_of(only) if only and not flags else None
        title = f"Flag {only}" if only else "Flags nobody has taken"
        return self._views.page("flags.html", title, visit.visitor, flags=flags, only=only, taken=taken)


def _show(waiting: Waiting) -> dict[str, Any]:
    person = waiting.told.get(PERSON)
    owner = [(WAYS[way], waiting.told[way]) for way in OWNER_WAYS if way in waiting.told]
    return {
        "id": waiting.flag,
        "conversation": waiting.conversation,
        "crisis": waiting.kind == "crisis",
        "title": CATEGORIES.get(waiting.category or "", "Crisis language") if waiting.kind == "crisis" else "Request",
        "channel": CHANNELS.get(waiting.channel, ""),
        "since": clock(waiting.since_utc),
        "since_ms": milliseconds(waiting.since_utc),
        "person_told": person.sent if person and person.since_utc == waiting.since_utc else 0,
        "owner_told": [
            (way, told.sent, clock(told.sent_at_utc), milliseconds(told.sent_at_utc))
            for way, told in owner
            if told.sent_at_utc
        ],
        "owner_failed": [way for way, told in owner if not told.sent_at_utc],
        "acknowledged": waiting.acknowledged_by if waiting.unacknowledged_since_utc is None else None,
        "again": bool(waiting.acknowledged_by) and waiting.unacknowledged_since_utc is not None,
    }


def flag_of(visit: Visit) -> int:
    given = str(visit.request.path_params["flag"])
    if not (given.isascii() and given.isdecimal() and len(given) < 10):
        raise Denied(404, "There is no such flag.")
    return int(given)

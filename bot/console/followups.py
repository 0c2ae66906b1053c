"""Follow-ups: agreed to in the conversation, sent by hand from this list, in the hour the person called safe."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from starlette.responses import RedirectResponse, Response

from bot.console.door import COUNSELORS, PREFIX, Denied, Door, Visit
from bot.console.views import CHANNELS, LANGUAGES, Views, milliseconds
from bot.desk.clock import Clock
from bot.desk.handoff import Handoff
from bot.store.followups import Agreed, FollowUps
from bot.store.takeover import TakeoverRefused

WHY = {
    "not_yours": "Claim the conversation first: the time is agreed with the person.",
    "bad_time": "Choose a time between five minutes and thirty days from now.",
    "not_safe": "No text may go to this phone: it opted out, or violence was heard and somebody else may hold it.",
    "not_now": "It is not the hour the person called safe.",
    "no_follow_up": "This message was sent or dropped already.",
    "taken": "Another counselor is speaking with this person.",
    "erased": "The person has erased this conversation.",
}


class FollowUpPages:
    def __init__(self, views: Views, follow_ups: FollowUps, handoff: Handoff, clock: Clock, timezone: str) -> None:
        self._views, self._follow_ups, self._handoff = views, follow_ups, handoff
        self._clock, self._zone = clock, ZoneInfo(timezone)

    def declare(self, door: Door) -> None:
        door.add("GET", "/follow-ups", COUNSELORS, self.list)
        door.add("POST", "/conversations/{conversation}/follow-up", COUNSELORS, self.agree)
        door.add("POST", "/follow-ups/{follow_up}/send", COUNSELORS, self.send)
        door.add("POST", "/follow-ups/{follow_up}/cancel", COUNSELORS, self.cancel)

    async def list(self, visit: Visit) -> Response:
        waiting = [self._show(each) for each in await self._follow_ups.waiting(self._clock.now())]
        return self._views.page(
            "follow_ups.html", "Follow-ups", visit.visitor, waiting=waiting, timezone=str(self._zone)
        )

    async def agree(self, visit: Visit) -> Response:
        if visit.form.get("agreed") != "yes":
            raise Denied(422, "Ask the person first: they must agree to the message and call the time safe.")
        try:
            due = datetime.fromisoformat(visit.form.get("at", "")).replace(tzinfo=self._zone)
        except ValueError:
            raise Denied(422, "Choose a day and a time.") from None
        conversation = str(visit.request.path_params["conversation"])[:36]
        await told(self._follow_ups.agree(conversation, visit.visitor.counselor, due, self._clock.now()))
        return RedirectResponse(f"{PREFIX}/conversations/{conversation}", 303)

    async def send(self, visit: Visit) -> Response:
        await told(self._handoff.follow_up(self._follow_ups, number_of(visit), visit.visitor.counselor))
        return RedirectResponse(f"{PREFIX}/follow-ups", 303)

    async def cancel(self, visit: Visit) -> Response:
        await told(self._follow_ups.cancel(number_of(visit), visit.visitor.counselor, self._clock.now()))
        return RedirectResponse(f"{PREFIX}/follow-ups", 303)

    def _show(self, each: Agreed) -> dict[str, Any]:
        return {
            "id": each.id,
            "code": each.conversation[:4],
            "channel": CHANNELS.get(each.channel, ""),
            "language": LANGUAGES.get(each.language, each.language),
            "counselor": each.counselor,
            "at": each.due_at_utc.astimezone(self._zone).strftime("%a %d %b %H:%M"),
            "at_ms": milliseconds(each.due_at_utc),
            "state": each.state,
        }


async def told(work: Awaitable[None]) -> None:
    """Do it, or say why not."""
    try:
        await work
    except TakeoverRefused as refused:
        raise Denied(409, WHY[refused.code]) from None


def number_of(visit: Visit) -> int:
    given = str(visit.request.path_params["follow_up"])
    if not (given.isascii() and given.isdecimal() and len(given) < 10):
        raise Denied(404, "There is no such follow-up.")
    return int(given)

"""The miss review: a lead reads one conversation of a sample at a time and marks it. Only counts leave this page."""

from __future__ import annotations

from starlette.responses import Response

from bot.console.door import LEADS, Denied, Door, Visit
from bot.console.views import CHANNELS, LANGUAGES, Views, show_message
from bot.desk.clock import Clock
from bot.store.misses import MARKS, SOURCES, Misses, Sample


class MissPages:
    def __init__(self, views: Views, misses: Misses, clock: Clock) -> None:
        self._views, self._misses, self._clock = views, misses, clock

    def declare(self, door: Door) -> None:
        door.add("GET", "/misses", LEADS, self.show)
        door.add("POST", "/misses/sample", LEADS, self.sample)
        door.add("POST", "/misses/mark", LEADS, self.mark)

    async def show(self, visit: Visit) -> Response:
        return await self._page(visit, None, "")

    async def sample(self, visit: Visit) -> Response:
        """Show one conversation; by a form, because reading it is written down."""
        source = source_of(visit)
        found = await self._misses.sample(source, visit.visitor.counselor, self._clock.now())
        return await self._page(visit, found, "" if found else "None of these is left.")

    async def mark(self, visit: Visit) -> Response:
        source, mark, conversation = source_of(visit), visit.form.get("mark", ""), visit.form.get("conversation", "")
        if mark not in MARKS:
            raise Denied(422, "Choose a mark.")
        kept = await self._misses.mark(conversation[:36], source, mark, visit.visitor.counselor, self._clock.now())
        return await self._page(visit, None, "Marked." if kept else "This one is marked already, or was erased.")

    async def _page(self, visit: Visit, sample: Sample | None, notice: str) -> Response:
        left = await self._misses.left()
        return self._views.page(
            "misses.html",
            "Miss review",
            visit.visitor,
            sources=[(source, said, left[source]) for source, said in SOURCES.items()],
            marks=MARKS,
            sample=sample,
            channel=CHANNELS.get(sample.channel, "") if sample else "",
            language=LANGUAGES.get(sample.language, sample.language) if sample else "",
            messages=[show_message(message) for message in sample.messages] if sample else [],
            notice=notice,
        )


def source_of(visit: Visit) -> str:
    source = visit.form.get("source", "")
    if source not in SOURCES:
        raise Denied(422, "Choose what to sample.")
    return source

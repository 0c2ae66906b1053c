"""A conversation as a file for somebody outside: it begins and ends with the notice that 42 CFR Part 2 asks for."""

from __future__ import annotations

from datetime import UTC

from starlette.responses import Response

from bot.console.door import COUNSELORS, Denied, Door, Visit
from bot.console.views import ABOUT, CATEGORIES, CHANNELS, Views, show_message
from bot.desk.clock import Clock
from bot.store.audit import GROUNDS
from bot.store.board import Board


class Exports:
    def __init__(self, views: Views, board: Board, clock: Clock) -> None:
        self._views, self._board, self._clock = views, board, clock

    def declare(self, door: Door) -> None:
        door.add("POST", "/conversations/{conversation}/export", COUNSELORS, self.export)

    async def export(self, visit: Visit) -> Response:
        ground, now = visit.form.get("ground", ""), self._clock.now()
        conversation = str(visit.request.path_params["conversation"])
        if ground not in GROUNDS:
            raise Denied(422, "Choose from the list why it may be given out.")
        opened = await self._board.export(conversation[:36], visit.visitor.counselor, ground, now)
        if opened is None:
            raise Denied(404, "No flag of this conversation is open: there is nothing to export.")
        messages = [
            {**show_message(message), "at": message.created_at_utc.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")}
            for message in opened.messages
        ]
        row = opened.row
        text = self._views.fragment(
            "export.txt",
            ground=GROUNDS[ground],
            consented=ground == "consent",
            conversation=row.conversation,
            channel=CHANNELS.get(row.channel, row.channel),
            category=CATEGORIES.get(row.category or "", "none"),
            about=ABOUT.get(row.about or "", ""),
            by=visit.visitor.display_name,
            at=now.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            messages=messages,
        )
        name = f"conversation-{row.conversation[:8]}.txt"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(text, media_type="text/plain; charset=utf-8", headers=headers)

"""The live part of both pages: one stream that begins with a snapshot each time it is opened."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from bot.console.auth import Auth
from bot.console.presence import Presence
from bot.console.views import Views, alert_keys, milliseconds, show_message, show_row, show_trouble
from bot.desk.clock import Clock
from bot.desk.handoff import Handoff
from bot.desk.signals import EVERY, Signals, counselors_of
from bot.errors import StoreAway
from bot.store.accounts import Accounts, Visitor
from bot.store.board import Board, QueueRow

BEAT_SECONDS = 1.0  # the page hears something this often, or says that it is cut off
BEATS_TO_LOOK_AGAIN = 5  # where every replica's signals come; elsewhere the record is looked at with each beat
RETRY_MILLISECONDS = 1000  # a browser comes back this long after it was cut off
SETTLE_SECONDS = 0.1  # between two snapshots, however many messages arrive


class Streams:
    def __init__(
        self,
        board: Board,
        handoff: Handoff,
        signals: Signals,
        presence: Presence,
        views: Views,
        auth: Auth,
        accounts: Accounts,
        clock: Clock,
    ) -> None:
        self._board, self._handoff, self._signals, self.presence = board, handoff, signals, presence
        self._views, self._auth, self._accounts, self._clock = views, auth, accounts, clock

    async def follow(
        self, visitor: Visitor, session_id: str, conversation: str | None, cursor: int
    ) -> AsyncIterator[str]:
        """Yield the queue, and of one conversation the messages after `cursor`, until the session is over."""
        keys: list[str] = [EVERY]
        looking: AbstractContextManager[None] = nullcontext()
        if conversation:
            keys.append(counselors_of(conversation))
            looking = self.presence.look(conversation, visitor.counselor, visitor.display_name)
        last: dict[str, Any] = {}
        yield f"retry: {RETRY_MILLISECONDS}\n\n"
        with self._signals.listen(*keys) as listener, looking:
            while True:
                listener.event.clear()
                extras, listener.extras = listener.extras, []
                for kind, data in extras:
                    yield event(kind, data)
                try:
                    now = self._clock.now()
                    if not await self._auth.visitor(session_id, now, is_activity=False):
                        yield event("signed_out", {})
                        return
                    rows = await self._board.queue(now)
                    if conversation:
                        for message in await self._board.after(conversation, cursor):
                            cursor = message.sequence or cursor
                            shown = self._views.fragment("_message.html", message=show_message(message))
                            yield event("message", {"html": shown, "author": message.author}, cursor)
                        found = next((row for row in rows if row.conversation == conversation), None)
                        for each in await self._conversation(visitor, conversation, found, last):
                            yield each
                        if found and found.channel == "sms" and (told := await self._delivery(conversation, last)):
                            yield told
                    yield self._queue(visitor, rows, last, with_rows=conversation is None)
                except StoreAway:
                    yield event("away", {})
                await asyncio.sleep(SETTLE_SECONDS)
                for _ in range(BEATS_TO_LOOK_AGAIN if self._signals.reaches_replicas else 1):
                    if conversation:
                        self.presence.go_on_looking(conversation, visitor.counselor, visitor.display_name)
                    if await self._signals.wait(listener, BEAT_SECONDS):
                        break
                    yield event("beat", {})

    def _queue(self, visitor: Visitor, rows: list[QueueRow], last: dict[str, Any], *, with_rows: bool) -> str:
        now = self._clock.now()
        data: dict[str, Any] = {
            "now": milliseconds(now),
            "alerts": alert_keys(rows, visitor.counselor),
            "waiting": sum(row.claimed_by is None and row.later is None for row in rows),
        }
        if with_rows:
            html = self.rows(visitor, rows)
            if html != last.get("rows"):
                data["html"] = last["rows"] = html
        return event("queue", data)

    def rows(self, visitor: Visitor, rows: list[QueueRow]) -> str:
        """Render the queue for one counselor: what nobody has, their own, what colleagues have, what is for later."""
        now = self._clock.now()

        def is_elsewhere(row: QueueRow) -> bool:
            return row.claimed_by not in (None, visitor.counselor) and not row.danger_unanswered

        rows = sorted(rows, key=lambda row: (row.later is not None, is_elsewhere(row)))
        shown = [show_row(r, visitor.counselor, self.presence.at(r.conversation), now) for r in rows]
        return self._views.fragment("_rows.html", rows=shown, visitor=visitor)

    async def _conversation(
        self, visitor: Visitor, conversation: str, row: QueueRow | None, last: dict[str, Any]
    ) -> list[str]:
        """Return the events for what has changed: the status line, and the forms when the part one plays did."""
        others = self.presence.at(conversation, but=visitor.counselor)
        state = part_of(row, visitor.counselor)
        events = []
        status = self._views.fragment(
            "_status.html", row=show_row(row, visitor.counselor, others, self._clock.now()) if row else None, part=state
        )
        if state != last.get("part"):
            forms = await self.forms(visitor, conversation, row)
            events.append(event("part", {"part": state, **forms}))
        if status != last.get("status"):
            events.append(event("status", {"html": status}))
        last["part"], last["status"] = state, status
        return events

    async def _delivery(self, conversation: str, last: dict[str, Any]) -> str:
        """Return the event that says what did not arrive and whether the person can be texted, when that changed."""
        delivery = await self._board.delivery(conversation)
        if delivery == last.get("delivery"):
            return ""
        last["delivery"] = delivery
        troubles = {sequence: show_trouble(*trouble) for sequence, trouble in delivery.troubles.items()}
        return event(
            "delivery", {"reach": self._views.fragment("_reach.html", reach=delivery.reach), "troubles": troubles}
        )

    async def forms(self, visitor: Visitor, conversation: str, row: QueueRow | None) -> dict[str, str]:
        """Return the composer and the actions for the part this counselor plays in a conversation."""
        part = part_of(row, visitor.counselor)
        database = self._accounts.database
        colleagues = []
        if part == "mine" or (visitor.role == "lead" and part == "held"):
            now = self._clock.now()
            colleagues = await database.run(lambda session: self._accounts.colleagues(session, now), writes=False)
        values = {"part": part, "visitor": visitor, "row": row, "colleagues": colleagues, "conversation": conversation}
        quick = self._handoff.quick_replies(row.language, row.channel) if row and part == "mine" else []
        return {
            "composer": self._views.fragment("_composer.html", quick=quick, **values),
            "actions": self._views.fragment("_actions.html", **values),
        }


def part_of(row: QueueRow | None, counselor: int) -> str:
    """Return the part a counselor plays: mine, held (by another), free, erased, or closed."""
    if row is None:
        return "closed"
    if row.erased:
        return "erased"
    if row.claimed_by is None:
        return "free"
    return "mine" if row.claimed_by == counselor else "held"


def event(name: str, data: dict[str, Any], sequence: int | None = None) -> str:
    """Return one server-sent event."""
    mark = f"id: {sequence}\n" if sequence is not None else ""
    return f"event: {name}\n{mark}data: {json.dumps(data)}\n\n"

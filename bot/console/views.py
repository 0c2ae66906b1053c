"""What the pages show: rows and messages as plain values, rendered by Jinja2 with everything escaped."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from bot.store.accounts import Visitor
from bot.store.audit import CHECK_BACK_MINUTES, GROUNDS, HANDOVERS, OUTCOMES, REVEAL_REASONS
from bot.store.board import QueueRow
from bot.store.values import StoredMessage

HERE = Path(__file__).parent
AMBER_SECONDS, RED_SECONDS = 120, 300
CATEGORIES = {
    "suicide": "Suicide",
    "self_harm": "Self-harm",
    "overdose": "Overdose",
    "withdrawal": "Dangerous withdrawal",
    "violence": "Violence",
    "harm_to_others": "Harm to others",
    "reality_distress": "Reality distress",
    "child_danger": "A child in danger",
}
ABOUT = {"self": "about themself", "other": "about somebody else", "unclear": ""}
CHANNELS = {"web": "Web", "sms": "SMS"}
LANGUAGES = {"en": "English", "es": "Spanish"}
AUTHORS = {"person": "Person", "bot": "Program", "counselor": "Counselor"}
TROUBLES = {
    "stopped": "the person opted out of texts",
    "not_safe": "somebody else may read this phone",
    "late": "too late to fit its moment",
    "daily_limit": "the daily limit for texts is used up",
    "attempts": "tried five times",
    "unreadable": "it cannot be decrypted",
}
AUTHORS["left"] = "The person left the chat with quick exit. They may not read what you write now."
CHECK_BACKS = {"30_minutes": "in 30 minutes", "1_hour": "in 1 hour", "2_hours": "in 2 hours"}
CHECK_BACKS |= {"4_hours": "in 4 hours", "1_day": "in 1 day"}
assert CHECK_BACKS.keys() == CHECK_BACK_MINUTES.keys()


class Views:
    def __init__(self, mode: str, timezone: str) -> None:
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        self._templates.globals.update(
            mode=mode, outcomes=OUTCOMES, check_backs=CHECK_BACKS, grounds=GROUNDS, timezone=timezone
        )
        self._templates.globals.update(handovers=HANDOVERS, reveal_reasons=REVEAL_REASONS)

    def page(
        self, template: str, title: str, visitor: Visitor | None = None, status: int = 200, **values: Any
    ) -> HTMLResponse:
        return HTMLResponse(self.fragment(template, title=title, visitor=visitor, **values), status)

    def fragment(self, template: str, **values: Any) -> str:
        return self._templates.get_template(template).render(**values)


def show_row(row: QueueRow, viewer: int, looking: list[str], now: datetime) -> dict[str, Any]:
    """Return a queue row for the template; `state` is mine, held, later or waiting."""
    waited = (now - row.waiting_since_utc).total_seconds()
    crisis = row.kind == "crisis"
    state = "waiting" if row.claimed_by is None else "mine" if row.claimed_by == viewer else "held"
    if state == "waiting" and row.later:
        state = "later"
    return {
        "id": row.conversation,
        "url": f"/console/conversations/{row.conversation}",
        "crisis": crisis,
        "title": CATEGORIES.get(row.category or "", "Crisis language") if crisis else "Asks for a counselor",
        "about": ABOUT.get(row.about or "", "") if crisis else "",
        "also_asked": row.also_asked,
        "channel": CHANNELS.get(row.channel, ""),
        "language": LANGUAGES.get(row.language, row.language),
        "code": row.conversation[:4],
        "since_ms": milliseconds(row.waiting_since_utc),
        "since": clock(row.waiting_since_utc),
        "level": level(waited) if crisis and state == "waiting" else "",
        "state": state,
        "later": clock(row.later) if row.later else "",
        "holder": row.claimed_by_name or "",
        "looking": looking,
        "danger": row.danger_unanswered,
        "wrote": row.awaits_reply,
        "erased": row.erased,
        "handover": HANDOVERS.get(row.handover or "", ""),
    }


def alert_keys(rows: list[QueueRow], viewer: int) -> list[list[str]]:
    """Return what calls for this counselor now, as [key, kind]: a key not heard before makes the sound."""
    keys = []
    for row in rows:
        heard = milliseconds(row.last_heard_at_utc)
        if row.claimed_by is None and not row.later:
            keys.append([f"{row.conversation}:{row.kind}:{milliseconds(row.waiting_since_utc)}", row.kind])
        if row.claimed_by == viewer and row.danger_unanswered:
            keys.append([f"{row.conversation}:danger:{heard}", "danger"])
        elif row.claimed_by == viewer and row.awaits_reply and row.counselor_at_utc:
            keys.append([f"{row.conversation}:wrote:{milliseconds(row.counselor_at_utc)}", "wrote"])
    return keys


def show_message(message: StoredMessage) -> dict[str, Any]:
    """Return a message for the template: words as plain text, the reviewed item by its id."""
    body = message.body
    return {
        "sequence": message.sequence,
        "author": message.author,
        "who": body.get("name") or AUTHORS.get(message.author, message.author),
        "text": body["text"],
        "parts": mark(body["text"], body.get("heard")),
        "item": body.get("item") or "",
        "card": bool(body.get("card")),
        "chosen": bool(body.get("choice")),
        "flagged": message.flagged and message.author == "person",
        "at": clock(message.created_at_utc),
        "at_ms": milliseconds(message.created_at_utc),
    }


def show_trouble(state: str, error: str) -> str:
    """Return why a text did not arrive, or that nobody knows whether it did."""
    if state == "unknown":
        return "Nobody can say whether this text arrived"
    return f"Not delivered: {TROUBLES.get(error) or f'refused by the provider or carrier, {error}'}"


def mark(text: str, heard: list[int] | None) -> tuple[str, str, str]:
    """Return `text` before, of and after the words that raised the flag; all before when no single words did."""
    start, end = heard or (len(text), len(text))
    return text[:start], text[start:end], text[end:]


def level(seconds: float) -> str:
    return "red" if seconds >= RED_SECONDS else "amber" if seconds >= AMBER_SECONDS else ""


def clock(at: datetime) -> str:
    """Return a time as the page first shows it; its script turns it into the counselor's own zone."""
    return at.astimezone(UTC).strftime("%d %b %H:%M UTC")


def milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)

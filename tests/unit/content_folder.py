"""A small content folder for tests, signed by a throwaway key."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bot.content import Library
from bot.content.signing import sign

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ROLES = frozenset({"clinician"})
SOURCES = '[{title: "A page", publisher: "A publisher", url: "https://example.org/page", accessed: 2026-11-22}]'
CARD = {
    "about": "[self, other, unclear]",
    "country": "US",
    "lines": "[us/911, us/988]",
    "text": "**Call [988](tel:988) now**, or text it. In danger, call 911. I am a program and cannot send help.",
    "sms": "Call or text 988 now. In danger, call 911. I am a program and cannot send help.",
    "again": "- Call or text 988.\n- The line is 988.\n- In danger, call 911.",
}
HOTLINES = """countries:
  US: {emergency: {en: "911", es: "911"}, crisis_line: {en: "call or text 988", es: "llamar al 988"}}
  any:
    emergency: {en: "the emergency number where you are", es: "número de emergencias de tu zona"}
    crisis_line: {en: "find a helpline at findahelpline.com", es: "buscar ayuda en findahelpline.com"}
lines:
"""


def line(name: str, **changes: object) -> str:
    """Return a line of hotlines.yml."""
    values: dict[str, object] = {
        "id": name,
        "country": "US",
        "group": "crisis",
        "name": name,
        "call": name.rpartition("/")[2],
        "text_to": None,
        "text_word": None,
        "chat_url": None,
        "hours": "24/7",
        "languages": ["en"],
        "for_whom": "Anyone.",
        "is_crisis_counselling": name != "us/911",
        "is_emergency": name == "us/911",
        "source_url": "https://example.org/line",
        "evidence": "O",
        "verified": "verified",
    } | changes
    verified_on = "2026-11-22" if values["verified"] == "verified" else "null"
    return f"  - {json.dumps(values)[:-1]}, verified_on: {verified_on}, next_check: 2026-12-22}}\n"


class ContentFolder:
    """Writes items and signs them; `load` gives the library as production would see it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.key = Ed25519PrivateKey.generate()
        path.mkdir(exist_ok=True)
        public = base64.b64encode(self.key.public_key().public_bytes_raw()).decode()
        reviewers = f"reviewers:\n  tester: {{name: Test key, role: clinician, public_key: {public}}}\n"
        (path / "reviewers.yml").write_text(reviewers)
        self.hotlines(line("us/911") + line("us/988", text_to="988"))

    def hotlines(self, lines: str, countries: str = HOTLINES) -> None:
        (self.path / "hotlines.yml").write_text(countries + lines)
        self.sign("hotlines.yml")

    def item(self, item_id: str, *, language: str = "en", signed: bool = True, **fields: str) -> str:
        """Write an item, by default a plain one for any country; return its file."""
        file = f"items/{item_id}{'' if language == 'en' else f'.{language}'}.md"
        path = self.path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(item_text(item_id, language, **fields), encoding="utf-8")
        if signed:
            self.sign(file)
        return file

    def card(self, item_id: str = "card/suicide", **fields: str) -> str:
        return self.item(item_id, **(CARD | fields))

    def sign(self, file: str, now: datetime = NOW) -> None:
        sign(self.path, file, reviewer="tester", key=self.key, now=now)

    def load(
        self,
        country: str | None = "US",
        now: datetime = NOW,
        roles: frozenset[str] = ROLES,
        options: frozenset[str] = frozenset(),
    ) -> Library:
        return Library.load(self.path, now=now, country=country, roles=roles, options=options)


def item_text(item_id: str, language: str = "en", **fields: str) -> str:
    """Return an item file. `text`, `sms`, `again` are the body; any other field goes into the front matter."""
    text, sms, again = fields.pop("text", "Sit down. Breathe."), fields.pop("sms", "Sit down."), fields.pop("again", "")
    front = {
        "id": item_id,
        "version": "1",
        "language": language,
        "topics": f"[{item_id.partition('/')[2].replace('-', '_')}]",
        "fits": "[web, sms]",
        "sources": SOURCES,
    } | fields
    lines = [f"{name}: {value}" for name, value in front.items() if value]
    parts = [text, *([f"## SMS\n{sms}"] if sms else []), *([f"## Again\n{again}"] if again else [])]
    return "---\n" + "\n".join(lines) + "\n---\n" + "\n\n".join(parts) + "\n"

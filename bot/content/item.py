"""A content item: one reviewed text in one language, as its file says it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from bot.content.frontmatter import decode, load_yaml
from bot.content.reading import WORST_GRADE
from bot.errors import ContentError

LANGUAGES = ("en", "es")
CHANNELS = ("web", "sms")
ABOUT = ("self", "other", "unclear")
OPTIONS = ("using_alone",)  # items a deployer must turn on: HANDRAIL_USING_ALONE
EFFECTS = ("request_counselor", "erase", "send_plan", "set_language", "cancel_request")  # what the desk can perform
RESERVED = ("@next", "@again")
UNSOURCED_FOLDERS = ("conversation", "system", "ui", "people", "plan")  # they state no outside facts
MAX_CHOICES = 5
MIN_AGAIN_LINES = 3
ID = re.compile(r"[a-z][a-z0-9_-]*/[a-z][a-z0-9_-]*")
TOPIC = re.compile(r"[a-z][a-z0-9_]*(/[a-z][a-z0-9_-]*)?")
STEP = re.compile(r"^---[ \t]*$", re.MULTILINE)
HEADING = re.compile(r"^## (SMS|Again)[ \t]*$", re.MULTILINE)


@dataclass(frozen=True)
class Choice:
    """A button (web) or number (SMS); exactly one of intent, reference and effect is set."""

    label: str
    intent: str | None = None
    entities: Mapping[str, str] = field(default_factory=dict)
    reference: str | None = None
    effect: str | None = None


@dataclass(frozen=True)
class Source:
    """Where an item's facts were read."""

    title: str
    publisher: str
    url: str
    accessed: date


@dataclass(frozen=True)
class Item:
    """One item in one language; `web` and `sms` hold its steps, empty where the item does not fit the channel."""

    file: str
    sha256: str
    id: str
    version: int
    language: str
    topics: tuple[str, ...]
    fits: tuple[str, ...]
    country: str | None
    option: str | None
    about: tuple[str, ...]
    lines: tuple[str, ...]
    sources: tuple[Source, ...]
    reading_grade: float | None
    timer_seconds: int | None
    timer_step: int
    next_label: str | None
    choices: tuple[Choice, ...]
    labels: Mapping[str, str]
    web: tuple[str, ...]
    sms: tuple[str, ...]
    again: tuple[str, ...]

    @property
    def folder(self) -> str:
        return self.id.partition("/")[0]

    @property
    def is_card(self) -> bool:
        return self.folder == "card"

    @property
    def steps(self) -> int:
        return max(len(self.web), len(self.sms))

    def parts(self) -> list[tuple[str, str]]:
        """Every text a person can read in this item, with the name of its place."""
        texts = [(f"web step {n}", text) for n, text in enumerate(self.web, 1)]
        texts += [(f"SMS step {n}", text) for n, text in enumerate(self.sms, 1)]
        texts += [(f"again line {n}", text) for n, text in enumerate(self.again, 1)]
        texts += [(f"choice {n}", choice.label) for n, choice in enumerate(self.choices, 1)]
        texts += [("next_label", self.next_label)] if self.next_label else []
        return texts + [(f"label {name}", text) for name, text in self.labels.items()]


def parse_item(data: bytes, file: str) -> Item:
    """Return the item written in the bytes of `file`; ContentError names the file, the field and the fix."""
    text = decode(data, file)
    if not text.startswith("---\n"):
        raise ContentError(f"{file}: must begin with a `---` line, then the front matter")
    front, closing, body = text[4:].partition("\n---\n")
    if not closing:
        raise ContentError(f"{file}: the front matter must end with a `---` line")
    item = _Fields(load_yaml(front, file), file).item(hashlib.sha256(data).hexdigest(), body)
    _check_shape(item)
    return item


def _check_shape(item: Item) -> None:
    """Refuse combinations no channel could show."""

    def refuse(what: str, fix: str) -> None:
        raise ContentError(f"{item.file}: {what}: {fix}")

    for channel, steps in (("web", item.web), ("sms", item.sms)):
        name = "a web text" if channel == "web" else "a `## SMS` part"
        if bool(steps) != (channel in item.fits):
            refuse(f"fits does not match {name}", f"write {name} and list {channel} in fits, or neither")
        if not all(steps):
            refuse(f"the {channel} text has an empty step", "remove the extra `---` line or write the step")
    if item.web and item.sms and len(item.web) != len(item.sms):
        refuse(f"{len(item.web)} web steps but {len(item.sms)} SMS steps", "write the same number of steps")
    if bool(item.next_label) != (item.steps > 1):
        refuse("next_label is for items with several steps", "add it, or remove it from an item with one step")
    if item.timer_step > item.steps:
        refuse("timer_step is past the last step", f"use 1 to {item.steps}")
    if item.is_card != bool(item.about) or item.is_card != bool(item.again):
        refuse("about and `## Again` belong to cards, and only to them", "add both to a card, remove both elsewhere")
    if item.is_card and len(item.again) < MIN_AGAIN_LINES:
        refuse(f"only {len(item.again)} lines under `## Again`", f"write at least {MIN_AGAIN_LINES}")
    if bool(item.labels) != (item.folder == "ui"):
        refuse("labels belong to ui items, and only to them", "add or remove `labels:`")
    if not item.sources and item.folder not in UNSOURCED_FOLDERS:
        refuse("sources is empty", "name where the facts were read")


class _Fields:
    """Takes the front matter apart, one field at a time, so that every error can name its field."""

    def __init__(self, values: dict[str, Any], file: str) -> None:
        self.values, self.file = values, file

    def item(self, sha256: str, body: str) -> Item:
        web, sms, again = _split_body(body, self.file)
        item_id = self._text("id", ID, "folder/name in small letters")
        item = Item(
            file=self.file,
            sha256=sha256,
            id=item_id,
            version=self._whole("version", None),
            language=self._one_of("language", LANGUAGES),
            topics=self._names("topics", TOPIC, required=True),
            fits=self._names("fits", re.compile("|".join(CHANNELS)), required=True),
            country=self._text("country", re.compile("[A-Z]{2}"), "two capitals, as US", required=False) or None,
            option=self._text("option", re.compile("|".join(OPTIONS)), " or ".join(OPTIONS), required=False) or None,
            about=self._names("about", re.compile("|".join(ABOUT)), required=False),
            lines=self._names("lines", re.compile(r"[a-z]+/[a-z0-9-]+"), required=False),
            sources=self._sources(),
            reading_grade=self._grade(),
            timer_seconds=self._whole("timer_seconds", 0) or None,
            timer_step=self._whole("timer_step", 1),
            next_label=self._text("next_label", None, "", required=False) or None,
            choices=self._choices(),
            labels=self._mapping("labels", self.values.pop("labels", None) or {}),
            web=web,
            sms=sms,
            again=again,
        )
        if self.values:
            raise self._error(sorted(self.values)[0], "is not a field of an item", "remove it or correct its name")
        expected = item_id if item.language == "en" else f"{item_id}.{item.language}"
        if not self.file.endswith(f"{expected}.md"):
            raise self._error("id", "or language does not match the file's place", f"move the file to {expected}.md")
        return item

    def _error(self, field: str, what: str, fix: str) -> ContentError:
        return ContentError(f"{self.file}: {field} {what}: {fix}")

    def _text(self, field: str, pattern: re.Pattern[str] | None, fix: str, required: bool = True) -> str:
        value = self.values.pop(field, None)
        if value is None and not required:
            return ""
        if not isinstance(value, str) or not value.strip() or "\n" in value:
            raise self._error(field, "is missing or not one line of text", f"write `{field}: ...`")
        if pattern and not pattern.fullmatch(value):
            raise self._error(field, "cannot be read", f"write {fix}")
        return value

    def _one_of(self, field: str, allowed: tuple[str, ...]) -> str:
        return self._text(field, re.compile("|".join(allowed)), "one of " + ", ".join(allowed))

    def _whole(self, field: str, default: int | None) -> int:
        value = self.values.pop(field, default)
        if type(value) is not int or value < (default or 0) or (default is None and value < 1):
            raise self._error(field, "is missing or not a whole number", f"write `{field}: 1` or higher")
        return value

    def _grade(self) -> float | None:
        value = self.values.pop("reading_grade", None)
        if value is None:
            return None
        if type(value) not in (int, float) or not 0 <= value <= WORST_GRADE:
            raise self._error("reading_grade", "is not a grade", "remove it; `handrail content sign` writes it")
        return float(value)

    def _names(self, field: str, pattern: re.Pattern[str], required: bool) -> tuple[str, ...]:
        value = self.values.pop(field, None if required else [])
        if not isinstance(value, list) or (required and not value):
            raise self._error(field, "is missing or not a list", f"write `{field}: [...]`")
        for name in value:
            if not isinstance(name, str) or not pattern.fullmatch(name):
                raise self._error(field, f"has an unusable entry {str(name)[:40]!r}", "correct or remove it")
        if len(set(value)) != len(value):
            raise self._error(field, "has an entry twice", "keep one")
        return tuple(value)

    def _mapping(self, field: str, value: Any) -> dict[str, str]:
        if not isinstance(value, dict) or not all(isinstance(text, str) and text.strip() for text in value.values()):
            raise self._error(field, "must be `name: text` lines", "put each value in quotes")
        return dict(value)

    def _rows(self, field: str) -> list[dict[str, Any]]:
        value = self.values.pop(field, [])
        if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
            raise self._error(field, "must be a list of {name: value}", "write one `- {...}` a line")
        return [dict(row) for row in value]

    def _sources(self) -> tuple[Source, ...]:
        if "sources" not in self.values:
            raise self._error("sources", "is missing", "write `sources: []` or name them")
        sources = []
        for row in self._rows("sources"):
            accessed = row.pop("accessed", None)
            if type(accessed) is not date:
                raise self._error("sources", "accessed is not a date", "write accessed: 2026-11-22")
            texts = self._mapping("sources", row)
            if set(texts) != {"title", "publisher", "url"} or not texts["url"].startswith(("https://", "http://")):
                raise self._error("sources", "are incomplete", "each needs title, publisher, url (http...), accessed")
            sources.append(Source(accessed=accessed, **texts))
        return tuple(sources)

    def _choices(self) -> tuple[Choice, ...]:
        choices = []
        for row in self._rows("choices"):
            entities = self._mapping("choices", row.pop("entities", {}))
            texts = self._mapping("choices", row)
            targets = set(texts) - {"label"}
            if "label" not in texts or len(targets) != 1 or not targets <= {"intent", "reference", "effect"}:
                raise self._error("choices", "are unusable", "each needs a label and one of intent, reference, effect")
            if texts.get("effect", EFFECTS[0]) not in EFFECTS:
                raise self._error("choices", "name an effect the desk cannot perform", "use " + ", ".join(EFFECTS))
            choices.append(Choice(entities=entities, **texts))
        if len(choices) > MAX_CHOICES:
            raise self._error("choices", f"are {len(choices)}", f"at most {MAX_CHOICES}")
        return tuple(choices)


def _split_body(body: str, file: str) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Return the web steps, the SMS steps and the `## Again` lines of a body."""
    pieces = HEADING.split(body)
    names = pieces[1::2]
    if len(set(names)) != len(names):
        raise ContentError(f"{file}: `## {names[0]}` is there twice: keep one")
    parts = dict(zip(names, pieces[2::2], strict=True))
    again = [line.strip() for line in parts.get("Again", "").splitlines() if line.strip()]
    if not all(line.startswith("- ") and line[2:].strip() for line in again):
        raise ContentError(f"{file}: under `## Again` every line must begin with `- `")
    return _steps(pieces[0]), _steps(parts.get("SMS", "")), tuple(line[2:].strip() for line in again)


def _steps(text: str) -> tuple[str, ...]:
    return tuple(step.strip() for step in STEP.split(text)) if text.strip() else ()

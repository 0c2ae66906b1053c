"""The library: every item whose sign-off matches its exact bytes, found by reference and rendered."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from bot.content import hotlines as lines
from bot.content.hotlines import Hotlines, Line
from bot.content.item import Choice, Item
from bot.content.minimum import (
    minimum_card,
    minimum_contacts,
    minimum_fallback,
    minimum_line,
    minimum_words,
    speaks,
)
from bot.content.problem import Problem, problem_of
from bot.content.rendering import PLAN_VARIABLES, Rendering, fill, render_line, render_web
from bot.content.shelf import read_shelf, unusable_line
from bot.errors import ContentError

DEFAULT_LANGUAGE = "en"


class ContentMissing(ContentError):
    """No signed item answers a reference in this language, channel and country."""


class Library:
    """What may be said. Only `resolve` and `render` raise, and only ContentError; the cards never do."""

    def __init__(
        self, items: Sequence[Item], hotlines: Hotlines | None, country: str | None, problems: list[Problem]
    ) -> None:
        self.country, self.problems = country, problems
        self._hotlines, self._items = hotlines, {(item.id, item.language): item for item in items}
        self._rendered: dict[tuple[str, str, str, int], tuple[str, str]] = {}

    @classmethod
    def load(cls, folder: Path, *, now: datetime, country: str | None, roles: frozenset[str]) -> Library:
        """Read a content folder, keeping what is signed by an accepted role, unaltered and not expired."""
        shelf = read_shelf(folder)
        problems = list(shelf.problems)

        def may_serve(file: str, name: str, language: str, sha256: str) -> bool:
            standing = shelf.ledger.standing(name, language, sha256, now=now, roles=roles)
            if standing.state != "signed":
                problems.append(Problem(file, f"is not served: {standing.state}", standing.remedy))
            return standing.state == "signed"

        hotlines = shelf.hotlines
        if hotlines and not may_serve(lines.FILE, lines.ITEM, lines.LANGUAGE, hotlines.sha256):
            hotlines = None
        items = []
        for item in shelf.items:
            if not may_serve(item.file, item.id, item.language, item.sha256):
                continue
            if why := unusable_line(item, hotlines):
                problems.append(problem_of(item.file, ContentError(why)))
                continue
            items.append(item)
        return cls(items, hotlines, country or None, problems)

    def items(self) -> list[Item]:
        """Return every item that may be served, in every language and country."""
        return list(self._items.values())

    def references(self) -> set[str]:
        """Return every item id and topic that resolves in some language, channel and country."""
        return {name for item in self.items() for name in (item.id, *item.topics)}

    def resolve(self, reference: str, *, language: str, channel: str, seen: Sequence[str] = (), seed: str = "") -> Item:
        """Return the item for an item id or a topic; ContentMissing when there is none.

        Unseen items come before seen ones, the longest unseen first; then those of this country before those of
        any; then a fixed shuffle by `seed`. English stands in where the language has nothing.
        """
        found = self._find(lambda item: reference in (item.id, *item.topics), language, channel)
        if not found:
            raise ContentMissing(f"nothing signed for {reference[:80]!r} on {channel}: run `handrail content check`")
        last_seen = {item_id: place for place, item_id in enumerate(seen, 1)}
        return min(
            found,
            key=lambda item: (
                item.id != reference,
                last_seen.get(item.id, 0),
                item.country is None,
                hashlib.sha256(f"{seed}\n{item.id}".encode(errors="replace")).digest(),
            ),
        )

    def render(
        self, item: Item, *, channel: str, step: int = 0, variables: Mapping[str, str] | None = None
    ) -> Rendering:
        """Return one step of an item; ContentError for a step, channel or plan word that is not there.

        Of `variables` only the plan's are used: the rest comes from the country.
        """
        texts = item.web if channel == "web" else item.sms
        if not 0 <= step < len(texts):
            raise ContentError(f"{item.file}: no step {step} on {channel}: it has {len(texts)}")
        plan = {name: text for name, text in (variables or {}).items() if name in PLAN_VARIABLES}
        text, html = self._render_text(item, texts, step, channel, plan)
        is_last = step == len(texts) - 1
        return Rendering(
            item=item.id,
            version=item.version,
            sha256=item.sha256,
            language=item.language,
            channel=channel,
            step=step,
            steps=len(texts),
            text=text,
            html=html,
            choices=item.choices if is_last else (Choice(item.next_label or "", reference="@next"),),
            card=item.is_card,
            timer_seconds=item.timer_seconds if step == item.timer_step - 1 else None,
        )

    def _render_text(
        self, item: Item, texts: Sequence[str], step: int, channel: str, plan: Mapping[str, str]
    ) -> tuple[str, str]:
        """Return text and HTML of a step; what holds nobody's own words is rendered once and kept."""
        key = (item.sha256, item.language, channel, step)
        if not plan and (kept := self._rendered.get(key)):
            return kept
        values = {**plan, **self._words(item.language)}
        rendered = render_web(texts[step], values) if channel == "web" else (fill(texts[step], values), "")
        if not plan:
            self._rendered[key] = rendered
        return rendered

    def card(self, category: str, *, about: str, language: str, channel: str) -> Rendering:
        """Return the hotline card of a category; never raises: the built-in minimum stands in."""
        try:
            item = self._card_item(category, about, language, channel)
            if item is not None:
                return self.render(item, channel=channel)
        except Exception:  # noqa: S110 - no fault of ours may cost a person the card; the item id says which one it was
            pass
        return minimum_card(category, country=self.country, language=language, channel=channel)

    def again(self, category: str, *, about: str, language: str, channel: str, turn: int) -> Rendering:
        """Return one line with the number, for a category whose card was shown; never raises."""
        try:
            item = self._card_item(category, about, language, channel)
            if item is not None:
                return self._again_line(item, channel, turn)
        except Exception:  # noqa: S110 - as above
            pass
        return minimum_line(category, country=self.country, language=language, channel=channel)

    def fallback(self, language: str, channel: str) -> Rendering:
        """Return the reply for when nothing else can be said; never raises."""
        return minimum_fallback(country=self.country, language=language, channel=channel)

    def labels(self, language: str) -> dict[str, str]:
        """Return the widget's words, from ui/widget; empty when it is not served."""
        item = self._items.get(("ui/widget", language)) or self._items.get(("ui/widget", DEFAULT_LANGUAGE))
        return dict(item.labels) if item else {}

    def lines(self, language: str = DEFAULT_LANGUAGE) -> list[dict[str, str | None]]:
        """Return the verified lines of this country for the help page, emergency first; never empty.

        Each has id, name, what, hours, call, text_to, text_word, chat_url.
        """
        known = self._country_lines()
        return [line.contact(language) for line in known] or minimum_contacts(self.country)

    def bar(self, language: str) -> list[dict[str, str]]:
        """Return the widget's hotline bar as label and href: the emergency number and the first crisis line."""
        known = self._country_lines()
        shown = [line for line in known if line.is_emergency][:1]
        shown += [line for line in known if line.is_crisis_counselling and not line.is_emergency][:1]
        contacts = [line.contact(language) for line in shown] or minimum_contacts(self.country)
        words, bar = self.labels(language), []
        for contact in contacts:
            for way, scheme, word in (("call", "tel:", "hotline_call"), ("text_to", "sms:", "hotline_text")):
                if number := contact[way]:
                    label = f"{words.get(word, '')} {number}".strip()
                    bar.append({"label": label, "href": scheme + number.replace(" ", "")})
            if not contact["call"] and not contact["text_to"]:
                bar.append({"label": contact["name"] or "", "href": contact["chat_url"] or ""})
        return bar

    def _country_lines(self) -> list[Line]:
        known = self._hotlines.lines.values() if self._hotlines else ()
        own = [line for line in known if line.is_verified and line.country == self.country]
        return sorted(own, key=lambda line: not line.is_emergency)

    def _words(self, language: str) -> dict[str, str]:
        if self._hotlines is None:
            return minimum_words(self.country, language)
        return self._hotlines.words(self.country, language)

    def _find(self, matches: Callable[[Item], bool], language: str, channel: str) -> list[Item]:
        """Return the matching items of this channel and country, in the language or else in English."""
        fitting = [
            item
            for item in self._items.values()
            if channel in item.fits and item.country in (self.country, None) and matches(item)
        ]
        own = [item for item in fitting if item.language == language]
        return own or [item for item in fitting if item.language == DEFAULT_LANGUAGE]

    def _card_item(self, category: str, about: str, language: str, channel: str) -> Item | None:
        """Return the best signed card, or None: in a language the minimum speaks, it comes before English."""
        wanted = (about, "unclear")
        names = (category, f"card/{category}")

        def matches(item: Item) -> bool:
            named = item.id in names or any(topic in names for topic in item.topics)
            return item.is_card and named and any(each in item.about for each in wanted)

        found = [item for item in self._find(matches, language, channel) if item.language == language]
        if not found and not speaks(language):
            found = self._find(matches, DEFAULT_LANGUAGE, channel)
        return min(found, key=lambda item: (about not in item.about, item.country is None, item.id), default=None)

    def _again_line(self, item: Item, channel: str, turn: int) -> Rendering:
        line = item.again[turn % len(item.again)]
        values = self._words(item.language)
        text, html = render_line(line, values)
        whole = self.render(item, channel=channel)
        html = html if channel == "web" else ""
        return replace(whole, text=text, html=html, step=0, steps=1, choices=(), card=False, timer_seconds=None)

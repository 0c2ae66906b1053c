"""The library: every item whose sign-off matches its exact bytes, found by reference and rendered."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

from bot.content import hotlines as lines
from bot.content.hotlines import Hotlines, Line
from bot.content.item import Choice, Item
from bot.content.ledger import REMEDIES
from bot.content.minimum import (
    minimum_card,
    minimum_contacts,
    minimum_fallback,
    minimum_line,
    minimum_words,
    speaks,
)
from bot.content.problem import Problem, problem_of
from bot.content.rendering import OWN_VARIABLES, Rendering, fill, render_line, render_web
from bot.content.shelf import read_shelf, unusable_line
from bot.errors import ContentError

DEFAULT_LANGUAGE = "en"


class ContentMissing(ContentError):
    """No signed item answers a reference in this language, channel and country."""


class Library:
    """What may be said. Only `resolve` and `render` raise, and only ContentError; the cards never do."""

    def __init__(
        self,
        items: Sequence[Item],
        hotlines: Hotlines | None,
        country: str | None,
        problems: list[Problem],
        due: Mapping[str, date],
    ) -> None:
        self.country, self.problems = country, problems
        self._hotlines = hotlines
        self._keep(items)
        self._due = dict(due)
        self._rendered: dict[tuple[str, str, str, int], tuple[str, str]] = {}

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        now: datetime,
        country: str | None,
        roles: frozenset[str],
        options: frozenset[str] = frozenset(),
    ) -> Library:
        """Read a content folder, keeping what is signed by an accepted role, unaltered and not expired.

        Items with an `option` (see item.OPTIONS) are kept only when `options` turns it on.
        """
        shelf = read_shelf(folder)
        problems = list(shelf.problems)
        due: dict[str, date] = {}

        def may_serve(file: str, name: str, language: str, sha256: str) -> bool:
            standing = shelf.ledger.standing(name, language, sha256, now=now, roles=roles)
            if standing.state != "signed":
                problems.append(Problem(file, f"is not served: {standing.state}", standing.remedy))
            elif standing.entry:
                due[file] = standing.entry.next_review
            return standing.state == "signed"

        hotlines = shelf.hotlines
        if hotlines and not may_serve(lines.FILE, lines.ITEM, lines.LANGUAGE, hotlines.sha256):
            hotlines = None
        items = []
        for item in shelf.items:
            if item.option and item.option not in options:
                continue
            if not may_serve(item.file, item.id, item.language, item.sha256):
                continue
            if why := unusable_line(item, hotlines):
                problems.append(problem_of(item.file, ContentError(why)))
                continue
            items.append(item)
        return cls(items, hotlines, country or None, problems, due)

    def retire(self, now: datetime) -> None:
        """Stop serving what was due for review before today; a desk that runs for months calls this every hour."""
        for file in [file for file, day in self._due.items() if now.date() > day]:
            self.problems.append(Problem(file, "is not served: expired", REMEDIES["expired"]))
            del self._due[file]
        if lines.FILE not in self._due:
            self._hotlines = None
        kept = [item for item in self._items.values() if item.file in self._due]
        self._keep([item for item in kept if not unusable_line(item, self._hotlines)])

    def _keep(self, items: Sequence[Item]) -> None:
        """Serve just these: by id and language, and by every name (id or topic) among those of this country."""
        kept = {(item.id, item.language): item for item in items}
        named: dict[str, list[Item]] = {}
        for item in kept.values():
            if item.country in (self.country, None):
                for name in {item.id, *item.topics}:
                    named.setdefault(name, []).append(item)
        self._items, self._named = kept, named  # whole: other threads read them

    def due_within(self, days: int, now: datetime) -> int:
        """Return how many served texts must be reviewed again within so many days."""
        return sum((day - now.date()).days <= days for day in self._due.values())

    def checks_due(self, now: datetime) -> int:
        """Return how many verified hotlines somebody should have checked again by now."""
        return len(self._hotlines.to_check(now.date())) if self._hotlines else 0

    def items(self) -> list[Item]:
        """Return every item that may be served, in every language and country."""
        return list(self._items.values())

    def references(self) -> set[str]:
        """Return every item id and topic that resolves in some language, channel and country."""
        return {name for item in self.items() for name in (item.id, *item.topics)}

    def resolve(
        self,
        reference: str,
        *,
        language: str,
        channel: str,
        seen: Sequence[str] = (),
        helped: Collection[str] = (),
        seed: str = "",
    ) -> Item:
        """Return the item for an item id or a topic; ContentMissing when there is none.

        Unseen items come before seen ones; of the seen ones those that `helped`, then the longest unseen. Among equals
        those of this country before those of any, those a deployer turned on, and a fixed shuffle by `seed`. English
        stands in where the language has nothing.
        """
        found = self._find((reference,), language, channel)
        if not found:
            raise ContentMissing(f"nothing signed for {reference[:80]!r} on {channel}: run `handrail content check`")
        last_seen = {item_id: place for place, item_id in enumerate(seen, 1)}
        return min(
            found,
            key=lambda item: (
                item.id != reference,
                item.id in last_seen,
                item.id not in helped,
                last_seen.get(item.id, 0),
                item.country is None,
                item.option is None,
                hashlib.sha256(f"{seed}\n{item.id}".encode(errors="replace")).digest(),
            ),
        )

    def render(
        self, item: Item, *, channel: str, step: int = 0, variables: Mapping[str, str] | None = None
    ) -> Rendering:
        """Return one step of an item; ContentError for a step, channel or plan word that is not there.

        Of `variables` only the person's own are used: the rest comes from the country. An item this library does not
        serve (unsigned, expired since, or made elsewhere) is refused here too (promise P3).
        """
        if self._items.get((item.id, item.language)) is not item:
            raise ContentError(f"{item.file[:80]}: is not served: run `handrail content check`")
        texts = item.web if channel == "web" else item.sms
        if not 0 <= step < len(texts):
            raise ContentError(f"{item.file}: no step {step} on {channel}: it has {len(texts)}")
        own = {name: text for name, text in (variables or {}).items() if name in OWN_VARIABLES}
        text, html = self._render_text(item, texts, step, channel, own)
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
        self, item: Item, texts: Sequence[str], step: int, channel: str, own: Mapping[str, str]
    ) -> tuple[str, str]:
        """Return text and HTML of a step; what holds nobody's own words is rendered once and kept."""
        key = (item.sha256, item.language, channel, step)
        if not own and (kept := self._rendered.get(key)):
            return kept
        values = {**own, **self._words(item.language)}
        rendered = render_web(texts[step], values) if channel == "web" else (fill(texts[step], values), "")
        if not own:
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

    def labels(self, language: str, of: str = "ui/widget") -> dict[str, str]:
        """Return the words of the widget, or of another ui item; empty when it is not served."""
        item = self._items.get((of, language)) or self._items.get((of, DEFAULT_LANGUAGE))
        return dict(item.labels) if item else {}

    def lines(self, language: str = DEFAULT_LANGUAGE) -> list[dict[str, str | None]]:
        """Return the verified lines of this country for the help page, emergency first; never empty.

        Each has id, name, what, hours, call, text_to, text_word, chat_url.
        """
        known = self._country_lines()
        return [line.contact(language) for line in known] or minimum_contacts(self.country)

    def bar(self, language: str) -> list[dict[str, str]]:
        """Return the widget's hotline bar as label and href: the emergency number, every way to the crisis line."""
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
            if url := contact["chat_url"]:
                number = contact["call"] or contact["text_to"]
                label = f"{words.get('hotline_chat', '')} {number}".strip() if number else contact["name"] or ""
                bar.append({"label": label, "href": url})
        return bar

    def has_verified_lines(self) -> bool:
        """Whether this country has an emergency number and a crisis line that somebody verified."""
        known = self._country_lines()
        return any(line.is_emergency for line in known) and any(line.is_crisis_counselling for line in known)

    def _country_lines(self) -> list[Line]:
        known = self._hotlines.lines.values() if self._hotlines else ()
        own = [line for line in known if line.is_verified and line.country == self.country]
        return sorted(own, key=lambda line: not line.is_emergency)

    def _words(self, language: str) -> dict[str, str]:
        if self._hotlines is None:
            return minimum_words(self.country, language)
        return self._hotlines.words(self.country, language)

    def _find(self, names: Collection[str], language: str, channel: str) -> list[Item]:
        """Return the items of these names for this channel and country, in the language or else in English."""
        fitting = [item for name in names for item in self._named.get(name, ()) if channel in item.fits]
        own = [item for item in fitting if item.language == language]
        return own or [item for item in fitting if item.language == DEFAULT_LANGUAGE]

    def _card_item(self, category: str, about: str, language: str, channel: str) -> Item | None:
        """Return the best signed card, or None: in a language the minimum speaks, it comes before English."""

        def cards(spoken: str) -> list[Item]:
            named = self._find((category, f"card/{category}"), spoken, channel)
            return [item for item in named if item.is_card and not {about, "unclear"}.isdisjoint(item.about)]

        found = [item for item in cards(language) if item.language == language]
        if not found and not speaks(language):
            found = cards(DEFAULT_LANGUAGE)
        return min(found, key=lambda item: (about not in item.about, item.country is None, item.id), default=None)

    def _again_line(self, item: Item, channel: str, turn: int) -> Rendering:
        line = item.again[turn % len(item.again)]
        values = self._words(item.language)
        text, html = render_line(line, values)
        whole = self.render(item, channel=channel)
        html = html if channel == "web" else ""
        return replace(whole, text=text, html=html, step=0, steps=1, choices=(), card=False, timer_seconds=None)

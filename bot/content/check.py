"""Checks: everything that must be right in a content folder before it is released.

`handrail content check` prints what `check` returns. The library itself refuses only what must never be served
(unreadable, unsigned, altered, expired, unverified lines); the rest is judged here, before release.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from bot.content import hotlines as lines
from bot.content.hotlines import Hotlines, first_number_end, strange_numbers
from bot.content.item import CHANNELS, LANGUAGES, RESERVED, Choice, Item
from bot.content.minimum import GROUPS, minimum_words
from bot.content.problem import Problem, problem_of
from bot.content.reading import reading_grade
from bot.content.rendering import OWN_VARIABLES, ZIP, blocks, fill, numbered
from bot.content.segments import FIRST_SEGMENT, Segments, segment, unusual_characters
from bot.content.shelf import Shelf, read_shelf, unusable_line
from bot.content.wording import load_wording
from bot.errors import ContentError

GRADE_CAP, CARD_GRADE_CAP = 8.0, 6.0
GRADE_TOLERANCE = 0.1
# About 600 characters in GSM-7 and 530 in UCS-2, so that Spanish may say what English says. Longer texts are cut into
# steps: carriers join up to ten segments, but parts can come out of order or be charged to the person one by one.
STEP_SEGMENTS = {"GSM-7": 4, "UCS-2": 8}
AGAIN_SEGMENTS = {"GSM-7": 1, "UCS-2": 3}
LIST_MARKER = re.compile(r"^\s*(\d+[.)]|-)\s+")
SPANISH_LETTERS = "áíóúÁÍÓÚ"  # not in GSM-7; never stripped
SAME_IN_EVERY_LANGUAGE = (
    "topics",
    "fits",
    "country",
    "option",
    "about",
    "steps",
    "timer_seconds",
    "timer_step",
    "choices",
)
SMS_TOPICS = "sms_"  # topics named so are about texting itself: the web never speaks of them
OWN_SAMPLE = dict.fromkeys(OWN_VARIABLES, "x" * 40) | {ZIP: "00000"}


def check(folder: Path, *, now: datetime, roles: frozenset[str] | None = None) -> list[Problem]:
    """Return every problem of a content folder; `roles` are those whose sign-off counts, None for every known one."""
    shelf = read_shelf(folder)
    roles = frozenset(r.role for r in shelf.ledger.reviewers.values()) if roles is None else roles
    problems = shelf.problems + list(_standings(shelf, now, roles)) + list(_coverage(shelf.items))
    for item in shelf.items:
        problems += check_item(item, shelf.hotlines)
    return sorted(problems, key=lambda problem: problem.file)


def check_item(item: Item, hotlines: Hotlines | None) -> list[Problem]:
    """Return the problems of one item, its sign-off and its place among the others aside."""
    faults = [*_wording(item), *_numbers(item, hotlines), *_grade(item), *_messages(item, hotlines)]
    problems = [Problem(item.file, what, fix) for what, fix in faults]
    if why := unusable_line(item, hotlines):
        problems.append(problem_of(item.file, ContentError(why)))
    return problems


def grades(item: Item) -> dict[str, float]:
    """Return the reading grade of each part of an item that has words."""
    parts = {
        "web": [block for step in item.web for block in blocks(step)],
        "SMS": [LIST_MARKER.sub("", line) for step in item.sms for line in step.splitlines()],
        "again": list(item.again),
    }
    simple = load_wording()[item.language].simple_words
    return {name: reading_grade(texts, item.language, simple) for name, texts in parts.items() if texts}


def grade(item: Item) -> float:
    """Return the grade of an item: that of its hardest part."""
    return max(grades(item).values())


def messages(item: Item, hotlines: Hotlines | None) -> Iterator[tuple[str, str, Segments]]:
    """Yield every SMS of an item as sent where its words are longest: its place, the text, its segments."""
    for country in _countries(item, hotlines):
        words = _words(country, item.language, hotlines)
        for number, step in enumerate(item.sms, 1):
            choices = item.choices if number == len(item.sms) else (Choice(item.next_label or ""),)
            text = "\n".join(filter(None, (fill(step, words | OWN_SAMPLE), numbered(choices))))
            yield f"SMS step {number} ({country})", text, segment(text)


def _countries(item: Item, hotlines: Hotlines | None) -> list[str]:
    return [item.country] if item.country else sorted(hotlines.countries) if hotlines else [lines.ANYWHERE]


def _words(country: str, language: str, hotlines: Hotlines | None) -> dict[str, str]:
    return hotlines.words(country, language) if hotlines else minimum_words(country, language)


Fault = tuple[str, str]  # what is wrong, and the fix


def _wording(item: Item) -> Iterator[Fault]:
    wording = load_wording()[item.language]
    for place, text in item.parts():
        for what, fix in wording.faults(text):
            yield f"{place}: {what}", fix
    for channel, steps in (("web", item.web), ("SMS", item.sms)):
        for word in wording.card_must_say if item.is_card and steps else ():
            if word not in " ".join(steps).lower():
                yield f"the {channel} card does not say {word!r}", "say that it is a program that cannot send help"


def _numbers(item: Item, hotlines: Hotlines | None) -> Iterator[Fault]:
    own = [hotlines.lines[name] for name in item.lines if name in hotlines.lines] if hotlines else []
    for place, text in item.parts():
        for number in strange_numbers(text, own):
            yield (
                f"{place}: {number!r} belongs to none of its lines",
                f"add its {lines.FILE} id to `lines`, or remove it",
            )


def _grade(item: Item) -> Iterator[Fault]:
    cap = CARD_GRADE_CAP if item.is_card else GRADE_CAP
    for part, value in grades(item).items():
        if value > cap:
            yield f"the {part} text reads at grade {value}, over {cap:g}", "shorter sentences, shorter words"
    if item.reading_grade is not None and abs(item.reading_grade - grade(item)) > GRADE_TOLERANCE:
        yield f"reading_grade says {item.reading_grade}, computed {grade(item)}", "run `handrail content sign`"


def _messages(item: Item, hotlines: Hotlines | None) -> Iterator[Fault]:
    for place, text, size in messages(item, hotlines):
        if size.count > STEP_SEGMENTS[size.encoding]:
            limit = STEP_SEGMENTS[size.encoding]
            yield f"{place}: {size.count} {size.encoding} segments, over {limit}", "shorten it, or cut it into steps"
        allowed = SPANISH_LETTERS if item.language == "es" else ""
        if odd := "".join(c for c in unusual_characters(text) if c not in allowed):
            yield f"{place}: {odd!r} makes every SMS character cost twice", "write plain quotes, hyphens and no emoji"
    for country in _countries(item, hotlines) if item.is_card else ():
        words = _words(country, item.language, hotlines)
        named = [hotlines.lines[name] for name in item.lines if name in hotlines.lines] if hotlines else []
        known = [lines.DIRECTORY, *words.values(), *(number for line in named for number in line.numbers())]
        first = fill(item.sms[0], words) if item.sms else ""
        end = first_number_end(first, known)
        if first and (end is None or end > FIRST_SEGMENT[segment(first[:end]).encoding]):
            limit = FIRST_SEGMENT[segment(first[:end]).encoding]
            yield f"the SMS ({country}) does not name whom to call in its first {limit} characters", "begin with it"
        for number, line in enumerate(item.again, 1):
            text = fill(line, words)
            size = segment(text)
            if first_number_end(text, known) is None:
                yield f"again line {number} ({country}) does not name whom to call", "name it in every line"
            if size.count > AGAIN_SEGMENTS[size.encoding]:
                yield f"again line {number} ({country}) takes {size.count} segments", "shorten it"


def _standings(shelf: Shelf, now: datetime, roles: frozenset[str]) -> Iterator[Problem]:
    signed = [(item.file, item.id, item.language, item.sha256) for item in shelf.items]
    if shelf.hotlines:
        signed.append((lines.FILE, lines.ITEM, lines.LANGUAGE, shelf.hotlines.sha256))
    for file, item, language, sha256 in signed:
        standing = shelf.ledger.standing(item, language, sha256, now=now, roles=roles)
        if standing.state != "signed":
            yield Problem(file, standing.state, standing.remedy)


def _coverage(items: list[Item]) -> Iterator[Problem]:
    """Yield what is missing between items: languages, channels, countries, cards, targets of choices."""
    names = {name for item in items for name in (item.id, *item.topics)}
    versions: dict[str, dict[str, Item]] = {}
    for item in items:
        versions.setdefault(item.id, {})[item.language] = item
        for choice in item.choices:
            if choice.reference and choice.reference not in names and choice.reference not in RESERVED:
                yield Problem(item.file, f"a choice leads to {choice.reference!r}, which is nothing", "correct it")
    for item in items:
        for language in sorted(set(LANGUAGES) - set(versions[item.id])):
            yield Problem(item.file, f"has no version in {language}", "write it: same id, same steps and choices")
        english = versions[item.id].get("en", item)
        for field in SAME_IN_EVERY_LANGUAGE:
            if _shape(item, field) != _shape(english, field):
                yield Problem(item.file, f"{field} is not as in {english.file}", "make the two say the same")
    for topic in sorted({topic for item in items if item.folder != "ui" for topic in item.topics}):
        served = [item for item in items if topic in item.topics]
        for channel in ("sms",) if topic.startswith(SMS_TOPICS) else CHANNELS:
            fitting = [item for item in served if channel in item.fits]
            if not fitting:
                yield Problem(served[0].file, f"the topic {topic} has nothing for {channel}", f"write a {channel} text")
            elif not served[0].is_card and all(item.country for item in fitting):
                yield Problem(served[0].file, f"the topic {topic} has nothing for other countries", "write one for any")
    for category in GROUPS if any(item.is_card for item in items) else ():
        names_of_card = {category, f"card/{category}"}
        cards = [item for item in items if item.is_card and names_of_card & {item.id, *item.topics}]
        abouts = {about for item in cards for about in item.about}
        for about in {"self", "other", "unclear"} - abouts - ({"self", "other"} if "unclear" in abouts else set()):
            yield Problem("items/card", f"no card for {category}, about {about}", "write one, or list it in `about`")


def _shape(item: Item, field: str) -> object:
    if field == "choices":
        return [(choice.reference, choice.intent, choice.effect) for choice in item.choices]
    return getattr(item, field)

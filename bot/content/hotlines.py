"""Hotlines: the lines and country words of content/hotlines.yml, and finding numbers in a text."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import date
from typing import Any

from bot.content.frontmatter import decode, load_yaml
from bot.errors import ContentError

FILE = "hotlines.yml"
ITEM, LANGUAGE = "hotlines", "-"  # how the ledger names this file
ANYWHERE = "any"
DIRECTORY = "findahelpline.com"  # verified helplines by country; what a card names where we know no number
WORDS = ("emergency", "crisis_line")
EVIDENCE = ("O", "S", "R", "B")  # operator's own page, somebody else's, a dated public repository, background
NOTHING = type(None)
FIELDS: dict[str, tuple[type, ...]] = {
    "id": (str,),
    "country": (str,),
    "group": (str,),
    "name": (str,),
    "call": (str, NOTHING),
    "text_to": (str, NOTHING),
    "text_word": (str, NOTHING),
    "chat_url": (str, NOTHING),
    "hours": (str, NOTHING),
    "languages": (list,),
    "for_whom": (str, dict),
    "is_crisis_counselling": (bool,),
    "is_emergency": (bool,),
    "source_url": (str, NOTHING),
    "evidence": (str,),
    "verified": (str,),
    "verified_on": (date, NOTHING),
    "next_check": (date,),
}
KEYPAD = {"2": "ABC", "3": "DEF", "4": "GHI", "5": "JKL", "6": "MNO", "7": "PQRS", "8": "TUV", "9": "WXYZ"}
WEB_ADDRESS = re.compile(r"https?://\S+")
DIGITS = re.compile(r"(?<![\w.,])\+?\(?\d(?:[\d().\- \u00a0]*\d)?\)?(?!\w)")
YEAR = re.compile(r"(19|20)\d\d")


@dataclass(frozen=True)
class Line:
    """One line people can reach; `is_verified` says that the operator's own page was read on `verified_on`."""

    id: str
    country: str
    name: str
    call: str | None
    text_to: str | None
    text_word: str | None
    chat_url: str | None
    hours: str | None
    for_whom: Mapping[str, str]
    is_crisis_counselling: bool
    is_emergency: bool
    is_verified: bool
    next_check: date

    def numbers(self) -> list[str]:
        return [number for number in (self.call, self.text_to) if number]

    def contact(self, language: str) -> dict[str, str | None]:
        """Return how to reach the line; `what` is in the language, or in English where that is all there is."""
        ways = ("id", "name", "hours", "call", "text_to", "text_word", "chat_url")
        what = self.for_whom.get(language, self.for_whom["en"])
        return {**{name: getattr(self, name) for name in ways}, "what": what}


@dataclass(frozen=True)
class Hotlines:
    """The lines by id, and the words for `{{emergency}}` and `{{crisis_line}}` by country and language."""

    sha256: str
    lines: Mapping[str, Line]
    countries: Mapping[str, Mapping[str, Mapping[str, str]]]

    def to_check(self, today: date) -> list[str]:
        """Return the verified lines whose next check is past: someone reads the operator's page again."""
        return [line.id for line in self.lines.values() if line.is_verified and line.next_check < today]

    def words(self, country: str | None, language: str) -> dict[str, str]:
        """Return the country's variables in a language, in English where the language has none."""
        known = self.countries.get(country or ANYWHERE, self.countries[ANYWHERE])
        return {name: known[name].get(language, known[name]["en"]) for name in WORDS}


def parse_hotlines(data: bytes, file: str = FILE) -> Hotlines:
    """Return the hotlines written in the bytes; ContentError names the line, the field and the fix."""
    values = load_yaml(decode(data, file), file)
    if set(values) != {"countries", "lines"} or not isinstance(values["lines"], list):
        raise ContentError(f"{file}: must hold `countries:` and a list `lines:`, nothing else")
    lines: dict[str, Line] = {}
    for row in values["lines"]:
        line = _line(row, file)
        if line.id in lines:
            raise ContentError(f"{file}: {line.id} is there twice: keep one")
        lines[line.id] = line
    hotlines = Hotlines(hashlib.sha256(data).hexdigest(), lines, _countries(values["countries"], file))
    for country, words in hotlines.countries.items():
        own = [line for line in lines.values() if line.country == country and line.is_verified]
        for text in (text for name in WORDS for text in words[name].values()):
            if strange := strange_numbers(text, own):
                raise ContentError(
                    f"{file}: countries.{country} says {strange[0]}: add a verified line with that number"
                )
    return hotlines


def _line(row: Any, file: str) -> Line:
    if not isinstance(row, dict):
        raise ContentError(f"{file}: each line must be `name: value` lines")
    name = row.get("id")
    if unknown := sorted(set(row) - set(FIELDS)):
        raise ContentError(f"{file}: {name}: {unknown[0]} is not a field of a line: remove it or correct its name")
    for field, kinds in FIELDS.items():
        if field not in row or type(row[field]) not in kinds:
            kind = kinds[0].__name__
            raise ContentError(f"{file}: {name}: {field} is missing or not a {kind}: correct it (numbers in quotes)")
    if row["verified"] not in ("verified", "unverified") or row["evidence"] not in EVIDENCE:
        raise ContentError(
            f"{file}: {name}: verified is `verified` or `unverified`, evidence one of {', '.join(EVIDENCE)}"
        )
    if row["verified"] == "verified" and (row["evidence"] != "O" or not row["verified_on"] or not row["source_url"]):
        raise ContentError(f"{file}: {name}: verified needs evidence O, source_url and verified_on: mark it unverified")
    for_whom = {"en": row["for_whom"]} if isinstance(row["for_whom"], str) else row["for_whom"]
    if "en" not in for_whom or not all(isinstance(text, str) for text in for_whom.values()):
        raise ContentError(f"{file}: {name}: for_whom must be a text, or texts by language with `en`: correct it")
    kept = [field.name for field in fields(Line) if field.name in row and field.name != "for_whom"]
    return Line(**{name: row[name] for name in kept}, for_whom=for_whom, is_verified=row["verified"] == "verified")


def _countries(value: Any, file: str) -> dict[str, dict[str, dict[str, str]]]:
    if not isinstance(value, dict) or ANYWHERE not in value:
        raise ContentError(f"{file}: countries must have `{ANYWHERE}`, for a country we do not know")
    for country, words in value.items():
        if not isinstance(words, dict) or set(words) != set(WORDS):
            raise ContentError(f"{file}: countries.{country} must have exactly {' and '.join(WORDS)}")
        for name, texts in words.items():
            if not isinstance(texts, dict) or "en" not in texts or not all(isinstance(t, str) for t in texts.values()):
                raise ContentError(f"{file}: countries.{country}.{name} must be texts by language, `en` among them")
    return value


def number_pattern(number: str) -> re.Pattern[str]:
    """Return a pattern that finds a number however it is spaced, with or without letters (4357 = HELP)."""
    digits = re.sub(r"\D", "", number)
    keys = [f"[{digit}{KEYPAD.get(digit, '')}]" if n >= 4 else digit for n, digit in enumerate(digits)]
    if len(digits) == 11 and digits.startswith("1"):
        keys[0] = "(?:1[-. ]?)?"
    ending = rf"(?:\s*\({digits[-4:]}\))?" if len(digits) > 6 else ""
    return re.compile(r"(?<![\w+])[(+]?" + r"[-.() \u00a0]{0,2}".join(keys) + rf"{ending}(?!\w)")


def first_number_end(text: str, numbers: Iterable[str]) -> int | None:
    """Return where the first of the numbers (or words) ends in the text; None when none is there."""
    ends = []
    for number in numbers:
        pattern = number_pattern(number) if number[0].isdigit() else re.compile(re.escape(number))
        if match := pattern.search(text):
            ends.append(match.end())
    return min(ends, default=None)


def strange_numbers(text: str, lines: Iterable[Line]) -> list[str]:
    """Return what looks like a phone number in the text and belongs to none of the lines."""
    text = WEB_ADDRESS.sub(" ", text)
    for number in {number for line in lines for number in line.numbers()}:
        text = number_pattern(number).sub(" ; ", text)
    return [match.group().strip() for match in DIGITS.finditer(text) if _is_phone_like(match.group())]


def _is_phone_like(run: str) -> bool:
    """Three digits or more that are not a year, a count such as 5-4-3-2-1 or a range such as 15-20."""
    groups = re.findall(r"\d+", run)
    digits = "".join(groups)
    if len(groups) == 1:
        return len(digits) >= 3 and not YEAR.fullmatch(digits)
    return (len(digits) >= 6 and max(map(len, groups)) > 1) or any(_is_phone_like(group) for group in groups)

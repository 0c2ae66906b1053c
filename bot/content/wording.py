"""Wording: the words reviewed text keeps out of, read from wording.yml beside this file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

FILE = Path(__file__).with_name("wording.yml")


@dataclass(frozen=True)
class Rule:
    """A pattern, what is wrong with what it finds, and what to write instead."""

    pattern: re.Pattern[str]
    what: str
    fix: str


@dataclass(frozen=True)
class Wording:
    """The rules of one language."""

    rules: tuple[Rule, ...]
    allowed: re.Pattern[str]
    simple_words: frozenset[str]
    card_must_say: tuple[str, ...]

    def faults(self, text: str) -> list[tuple[str, str]]:
        """Return what is wrong with a text, and the fix, for each rule it breaks."""
        text = self.allowed.sub(" ", text.replace("*", "").replace("’", "'"))
        found = ((rule, rule.pattern.search(text)) for rule in self.rules)
        return [(f"{rule.what} ({match.group().strip()!r})", rule.fix) for rule, match in found if match]


@cache
def load_wording() -> Mapping[str, Wording]:
    """Return the wording rules by language."""
    data = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    wording = {}
    for language in data["avoid"]:
        rules = [
            Rule(_words(row["match"]), "word to avoid", f"write: {row['prefer']}") for row in data["avoid"][language]
        ]
        rules += [Rule(_words(text), "method or amount", "take it out") for text in data["method"][language]]
        rules += [
            Rule(_words(text), "implies help is on its way", "say who to call") for text in data["rescue"][language]
        ]
        wording[language] = Wording(
            rules=tuple(rules),
            allowed=_words("|".join(data["allow"][language])),
            simple_words=frozenset(data["simple_words"][language]),
            card_must_say=tuple(data["card_must_say"][language]),
        )
    return wording


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{pattern})(?!\w)", re.IGNORECASE)

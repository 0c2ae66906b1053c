"""The rulebook: readable patterns per category (see patterns.py), found in normalised words, then checked for scope.

One YAML file a category: `category`, and `rules`, each with `id`, `reason`, `about` (self, other, or by_words: decided
by who is spoken of), optional `scope` (checks that do NOT apply to it are listed under `ignores`), `patterns` by
language, and `match` / `no_match` examples that the tests run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bot.crisis.decision import CATEGORIES, Finding
from bot.crisis.normaliser import WINDOW, Reader, Word
from bot.crisis.patterns import PatternSet
from bot.crisis.scope import View, WordLists

RECENT_WORDS = 60  # words of each earlier text that a split disclosure may reach back to
LANGUAGES = ("en", "es")


@dataclass(frozen=True)
class Rule:
    """One rule as read from its file."""

    id: str
    category: str
    reason: str
    about: str
    ignores: frozenset[str]
    patterns: dict[str, tuple[str, ...]]
    match: dict[str, tuple[str, ...]]
    no_match: dict[str, tuple[str, ...]]


class Rulebook:
    """All rules, compiled; `find` answers for one text and the texts before it."""

    def __init__(self, rules: Sequence[Rule], lists: Mapping[str, Sequence[str]], scope: Mapping[str, Any]) -> None:
        self.rules = {rule.id: rule for rule in rules}
        self._scope: dict[str, WordLists] = {}
        self._patterns: dict[str, PatternSet] = {}
        self._around: dict[str, PatternSet] = {}
        danger: set[str] = set()
        known = set(scope["plain_words"])
        for language in LANGUAGES:
            own = {rule.id: rule.patterns[language] for rule in rules if language in rule.patterns}
            self._patterns[language] = PatternSet(own, lists)
            self._around[language] = PatternSet(scope[language]["phrases"], lists)
            danger = danger.union(*(self._patterns[language].words_of(name) for name in own))
            self._scope[language] = {name: frozenset(words) for name, words in scope[language]["words"].items()}
            known |= self._patterns[language].words.union(self._around[language].words, *self._scope[language].values())
        danger -= set(scope["plain_words"])
        self._reader = Reader(
            known, danger, set(scope["run_words"]), scope["slips"], set(scope["guarded"]), set(scope["innocent"])
        )

    @classmethod
    def load(cls, folder: Path) -> "Rulebook":
        """Read every rule file of the folder; raises on anything unclear, naming the file."""
        rules: list[Rule] = []
        for path in sorted(folder.glob("*.yaml")):
            if path.stem in {"words", "scope"}:
                continue
            rules += _read_rules(path)
        names = [rule.id for rule in rules]
        twice = {name for name in names if names.count(name) > 1}
        if twice or not rules:
            raise ValueError(f"{folder.name}: rule ids must be there and differ: {sorted(twice)}")
        return cls(rules, _read(folder / "words.yaml"), _read(folder / "scope.yaml"))

    def find(self, text: str, recent: Sequence[str] = ()) -> list[Finding]:
        """Find evidence in the text, and in its window with the texts before it when the text completes it."""
        windows = self._reader.read(text)
        findings: list[Finding] = []
        for window in windows:
            findings += self._match(window, first_new=0)
        if recent and windows[0]:
            earlier = [word for before in recent for word in self._reader.read(before[-WINDOW:])[-1][-RECENT_WORDS:]]
            if earlier:
                joined = [Word(w.text, -1, -1, " ") for w in earlier] + windows[0][:RECENT_WORDS]
                findings += self._match(joined, first_new=len(earlier))
        return list(dict.fromkeys(findings))

    def _match(self, words: Sequence[Word], first_new: int) -> list[Finding]:
        """Match one window; what ends before word `first_new` was assessed when it arrived and is not told again."""
        if not words:
            return []
        findings: list[Finding] = []
        plain = [word.text for word in words]
        for language, patterns in self._patterns.items():
            found = patterns.find(plain)
            if not found:  # most texts: then what could take a finding back need not be looked for
                continue
            view = View(self._scope[language], self._around[language].find(plain), words)
            for rule in (self.rules[name] for name in found):
                for hit in found[rule.id]:
                    if first_new and not hit.start < first_new < hit.end:
                        continue  # wholly in one of the parts: found without the window
                    if view.cancelled(hit, rule.ignores):
                        continue
                    about = view.about(hit) if rule.about == "by_words" else rule.about
                    span = (words[max(hit.start, first_new)].start, words[hit.end - 1].end)
                    findings.append(Finding(rule.category, about, rule.id, span))
                    break  # one piece of evidence a rule is enough
        return findings


def _read(path: Path) -> dict[str, Any]:
    # The base loader reads every scalar as text ("no" and "on" are words here), and the C one is fast.
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    content = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506 builds nothing but text
    if not isinstance(content, dict):
        raise ValueError(f"{path.name}: must be a mapping")
    return content


def _read_rules(path: Path) -> list[Rule]:
    content = _read(path)
    category = content["category"]
    if category not in (*CATEGORIES, "concern") or category != path.stem:
        raise ValueError(f"{path.name}: category must be a known one and the file's name")
    return [
        Rule(
            id=f"{category}/{raw['id']}",
            category=category,
            reason=raw["reason"],
            about=raw.get("about", "self"),
            ignores=frozenset(raw.get("ignores", ())),
            patterns=_by_language(raw, "patterns", path),
            match=_by_language(raw, "match", path),
            no_match=_by_language(raw, "no_match", path),
        )
        for raw in content["rules"]
    ]


def _by_language(raw: dict[str, Any], key: str, path: Path) -> dict[str, tuple[str, ...]]:
    found = raw.get(key) or {}
    if set(found) - set(LANGUAGES):
        raise ValueError(f"{path.name}: {raw['id']}: {key} has an unknown language")
    return {language: tuple(str(entry) for entry in entries) for language, entries in found.items()}

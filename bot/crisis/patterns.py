"""The pattern language of the rules, matched over normalised words with spaCy's PhraseMatcher.

A pattern is words in order: `a|b` either; `<list>` any word or phrase of that list in words.yaml; a trailing `?` makes
an element optional; `..3` up to three words of anything. Words are written as the normaliser leaves them: lower case,
no accents, no apostrophes ("dont", "cant").

The PhraseMatcher finds every element at once, whatever the number of patterns; elements are then put in sequence. So
the time grows with the length of the text and not with the number of rules, and no pattern can run away.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from spacy.matcher import PhraseMatcher
from spacy.tokens import Doc
from spacy.vocab import Vocab


@dataclass(frozen=True)
class Step:
    """One element of a pattern: which words, how many words may stand before it, whether it may be absent."""

    element: str
    gap: int
    optional: bool


@dataclass(frozen=True)
class Pattern:
    """One compiled pattern and the name it reports."""

    name: str
    steps: tuple[Step, ...]
    needed: frozenset[str]
    words: frozenset[str]


@dataclass(frozen=True, order=True)
class Hit:
    """A half-open range of words in which a pattern holds, and the pattern's own words (gaps may hold others)."""

    start: int
    end: int
    words: frozenset[str] = field(compare=False)


class PatternSet:
    """All patterns of one language; `find` tells which hold where."""

    def __init__(self, patterns: Mapping[str, Sequence[str]], lists: Mapping[str, Sequence[str]]) -> None:
        # A bare vocabulary: the words come from the normaliser, so no tokenizer exceptions need to be read.
        self._vocab = Vocab()
        self._matcher = PhraseMatcher(self._vocab, attr="ORTH")
        self._lists = lists
        self._phrases: dict[str, tuple[str, ...]] = {}
        self._by_element: dict[str, list[Pattern]] = {}
        for name, sources in patterns.items():
            for source in sources:
                pattern = self._compile(name, source)
                rarest = min(pattern.needed, key=lambda element: (len(self._phrases[element]), element))
                self._by_element.setdefault(rarest, []).append(pattern)
        for element, phrases in self._phrases.items():
            self._matcher.add(element, [Doc(self._vocab, words=phrase.split()) for phrase in phrases])
        self.words = {word for phrases in self._phrases.values() for phrase in phrases for word in phrase.split()}

    def words_of(self, name: str) -> set[str]:
        """Give every word that the patterns of this name can hold."""
        return {word for group in self._by_element.values() for p in group if p.name == name for word in p.words}

    def find(self, words: Sequence[str]) -> dict[str, list[Hit]]:
        """Find for each pattern name where it holds, in order."""
        starts: dict[str, dict[int, list[int]]] = {}
        strings = self._vocab.strings
        for key, start, end in self._matcher(Doc(self._vocab, words=list(words))):
            starts.setdefault(strings[key], {}).setdefault(start, []).append(end)
        found: dict[str, list[Hit]] = {}
        for element in starts:
            for pattern in self._by_element.get(element, ()):
                if pattern.needed <= starts.keys():
                    for start, end in _sequence(pattern.steps, starts):
                        found.setdefault(pattern.name, []).append(Hit(start, end, pattern.words))
        return {name: sorted(hits) for name, hits in found.items()}

    def _compile(self, name: str, source: str) -> Pattern:
        steps: list[Step] = []
        gap = 0
        for part in source.split():
            wide = re.fullmatch(r"\.\.(\d+)", part)
            if wide:
                gap = int(wide[1])
                continue
            element = part.removesuffix("?")
            if element not in self._phrases:
                self._phrases[element] = self._expand(element)
            steps.append(Step(element, gap, part.endswith("?")))
            gap = 0
        needed = frozenset(step.element for step in steps if not step.optional)
        if not needed or steps[0].optional:
            raise ValueError(f"{name}: pattern '{source}' must begin with an element that is not optional")
        words = {word for step in steps for phrase in self._phrases[step.element] for word in phrase.split()}
        return Pattern(name, tuple(steps), needed, frozenset(words))

    def _expand(self, element: str) -> tuple[str, ...]:
        phrases: list[str] = []
        for choice in element.split("|"):
            named = re.fullmatch(r"<(\w+)>", choice)
            phrases += self._lists[named[1]] if named else [choice]
        return tuple(dict.fromkeys(phrases))


def _sequence(steps: Sequence[Step], starts: Mapping[str, Mapping[int, Sequence[int]]]) -> set[tuple[int, int]]:
    """Put the found elements in sequence; of several beginnings that reach the same end the latest is kept."""
    states: dict[int, int] = {}  # end -> start
    for start, ends in starts[steps[0].element].items():
        for end in ends:
            states[end] = max(start, states.get(end, -1))
    for step in steps[1:]:
        at = starts.get(step.element, {})
        following = dict(states) if step.optional else {}
        for reached, begun in states.items():
            for start in range(reached, reached + step.gap + 1):
                for end in at.get(start, ()):
                    following[end] = max(begun, following.get(end, -1))
        states = following
        if not states:
            return set()
    return {(start, end) for end, start in states.items()}

"""Scope: whether words of danger are denied, past, a figure of speech, a story, a question, or about somebody else.

Every check looks at the words around a match, inside its clause or sentence; the word lists are in rules/scope.yaml.
"""

import re
from collections.abc import Mapping, Sequence

from bot.crisis.normaliser import Word
from bot.crisis.patterns import Hit

NEGATION_REACH = 4  # words before a match in which a negation counts
ABOUT_REACH = 12  # words around a match in which a person is looked for
_SENTENCE_END = re.compile(r"[.?!;\n]")
_YEAR = re.compile(r"(19[5-9]\d|20[0-4]\d)")


WordLists = Mapping[str, frozenset[str]]


class View:
    """One window of words with its phrases, asked about one match at a time."""

    def __init__(self, lists: WordLists, phrases: Mapping[str, Sequence[Hit]], words: Sequence[Word]) -> None:
        self._lists, self._phrases = lists, phrases
        self._plain = [word.text for word in words]
        self._commas = {index for index, word in enumerate(words) if "," in word.gap}
        self._bounds: list[tuple[int, int]] = []  # of each word: the sentence it stands in
        first = 0
        for index, word in enumerate(words):
            if index + 1 == len(words) or _SENTENCE_END.search(word.gap):
                self._bounds += [(first, index + 1)] * (index + 1 - first)
                first = index + 1

    def cancelled(self, hit: Hit, ignores: frozenset[str]) -> bool:
        """Say whether a check the rule does not ignore takes the match out of scope."""
        return (
            ("figure" not in ignores and self._overlaps("figure", hit.start, hit.end))
            or ("idiom" not in ignores and self._overlaps("idiom", hit.start, hit.end))
            or ("negation" not in ignores and self._negated(hit))
            or ("past" not in ignores and self._past(hit))
            or ("story" not in ignores and self._overlaps("story", *self._sentence(hit)))
            or ("question" not in ignores and self._question(hit))
            or ("laughter" not in ignores and self._laughter(hit))
        )

    def about(self, hit: Hit) -> str:
        """Say of whom a match speaks: the nearest person named in or before it, else after it."""
        first, last = self._sentence(hit)
        before = range(hit.end - 1, max(first, hit.start - ABOUT_REACH) - 1, -1)
        after = range(hit.end, min(last, hit.end + ABOUT_REACH))
        for index in (*before, *after):
            if self._plain[index] in self._lists["others"]:
                return "other"
            if self._plain[index] in self._lists["selves"]:
                return "self"
        return "unclear"

    def _negated(self, hit: Hit) -> bool:
        """Count negations before the match and in its gaps; two cancel each other out."""
        first = max(self._clause_start(hit.start), hit.start - NEGATION_REACH)
        excused = self._covered("not_a_negation")
        denials = [phrase for phrase in self._phrases.get("denial", ()) if phrase.start < hit.end > first < phrase.end]
        denials = [phrase for phrase in denials if phrase.end > hit.start or phrase.start >= first]
        excused |= {index for phrase in denials for index in range(phrase.start, phrase.end)}
        count = int(len(denials) > 0)
        for index in range(first, hit.end):
            word = self._plain[index]
            if word in self._lists["negators"] and index not in excused:
                count += index < hit.start or word not in hit.words
        last = self._sentence(hit)[1]
        count += self._overlaps("denial_after", hit.end, min(last, hit.end + NEGATION_REACH))
        return count % 2 == 1

    def _past(self, hit: Hit) -> bool:
        first, last = self._sentence(hit)
        past = self._covered("past")  # "six years clean now" is past, its "now" included
        if any(self._plain[i] in self._lists["now"] and i not in past for i in range(first, last)):
            return False
        wants = (i for i in range(hit.start, hit.end) if self._plain[i] in self._lists["wants"])
        if any(i - 1 not in past for i in wants):  # "nine years clean and i want to die", not "i used to want to die"
            return False
        return any(i in past or _YEAR.fullmatch(self._plain[i]) for i in range(first, last))

    def _question(self, hit: Hit) -> bool:
        first, last = self._sentence(hit)
        if any(self._plain[i] in self._lists["close"] for i in range(first, last)):
            return False
        asked = self._phrases.get("question", ())
        return any(first <= phrase.start <= hit.start and phrase.start - first <= 3 for phrase in asked)

    def _laughter(self, hit: Hit) -> bool:
        first, last = self._sentence(hit)
        return not self._lists["laughter"].isdisjoint(self._plain[first : last + 2])

    def _overlaps(self, name: str, first: int, last: int) -> bool:
        return any(phrase.start < last and phrase.end > first for phrase in self._phrases.get(name, ()))

    def _covered(self, name: str) -> set[int]:
        return {i for phrase in self._phrases.get(name, ()) for i in range(phrase.start, phrase.end)}

    def _clause_start(self, start: int) -> int:
        first = self._bounds[start][0]
        for index in range(start - 1, first - 1, -1):
            if self._plain[index] in self._lists["clause_breaks"] or index in self._commas:
                return index + 1
        return first

    def _sentence(self, hit: Hit) -> tuple[int, int]:
        return self._bounds[hit.start][0], self._bounds[hit.end - 1][1]

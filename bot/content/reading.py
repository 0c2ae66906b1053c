"""Reading grade: how many years of school a text asks for.

English: Flesch-Kincaid grade (Kincaid 1975), 0.39 words per sentence + 11.8 syllables per word - 15.59. Spanish:
Fernández-Huerta ease (1959), 206.84 - 60 syllables per word - 1.02 words per sentence, turned into a grade by that
author's own table (90-100 fourth, 80-90 fifth, 70-80 sixth, 60-70 seventh to eighth, below that beyond school), the
top of a band being its first grade and the bottom the next one. Grade 8 in Spanish is ease 65, which INFLESZ calls
"bastante fácil". Syllables are counted by rule, because textstat downloads its dictionary.
A formula is a floor, not proof: it counts length, not meaning.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise

EASE_TO_GRADE = (
    (100.0, 4.0),
    (90.0, 5.0),
    (80.0, 6.0),
    (70.0, 7.0),
    (60.0, 9.0),
    (50.0, 12.0),
    (30.0, 16.0),
    (0.0, 20.0),
)
SENTENCE_END = re.compile(r"[.!?]+(?=[\s\"')”»]|$)")
ADDRESS = re.compile(r"(https?://\S+|\b[\w-]+(\.[\w-]+)*\.(com|org|gov|net|uk|ie|ca)\b[\w/-]*)", re.IGNORECASE)
WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*|[\d][\d().,/: -]*\d|\d")
SIMPLE_WORD_SYLLABLES = 2
WORST_GRADE = 30.0
FEWEST_WORDS = 10  # below that one long word decides, and the formula says nothing


def reading_grade(blocks: Iterable[str], language: str, simple_words: frozenset[str]) -> float:
    """Return the grade of paragraphs and list entries to one decimal, 0 to 30; very few words are grade 0.

    Numbers and web addresses count as one syllable, `simple_words` (medicine names a person has to meet) as two.
    """
    sentences = [s for block in blocks for s in SENTENCE_END.split(ADDRESS.sub("link", block)) if WORD.search(s)]
    words = [word.lower() for sentence in sentences for word in WORD.findall(sentence)]
    if len(words) < FEWEST_WORDS:
        return 0.0
    count = english_syllables if language == "en" else spanish_syllables
    syllables = sum(SIMPLE_WORD_SYLLABLES if word in simple_words else count(word) for word in words)
    words_per_sentence, syllables_per_word = len(words) / len(sentences), syllables / len(words)
    if language == "en":
        grade = 0.39 * words_per_sentence + 11.8 * syllables_per_word - 15.59
    else:
        grade = _spanish_grade(206.84 - 60 * syllables_per_word - 1.02 * words_per_sentence)
    return round(min(max(grade, 0.0), WORST_GRADE), 1)


def _spanish_grade(ease: float) -> float:
    """Return the grade between the two nearest rows of the table."""
    if ease >= EASE_TO_GRADE[0][0]:
        return EASE_TO_GRADE[0][1]
    for (high, low_grade), (low, high_grade) in pairwise(EASE_TO_GRADE):
        if ease >= low:
            return low_grade + (high - ease) / (high - low) * (high_grade - low_grade)
    return EASE_TO_GRADE[-1][1]


# English spelling hides syllables; each rule adds or takes one. Against the CMU dictionary (2026-11-22): right for 98%
# of running words about this subject (the rules were tuned on them) and 92% of dictionary words at random.
VOWELS = re.compile(r"[aeiouy]+")
SILENT = (
    re.compile(r"(?<=[^aeiouy])e$|(?<=[aeiouy][^aeiouylr])e$"),
    re.compile(r"[^aeiouydt]ed$"),
    re.compile(r"[^aeiouyscxzgh]es$|[^aeiouysc]hes$(?<![cs]hes)"),
    re.compile(r"[aeiouy][^aeiouy]e(?=(ly|ty|ment|ments|ness|less|ful|fully|lessly)$)"),
)
SPOKEN = (
    re.compile(r"[^aeiouy]les?$"),
    re.compile(r"i(?=(a|o|um|us))(?<![cst]i)(?<!gi)|[aeouy]ing$|(?<=[^q])ua(?=[tl])|eo(?!u|p)|ism$|iety$|ience"),
)
IRREGULAR = {
    2: "someone something sometimes lifeline boredom million anxious guideline guidelines lifestyle quiet being fluids "
    "tired science",
    3: "suicide anyone everyone everywhere everything idea ideas area areas quieter easier heroin companion opinion "
    "loneliness",
    4: "suicidal reality",
}
SYLLABLES = {word: count for count, words in IRREGULAR.items() for word in words.split()}


def english_syllables(word: str) -> int:
    """Return the syllables of a lower-case English word, one at least."""
    word = word.replace("’", "'")
    if word in SYLLABLES:
        return SYLLABLES[word]
    word = re.sub(r"[^a-z]", "", word.removesuffix("'s"))
    count = len(VOWELS.findall(word))
    count -= sum(bool(rule.search(word)) for rule in SILENT)
    count += sum(bool(rule.search(word)) for rule in SPOKEN)
    return max(count, 1)


SPANISH_VOWELS = re.compile(r"[aeiouáéíóúü]+|y(?![aeiouáéíóú])")
SPANISH_STRONG = re.compile(r"[aeoáéíóú]")


def spanish_syllables(word: str) -> int:
    """Return the syllables of a lower-case Spanish word, one at least: each strong vowel makes its own."""
    word = re.sub(r"(?<=[qg])u(?=[eiéí])", "", word)
    word = re.sub(r"(?<=[aeou])y$", "i", word)
    return max(sum(max(len(SPANISH_STRONG.findall(group)), 1) for group in SPANISH_VOWELS.findall(word)), 1)

"""Hidden words are read as meant, innocent words stay, and every word knows its place in the original."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.crisis import Guard
from bot.crisis.guard import RULES_FOLDER
from bot.crisis.rules import Rulebook

RULEBOOK = Rulebook.load(RULES_FOLDER)
READER = RULEBOOK._reader
GUARD = Guard(RULEBOOK)


def read(text: str) -> list[str]:
    return [word.text for window in READER.read(text) for word in window]


@pytest.mark.parametrize(
    "text",
    [
        "I want to die",
        "ｉ ｗａｎｔ ｔｏ ｄｉｅ",
        "i w\u200ba\u200bn\u200bt to d\u200bie",
        "i wаnt tо diе",
        "i w4nt 2 d1e",
        "i want to d!e",
        "i w a n t  t o  d i e",
        "i want to d.i.e",
        "i want to d-i-e",
        "iwanttodie",
        "i waaaant to dieeeee",
        "i want to d*e",
        "i wnat to die",
        "i wánt tö dïe",
        "I’ve decided i wanna die",
        "𝓲 𝔀𝓪𝓷𝓽 𝓽𝓸 𝓭𝓲𝓮",
    ],
)
def test_disguised_wish_is_found(text: str) -> None:
    assert GUARD.assess(text, "en").category == "suicide"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I’m don`t", ["im", "dont"]),
        ("suicdal overdse", ["suicidal", "overdose"]),
        ("took my 💊", ["took", "my", "pills"]),
        ("ojalá mañana", ["ojala", "manana"]),
        ("killl my5elf", ["kill", "myself"]),
    ],
)
def test_words_are_read_as_meant(text: str, words: list[str]) -> None:
    assert read(text) == words


@pytest.mark.parametrize(
    "word",
    [
        "overdone",
        "herself",
        "skilled",
        "hearing",
        "breeding",
        "cookies",
        "h8",
        "route66",
        "weather",
        "afternoon",
        "deadline",
        "remedies",
    ],
)
def test_innocent_words_are_not_repaired_into_dangerous_ones(word: str) -> None:
    assert read(word) == [word]


@pytest.mark.parametrize(
    ("text", "evidence"),
    [
        ("Hello 👋🏽 there. ＩＷＡＮＴ no. I want to die, sorry", "want to die"),
        ("ok… i w\u200bant to d i e now", "w\u200bant to d i e"),
        ("naïve café: I took all my 💊 today", "took all my 💊"),
    ],
)
def test_span_points_at_the_original_text(text: str, evidence: str) -> None:
    span = GUARD.assess(text, "en").span
    assert span is not None
    assert text[slice(*span)] == evidence


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=300))
def test_any_text_is_read_with_places_inside_it(text: str) -> None:
    for window in READER.read(text):
        for word in window:
            assert 0 <= word.start < word.end <= len(text)
            assert word.text.isascii()

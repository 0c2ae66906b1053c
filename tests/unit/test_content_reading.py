"""Reading grades: syllables by rule, and known texts near their known grade."""

import pytest

from bot.content.reading import english_syllables, reading_grade, spanish_syllables

ENGLISH = (
    "a:1 call:1 people:2 craving:2 urges:2 breathing:2 notice:2 safe:1 safely:2 someone:2 suicide:3 moment:2 little:2 "
    "table:2 needed:2 passed:1 watched:1 changes:2 feelings:2 anxious:2 anxiety:4 area:3 idea:3 medicine:3 quiet:2 "
    "being:2 buprenorphine:4 methadone:3 counselor:3 situation:4 actually:4 days:1 you're:1 don't:1"
)
SPANISH = (
    "a:1 día:2 ayuda:3 ansiedad:3 emoción:3 respirar:3 quien:1 guerra:2 agua:2 oír:2 país:2 ciudad:2 aéreo:4 muy:1 "
    "hoy:1 yo:1 y:1 después:2 ahora:3 leer:2 construido:3 pingüino:3 estoy:2 rey:1 ahí:2 veintiún:2 ruido:2"
)


@pytest.mark.parametrize(("word", "count"), [pair.split(":") for pair in ENGLISH.split()])
def test_english_syllables(word, count):
    assert english_syllables(word) == int(count)


@pytest.mark.parametrize(("word", "count"), [pair.split(":") for pair in SPANISH.split()])
def test_spanish_syllables(word, count):
    assert spanish_syllables(word) == int(count)


def test_flesch_kincaid_of_a_counted_sentence():
    # 6 words, 1 sentence, 7 syllables: 0.39 * 6 + 11.8 * 7 / 6 - 15.59 = 0.52
    assert reading_grade(["The cat is on the table."] * 2, "en", frozenset()) == 0.5


def test_fernandez_huerta_of_a_counted_sentence():
    # 6 words, 1 sentence, 11 syllables: ease 206.84 - 110 - 6.12 = 90.72, just above fifth grade
    assert reading_grade(["El gato camina sobre la mesa."] * 2, "es", frozenset()) == 4.9


@pytest.mark.parametrize(
    ("language", "easy", "hard"),
    [
        (
            "en",
            ["Sit down.", "Feel your feet on the floor. Breathe in. Breathe out."],
            ["Comprehensive pharmacological interventions necessitate multidisciplinary evaluation and coordination."],
        ),
        (
            "es",
            ["Siente los pies en el suelo.", "Toma aire. Suelta el aire."],
            ["Las intervenciones farmacológicas integrales requieren evaluación multidisciplinaria coordinada."],
        ),
    ],
)
def test_easy_is_under_the_card_cap_and_hard_over_the_cap(language, easy, hard):
    assert reading_grade(easy * 2, language, frozenset()) <= 6
    assert reading_grade(hard * 2, language, frozenset()) > 8


def grade(sentence, simple_words=()):
    return reading_grade([sentence] * 9, "en", frozenset(simple_words))


def test_medicine_names_numbers_and_addresses_are_simple():
    plain = grade("Ask about table at the clinic.")
    assert grade("Ask about buprenorphine at the clinic.", ["buprenorphine"]) == plain
    assert grade("Ask about buprenorphine at the clinic.") > plain
    assert grade("Call 1-800-662-4357 now.") == grade("Call now now.")
    assert grade("See findahelpline.com.") == grade("See it.")


def test_too_few_words_to_judge_are_grade_zero():
    assert reading_grade(["Multidisciplinary evaluation."], "en", frozenset()) == 0
    assert reading_grade([], "es", frozenset()) == 0

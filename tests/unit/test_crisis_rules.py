"""The examples written beside the rules hold, and every rule file is whole."""

import pytest

from bot.crisis import CATEGORIES, Guard
from bot.crisis.guard import RULES_FOLDER
from bot.crisis.rules import LANGUAGES, Rule, Rulebook

RULEBOOK = Rulebook.load(RULES_FOLDER)
GUARD = Guard(RULEBOOK)


def examples(kind: str) -> list:
    return [
        pytest.param(rule, text, language, id=f"{rule.id}-{language}-{number}")
        for rule in RULEBOOK.rules.values()
        for language, texts in getattr(rule, kind).items()
        for number, text in enumerate(texts)
    ]


@pytest.mark.parametrize(("rule", "text", "language"), examples("match"))
@pytest.mark.parametrize("hint", ["right", "wrong", "none"])
def test_example_matches_whatever_language_is_hinted(rule: Rule, text: str, language: str, hint: str) -> None:
    lang = {"right": language, "wrong": {"en": "es", "es": "en"}[language], "none": None}[hint]
    decision = GUARD.assess(text, lang)
    assert rule.id in decision.why
    assert decision.concern if rule.category == "concern" else decision.category == rule.category


@pytest.mark.parametrize(("rule", "text", "language"), examples("no_match"))
def test_near_miss_is_no_crisis(rule: Rule, text: str, language: str) -> None:
    decision = GUARD.assess(text, language)
    assert decision.category is None
    assert rule.id not in decision.why


def test_every_category_has_rules_in_both_languages_with_reason_and_examples() -> None:
    for category in (*CATEGORIES, "concern"):
        rules = [rule for rule in RULEBOOK.rules.values() if rule.category == category]
        for language in LANGUAGES:
            assert any(rule.patterns.get(language) for rule in rules), (category, language)
            assert any(rule.match.get(language) for rule in rules), (category, language)
    for rule in RULEBOOK.rules.values():
        assert rule.reason.endswith("."), rule.id
        assert rule.no_match, rule.id
        assert rule.about in {"self", "other", "by_words"}, rule.id
        assert rule.ignores <= {"figure", "idiom", "negation", "past", "story", "question", "laughter"}, rule.id

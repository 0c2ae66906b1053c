"""The built-in minimum: right numbers, right country, first on the screen, and no promise of help."""

import re

import pytest

from bot.content import segment
from bot.content.hotlines import first_number_end
from bot.content.minimum import GROUPS, TEXTS, WORDS, minimum_card, minimum_fallback, minimum_line
from bot.content.reading import reading_grade
from bot.content.segments import FIRST_SEGMENT
from bot.content.wording import load_wording
from bot.crisis import CATEGORIES

EVERY = [(language, country) for language in TEXTS for country in ("US", "any")]


def test_every_crisis_category_has_a_group():
    assert set(GROUPS) == set(CATEGORIES)


@pytest.mark.parametrize(("language", "country"), EVERY)
@pytest.mark.parametrize("category", GROUPS)
def test_each_card_names_whom_to_call_at_once_and_says_what_it_is(language, country, category):
    card = minimum_card(category, country=country, language=language, channel="sms")
    known = ["911", "988"] if country == "US" else [WORDS["en"]["any"]["emergency"], "número de emergencias de tu zona"]
    end = first_number_end(card.text, known)
    assert end is not None
    assert end <= FIRST_SEGMENT[segment(card.text[:end]).encoding]
    assert load_wording()[language].card_must_say[0] in card.text
    assert first_number_end(minimum_line(category, country=country, language=language, channel="sms").text, known)


@pytest.mark.parametrize(("language", "country"), EVERY)
def test_every_sentence_keeps_the_wording_rules_and_reads_easily(language, country):
    wording = load_wording()[language]
    for text in TEXTS[language][country].values():
        assert wording.faults(text) == []
        assert reading_grade([text], language, wording.simple_words) <= 8


@pytest.mark.parametrize("country", [None, "GB", "CA", "MX", ""])
@pytest.mark.parametrize("language", ["en", "es", "fr"])
def test_no_american_number_abroad(country, language):
    texts = [minimum_card(category, country=country, language=language, channel="web") for category in GROUPS]
    texts += [minimum_fallback(country=country, language=language, channel="web")]
    assert not any(re.search(r"\d", rendering.text + re.sub(r"<a [^>]*>", "", rendering.html)) for rendering in texts)
    assert all("findahelpline.com" in r.text for r in texts if r.item not in ("minimum/overdose", "minimum/withdrawal"))


def test_numbers_are_links_on_the_web():
    html = minimum_card("violence", country="US", language="en", channel="web").html
    assert '<a href="tel:+18007997233">1-800-799-7233</a>' in html
    assert '<a href="tel:911">911</a>' in html
    assert html.count("<a ") == 2

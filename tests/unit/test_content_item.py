"""The parser: a file becomes an item, or an error that names the file, the field and the fix."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.content import parse_item
from bot.content.item import Item
from bot.errors import ContentError
from tests.unit.content_folder import CARD, item_text

FILE = "items/craving/surf.md"


def parse(**fields: str) -> Item:
    return parse_item(item_text("craving/surf", **fields).encode(), FILE)


def test_a_guided_item_keeps_its_steps_choices_and_timer():
    item = parse(
        text="One.\n\n---\n\nTwo.",
        sms="1\n---\n2",
        next_label="Next",
        timer_seconds="60",
        timer_step="2",
        topics="[craving, anger]",
        choices="[{label: More, reference: craving}, {label: Ask, intent: ask_medications, entities: {name: x}}]",
    )
    assert (item.web, item.sms) == (("One.", "Two."), ("1", "2"))
    assert (item.timer_seconds, item.timer_step, item.next_label) == (60, 2, "Next")
    assert [(c.label, c.reference, c.intent) for c in item.choices] == [
        ("More", "craving", None),
        ("Ask", None, "ask_medications"),
    ]
    assert dict(item.choices[1].entities) == {"name": "x"}


def test_a_card_keeps_its_again_lines():
    item = parse_item(item_text("card/suicide", **CARD).encode(), "items/card/suicide.md")
    assert item.is_card
    assert item.again == ("Call or text 988.", "The line is 988.", "In danger, call 911.")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"colour": "blue"}, "colour"),
        ({"version": "0"}, "version"),
        ({"version": "true"}, "version"),
        ({"version": ""}, "version"),
        ({"language": "fr"}, "language"),
        ({"topics": "[]"}, "topics"),
        ({"topics": "[Not A Topic]"}, "topics"),
        ({"fits": "[web]"}, "fits"),
        ({"fits": "[web, post]"}, "fits"),
        ({"country": "USA"}, "country"),
        ({"country": "NO"}, "country"),  # YAML reads a bare NO as false: Norway needs quotes
        ({"sources": "[]"}, "sources"),
        ({"sources": ""}, "sources"),
        ({"sources": "[{title: A, publisher: B, url: 'https://example.org'}]"}, "accessed"),
        ({"sources": "[{title: A, publisher: B, url: 'javascript:x', accessed: 2026-11-22}]"}, "sources"),
        ({"reading_grade": "easy"}, "reading_grade"),
        ({"choices": "[{label: A}]"}, "choices"),
        ({"choices": "[{label: A, intent: b, reference: c}]"}, "choices"),
        ({"choices": "[{label: A, effect: send_money}]"}, "effect"),
        ({"choices": "[" + "{label: A, intent: b}, " * 6 + "]"}, "choices"),
        ({"text": "One.\n\n---\n\nTwo.", "next_label": "Next"}, "steps"),
        ({"text": "One.\n\n---\n\nTwo.", "sms": "1\n---\n2"}, "next_label"),
        ({"next_label": "Next"}, "next_label"),
        ({"text": "One.\n\n---\n", "sms": "1\n---\n2", "next_label": "Next"}, "empty step"),
        ({"timer_seconds": "60", "timer_step": "2"}, "timer_step"),
        ({"again": "- Call 988."}, "Again"),
        ({"about": "[self]"}, "about"),
        ({"labels": "{send: Send}"}, "labels"),
        ({"id": "craving/other"}, "id"),
        ({"id": "../../etc"}, "id"),
    ],
)
def test_what_is_wrong_is_named(fields, named):
    with pytest.raises(ContentError, match=r"^items/craving/surf\.md: .*: ") as caught:
        parse(**fields)
    assert named in str(caught.value)


def test_norway_is_accepted_in_quotes():
    assert parse(country='"NO"').country == "NO"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no front matter",
        b"---\nid: a/b\n",
        b"\xff\xfe",
        item_text("craving/surf").replace("\n", "\r\n").encode(),
        b"\xef\xbb\xbf" + item_text("craving/surf").encode(),
        item_text("craving/surf").encode() + b" " * 70_000,
        item_text("craving/surf", version="1\nversion: 2").encode(),
        item_text("craving/surf", topics="&a [x]\nfits: *a").encode(),
        b"---\na: " + b"[" * 60_000 + b"\n---\nx",
        b"---\n" + b"- " * 30_000 + b"\n---\nx",
    ],
)
def test_a_malformed_file_is_refused_by_name(data):
    with pytest.raises(ContentError, match=r"^items/craving/surf\.md: "):
        parse_item(data, FILE)


FRONT = st.sampled_from(
    ["id", "version", "topics", "fits", "sources", "choices", "country", "labels", "lines", "about"]
)


@settings(deadline=None)
@given(FRONT, st.text(max_size=200))
def test_hostile_front_matter_never_escapes_as_anything_but_a_content_error(field, value):
    try:
        item = parse(**{field: value})
    except ContentError as error:
        refusal = str(error)
    else:
        refusal = FILE
        assert item.id == "craving/surf"
    assert refusal.startswith(FILE)


@settings(deadline=None)
@given(st.text(min_size=1, max_size=2000), st.text(max_size=500))
def test_a_hostile_body_is_kept_as_written_or_refused(text, sms):
    try:
        item = parse_item(item_text("craving/surf", text=text, sms=sms).encode(errors="surrogatepass"), FILE)
    except ContentError as error:
        refusal = str(error)
    else:
        refusal = FILE
        assert all(step in text for step in item.web)
    assert refusal.startswith(FILE)

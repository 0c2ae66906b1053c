"""What single texts mean, and what Twilio's requests, answers and errors mean."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from bot.channels.sms import SAME_TEXTS, Floods, conversation_of
from bot.channels.twilio import CASES, Twilio, read_form, read_message, read_status, twiml
from bot.content.segments import parts, segment, to_gsm_7
from bot.desk.keywords import asks_to_be_left, keyword, language_of, number_of, safe_to_text
from bot.desk.texting import only_last_choices, open_choices, text_of
from bot.errors import MaybeSent, NotSent
from bot.settings import ROOT
from bot.store.values import Context, Reply
from tests.fakes import FakeTwilio, MovedClock
from tests.stack import free_port

TOKEN, URL = "secret", "https://help.example.org/sms/twilio/messages"
ADDRESS = "+15550100001"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("STOP", "stop"),
        ("stop.", "stop"),
        (' "Stop!" ', "stop"),
        ("StopAll", "stop"),
        ("opt-out", "stop"),
        ("CANCELAR", "stop"),
        ("¡Alto!", "stop"),
        ("Start", "start"),
        ("unstop", "start"),
        ("Help?", "help"),
        ("INFO", "help"),
        ("ayuda", "help"),
        ("yes", None),
        ("i want to end it", None),
        ("help me please", None),
        ("stop it hurts", None),
        ("stop stop", None),
        ("the end", None),
        ("", None),
        ("...", None),
    ],
)
def test_a_keyword_is_the_whole_message(text: str, word: str | None) -> None:
    assert keyword(text, stopped=False) == word


def test_yes_means_start_only_while_stopped() -> None:
    assert keyword("Yes", stopped=True) == "start"


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("please quit texting me", True),
        ("Don't text me again", True),
        ("take me off your list", True),
        ("deja de escribirme por favor", True),
        ("he won't stop texting", False),
        ("i can't stop", False),
        ("my ex keeps texting me", False),
    ],
)
def test_a_wish_to_be_left_is_heard_in_other_words(text: str, asked: bool) -> None:
    assert asks_to_be_left(text) is asked


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("2", 2),
        ("2.", 2),
        (" two ", 2),
        ("The second one", 2),
        ("dos", 2),
        ("la segunda", 2),
        ("number 3", 3),
        ("one", 1),
        ("the first one", 1),
        ("opción 4", 4),
        ("0", None),
        ("6", None),
        ("22", None),
        ("two drinks", None),
        ("1 or 2", None),
        ("the one", None),
        ("2 days sober today", None),
        ("", None),
    ],
)
def test_numbers_are_read_as_choices_and_no_further(text: str, number: int | None) -> None:
    assert number_of(text) == number


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("hello", "en"),
        ("I need help with cravings", "en"),
        ("my life is hard", "en"),
        ("no", "en"),
        ("hola", "es"),
        ("ya no puedo mas con la vida", "es"),
        ("¿estás ahí?", "es"),
        ("mañana", "es"),
        ("ALTO", "es"),
        ("me duele el cuerpo y no duermo", "es"),
        ("my friend Maria y yo", "en"),
    ],
)
def test_the_language_of_a_new_number(text: str, language: str) -> None:
    assert language_of(text) == language


def context(*bodies: dict[str, Any]) -> Context:
    return Context("en", "bot", (), {}, (), bodies, 1)


def body(item: str, *labels: str, card: bool = False) -> dict[str, Any]:
    return {"item": item, "step": 0, "text": item, "card": card, "choices": [{"label": label} for label in labels]}


def test_choices_are_open_only_in_the_last_message() -> None:
    asks, line = body("coping/a", "yes", "no"), body("card/suicide-any")
    assert [choice["label"] for choice in open_choices(context(asks))] == ["yes", "no"]
    assert open_choices(context(asks, line))[0]["item"] == "coping/a"
    assert open_choices(context(asks, body("coping/b"))) == []
    assert open_choices(context(asks, body("card/suicide-any", card=True))) == []
    assert open_choices(context()) == []


def test_of_several_menus_only_the_last_is_numbered() -> None:
    replies = [Reply(body("a", "x")), Reply(body("b", "y", "z")), Reply(body("c"))]
    assert [len(reply.body["choices"]) for reply in only_last_choices(replies)] == [0, 2, 0]


def test_choices_end_a_text_as_numbered_lines() -> None:
    assert text_of(body("a", "One thing", "Another")) == "a\n1 One thing\n2 Another"
    assert text_of({"text": "a counselor's\x0b own words"}) == "a counselor's own words"


def test_quotes_and_dashes_become_plain_only_when_that_is_enough() -> None:
    assert to_gsm_7("It’s “fine” – really…") == 'It\'s "fine" - really...'
    assert segment(to_gsm_7("It’s fine")).encoding == "GSM-7"
    assert to_gsm_7("“Está” aquí – así") == "“Está” aquí – así"


@given(st.text(max_size=4000))
def test_parts_lose_no_word_and_are_never_too_long(text: str) -> None:
    found = parts(text, longest=50)
    assert "".join("".join(found).split()) == "".join(text.split())
    if len(text) > 50:
        assert all(len(part) <= 50 for part in found)


def test_parts_are_cut_where_sentences_end() -> None:
    assert parts("Call 911 now. Stay close. Breathe.", longest=26) == ["Call 911 now. Stay close.", "Breathe."]


def test_a_number_always_means_the_same_conversation_and_names_nobody() -> None:
    first = conversation_of("key", ADDRESS)
    assert first == conversation_of("key", ADDRESS)
    assert len({first, conversation_of("key", "+15550100002"), conversation_of("other key", ADDRESS)}) == 3
    assert len(first) == 36


def test_an_auto_reply_is_noticed_and_forgotten_with_another_text() -> None:
    floods = Floods(1000)
    assert [floods.held("c", "away") for _ in range(SAME_TEXTS + 2)] == [None] * SAME_TEXTS + ["silent"] * 2
    assert floods.held("c", "back") is None
    assert floods.held("c", "away") is None


def provider(url: str = "https://api.twilio.com") -> Twilio:
    return Twilio("AC1", TOKEN, "+15550100000", url, "https://help.example.org")


def test_the_signature_is_over_address_and_form() -> None:
    form = read_form(urlencode([("Body", "hi"), ("From", ADDRESS), ("Empty", ""), ("MediaUrl0", "a&b=c")]).encode())
    signature = RequestValidator(TOKEN).compute_signature(URL, form)
    twilio = provider()
    assert twilio.is_signed(URL, form, signature)
    assert not twilio.is_signed(URL + "?a=1", form, signature)
    assert not twilio.is_signed(URL, read_form(b"Body=ho"), signature)
    assert not twilio.is_signed(URL, form, RequestValidator("other").compute_signature(URL, form))
    assert not twilio.is_signed("https://h:99999999/x", form, signature)


@given(st.binary(max_size=500))
def test_any_bytes_are_a_form(raw: bytes) -> None:
    form = read_form(raw)
    read_message(form)
    read_status(form)


def test_odd_fields_are_not_there() -> None:
    form = {"From": "22395", "MessageSid": "../x", "NumMedia": "many", "OptOutType": "MAYBE", "Body": "a\x00b\ud800"}
    received = read_message(form)  # type: ignore[arg-type]
    assert (received.address, received.message_id, received.media, received.opted) == (None, None, False, None)
    assert received.text == "ab?"
    assert read_status({"MessageStatus": "exploded", "MessageSid": "SM1"}) is None  # type: ignore[arg-type]


def test_twiml_escapes_and_names_the_status_address() -> None:
    xml = twiml([("<a> & 'b' ñ", "id-1"), ("plain", None)], "https://h")
    first, second = ElementTree.fromstring(xml)
    assert first.text == "<a> & 'b' ñ"
    assert first.get("statusCallback") == "https://h/sms/twilio/status?id=id-1"
    assert second.get("statusCallback") is None


@pytest.mark.parametrize(
    ("fault", "retryable", "opted_out"),
    [
        ((400, 21610), False, True),
        ((400, 21211), False, False),
        ((400, 21614), False, False),
        ((429, 20429), True, False),
        ((429, 0), True, False),
        ((503, 0), True, False),
        ((400, 30008), True, False),
        ((503, 20503), True, False),
        ((400, 30022), True, False),
        ((400, 21635), False, False),
        ((400, 99999), False, False),
        ((401, 20003), False, False),
    ],
)
def test_each_refusal_is_worth_another_try_or_not(fault: tuple[int, int], retryable: bool, opted_out: bool) -> None:
    fake = FakeTwilio(free_port())
    fake.faults = [fault]
    with pytest.raises(NotSent) as refused:
        provider(fake.url).send(ADDRESS, "hello", "id-1")
    fake.stop()
    assert (refused.value.retryable, refused.value.opted_out) == (retryable, opted_out)
    assert ADDRESS not in str(refused.value)


def test_what_may_have_been_sent_is_never_called_unsent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.channels.twilio.API_SECONDS", 0.5)
    fake = FakeTwilio(free_port())
    fake.faults = ["lost", "hang"]
    for _ in range(2):
        with pytest.raises(MaybeSent):
            provider(fake.url).send(ADDRESS, "hello", "id-1")
    fake.stop()
    assert len(fake.bodies(ADDRESS)) == 2
    with pytest.raises(NotSent) as refused:  # nothing listens there any more
        provider(fake.url).send(ADDRESS, "hello", "id-1")
    assert refused.value.retryable


def test_asking_finds_the_same_text_since_then_and_no_other() -> None:
    fake = FakeTwilio(free_port())
    fake.clock = MovedClock()
    twilio = provider(fake.url)
    sid = twilio.send(ADDRESS, "hello", "id-1")
    fake.take(ADDRESS, "hello", status="undelivered")
    fake.take(ADDRESS, "other")
    fake.take("+15550100002", "hello")
    now = datetime.now(UTC)
    assert twilio.find(ADDRESS, "hello", now - timedelta(minutes=1)) == [sid]
    assert twilio.find(ADDRESS, "hello", now + timedelta(minutes=1)) == []
    assert fake.requests[0]["StatusCallback"] == "https://help.example.org/sms/twilio/status?id=id-1"
    fake.stop()


def test_every_code_the_issue_names_has_its_case() -> None:
    named = {"21610", "21614", *(str(code) for code in range(30003, 30009))}
    assert named <= CASES.keys()
    assert all(case.why for case in CASES.values())


@pytest.mark.parametrize("name", ["voice.xml", "fallback.xml"])
def test_the_static_answers_name_the_lines_in_both_languages(name: str) -> None:
    root = ElementTree.parse(ROOT / "deploy" / "twilio" / name).getroot()
    assert root.tag == "Response"
    words = " ".join((each.text or "") for each in root).replace("9 1 1", "911").replace("9 8 8", "988")
    assert words.count("911") >= 2
    assert words.count("988") >= 2
    assert "programa" in words or "Nadie" in words
    for message in root.findall("Message"):
        assert "988" in (message.text or "")[:160]
        assert segment(message.text or "").count <= 3


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("SAFE TO TEXT", True),
        ("Yes, it's safe to text me now.", True),
        ("you can text me", True),
        ("Texto seguro", True),
        ("ya me puedes escribir", True),
        ("answers only", False),
        ("it's not safe to text", False),
        ("no es seguro escribirme", False),
        ("is it safe to text?", None),
        ("is it ok to message me if he is home", None),
        ("i am safe", None),
        ("yes", None),
        ("safe", None),
        ("you can text me when he is asleep", None),
        ("ok", None),
    ],
)
def test_whether_texts_are_safe_is_said_in_so_many_words(text: str, safe: bool | None) -> None:
    assert safe_to_text(text) is safe

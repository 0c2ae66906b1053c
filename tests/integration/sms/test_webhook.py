"""Texting through a running desk: Twilio-shaped signed requests in, TwiML out, and what is left in the record."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes import FakeTwilio, run_async, wait_until
from tests.phone import CRISIS, PUBLIC_URL, Phone, item, known, post, read_twiml, said, send_all, settings_for
from tests.stack import DeskThread

relaxed = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


# the webhook


def test_a_forged_request_is_refused_without_a_word(desk: DeskThread, phone: Phone) -> None:
    for signature in ("", "nonsense", "x" * 28):
        answer = post(desk, "/sms/twilio/messages", phone.form(CRISIS), signature=signature)
        assert (answer.status_code, answer.content) == (403, b"")
    assert phone.rows("messages", "sequence") == []
    forged = post(desk, "/sms/twilio/status?id=1", {"MessageSid": "SM1", "MessageStatus": "delivered"}, signature="x")
    assert forged.status_code == 403


def test_without_a_token_there_is_no_texting(start_desk: Callable[..., DeskThread]) -> None:
    desk = start_desk(mode="production")
    for path in ("/sms/twilio/messages", "/sms/twilio/status", "/demo/phone"):
        assert httpx.post(desk.url + path, content=b"Body=hi", trust_env=False).status_code == 404


def test_the_first_words_are_answered_after_the_disclosure(desk: DeskThread, phone: Phone) -> None:
    texts = phone.text("the cravings are bad tonight")
    assert texts[0] == item(desk, "sms_first")
    assert len(texts) >= 2
    assert desk.rasa.turns[-1]["text"] == "the cravings are bad tonight"
    assert item(desk, "sms_first") not in phone.text("still bad")


def test_a_crisis_comes_before_the_disclosure(desk: DeskThread, phone: Phone) -> None:
    first, *rest = phone.text(CRISIS)
    assert "988" in first[:160]
    assert item(desk, "sms_first") in rest
    assert phone.rows("flags", "kind, state") == [("crisis", "open")]
    assert desk.rasa.turns == []


def test_spanish_is_answered_in_spanish_and_intact(desk: DeskThread) -> None:
    texts = Phone(desk).text("hola, tengo muchas ganas de consumir")
    assert texts[0] == item(desk, "sms_first", "es")
    assert "¿" in texts[0]


def test_each_reply_carries_the_address_for_its_status(desk: DeskThread, phone: Phone) -> None:
    for got in phone.got("hello"):
        assert got.callback == f"{PUBLIC_URL}/sms/twilio/status?id={got.posting}"
        assert len(got.posting) == 36
    assert {state for state, _ in phone.outbox()} == {"sending"}


def test_a_retry_gets_the_same_answer_and_nothing_runs_twice(desk: DeskThread, phone: Phone) -> None:
    form = phone.form("the cravings are bad")
    first, again = (post(desk, "/sms/twilio/messages", form).text for _ in range(2))
    assert first == again
    assert read_twiml(first)
    assert said(phone) == ["the cravings are bad"]
    assert len(desk.rasa.turns) == 1


def test_five_at_once_are_answered_once(desk: DeskThread, phone: Phone) -> None:
    form = phone.form("the cravings are bad")
    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda _: read_twiml(post(desk, "/sms/twilio/messages", form).text), range(5)))
    given = [answer for answer in answers if answer]
    assert all(answer == given[0] for answer in given), "one that came after the first was done is a retry"
    assert said(phone) == ["the cravings are bad"]
    assert len(desk.rasa.turns) == 1


def test_while_rasa_is_down_there_is_a_way_out(desk: DeskThread) -> None:
    phone = known(desk)
    desk.rasa.status = 500
    texts = phone.text("are you there")
    assert texts
    assert "988" in texts[0] or "911" in texts[0] or item(desk, "trouble") in texts[0]


def test_what_is_late_for_the_webhook_goes_through_the_outbox(
    desk: DeskThread, twilio: FakeTwilio, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = known(desk)
    monkeypatch.setattr("bot.channels.sms.PATIENCE_SECONDS", 0.2)
    desk.rasa.gate.clear()
    assert phone.text("this takes a while") == []
    desk.rasa.gate.set()
    wait_until(lambda: ("queued", None) in phone.outbox(), "the reply was not stored")
    send_all(desk)
    wait_until(lambda: phone.outbox()[-1][0] == "sent", lambda: f"{phone.outbox()}")
    assert len(twilio.bodies(phone.number)) == 1


def test_with_the_record_away_a_crisis_gets_its_card_and_the_rest_a_reviewed_reply(
    start_desk: Callable[..., DeskThread], twilio: FakeTwilio, tmp_path: Path
) -> None:
    desk = start_desk(**settings_for(twilio), store_timeout_seconds=1.5)
    desk.wait_for_record()
    stranger, frightened, leaving = Phone(desk), Phone(desk), Phone(desk)
    with closing(sqlite3.connect(tmp_path / "home" / "handrail.db", isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        assert "988" in frightened.text(CRISIS)[0]
        assert len(stranger.text("hello")) == 1
        assert leaving.text("STOP") == [item(desk, "sms_stopped")]
    wait_until(lambda: all(map(is_recorded, (stranger, frightened, leaving))), "the spool was not drained")
    assert said(stranger) == ["hello"]
    assert frightened.rows("flags", "kind") == [("crisis",)]
    first = run_async(desk.parts.record.messages_after(frightened.conversation, 0))[0]
    assert first.body["text"][slice(*first.body["heard"])] in CRISIS, "the spool keeps which words were heard"
    assert [phone.outbox() for phone in (stranger, frightened)] == [[], []]  # they have those replies
    assert leaving.rows("contacts", "stopped_at_utc")[0][0]
    assert stranger.text("hello again")[0] == item(desk, "sms_first")


def test_a_text_for_which_there_is_no_room_is_told_so_and_recorded_later(
    start_desk: Callable[..., DeskThread], twilio: FakeTwilio, tmp_path: Path
) -> None:
    desk = start_desk(**settings_for(twilio), messages_waiting=1, store_timeout_seconds=10)
    desk.wait_for_record()
    crowd = [Phone(desk) for _ in range(20)]
    with closing(sqlite3.connect(tmp_path / "home" / "handrail.db", isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")  # nothing can be recorded, so messages pile up
        with ThreadPoolExecutor(len(crowd)) as pool:
            answers = [pool.submit(phone.text, "hello") for phone in crowd]
            wait_until(lambda: any(answer.done() for answer in answers), "nobody was told")
            holder.execute("ROLLBACK")
            told = [item(desk, "busy") in answer.result() for answer in answers]
    assert any(told)
    assert not all(told)
    wait_until(lambda: all(map(is_recorded, crowd)), "a text was lost")
    assert [said(phone) for phone in crowd] == [["hello"]] * len(crowd)


def is_recorded(phone: Phone) -> bool:
    return bool(phone.rows("messages", "sequence"))


def test_after_a_contact_was_ended_a_text_is_told_so_and_danger_gets_its_card(desk: DeskThread) -> None:
    phone = known(desk)
    offered = phone.text("the cravings are bad")
    assert offered
    ended = f"update conversations set voice = 'ended' where id = '{phone.conversation}'"
    desk.parts.database.call(lambda session: session.connection().exec_driver_sql(ended))
    turns = len(desk.rasa.turns)
    assert phone.text("hello?") == [item(desk, "contact_ended")]
    assert phone.text("1") == [item(desk, "contact_ended")]
    assert len(desk.rasa.turns) == turns
    assert "988" in phone.text(CRISIS)[0]
    assert phone.text("STOP")


def test_many_at_once_are_each_recorded_and_answered_once(desk: DeskThread) -> None:
    phones = [Phone(desk) for _ in range(30)]
    texts = [(phone, f"{CRISIS}, {n}" if n == 1 else f"hard day number {n}") for n in range(3) for phone in phones]
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda each: each[0].got(each[1]), texts))
    for phone in phones:
        assert sorted(said(phone)) == sorted(text for whose, text in texts if whose is phone)
    for (_, text), answer in zip(texts, answers, strict=True):
        assert not text.startswith(CRISIS) or any("988" in got.text for got in answer)
    given = [got.posting for answer in answers for got in answer if got.callback]
    assert len(given) == len(set(given))


# odd input


@pytest.mark.parametrize(
    ("body", "fields", "topic"),
    [("", {}, "bad_message"), (" \n ", {}, "bad_message"), ("x" * 2001, {}, "too_long")],
)
def test_odd_texts_get_a_clear_small_answer(desk: DeskThread, body: str, fields: dict[str, str], topic: str) -> None:
    assert Phone(desk).text(body, **fields) == [item(desk, topic)]


def test_1600_characters_are_a_message(desk: DeskThread) -> None:
    phone = known(desk)
    assert phone.text("a b " * 400)
    assert said(phone)[-1] == "a b " * 400


def test_a_crisis_in_a_message_without_a_number_gets_the_card(desk: DeskThread, phone: Phone) -> None:
    for sender in ("", "22395", "whatsapp:+15550100001", "anonymous"):
        assert "988" in phone.text(CRISIS, From=sender)[0]
    assert phone.rows("messages", "sequence") == []


def test_a_picture_gets_its_sentence_and_its_words_are_answered(desk: DeskThread) -> None:
    phone = known(desk)
    media = {"NumMedia": "1", "MediaUrl0": "https://api.example/1", "MediaContentType0": "image/jpeg"}
    assert phone.text("", **media) == [item(desk, "sms_media")]
    both = phone.text("the cravings are bad", **media)
    assert both[0] == item(desk, "sms_media")
    assert len(both) >= 2
    assert "988" in phone.text(CRISIS, **media)[0]


def test_fields_that_are_missing_or_another_content_type_never_break_it(desk: DeskThread, phone: Phone) -> None:
    assert post(desk, "/sms/twilio/messages", {"Body": CRISIS}).status_code == 200
    assert post(desk, "/sms/twilio/messages", {}).status_code == 200
    for content_type in ("application/json", "text/plain", "multipart/form-data; boundary=x"):
        answer = httpx.post(
            f"{desk.url}/sms/twilio/messages",
            content=b"\xff{}",
            headers={"content-type": content_type, "x-twilio-signature": "x"},
            trust_env=False,
        )
        assert answer.status_code == 403


@relaxed
@given(
    body=st.text(max_size=300), fields=st.dictionaries(st.sampled_from(["NumMedia", "OptOutType", "From"]), st.text())
)
def test_no_text_breaks_the_webhook(desk: DeskThread, body: str, fields: dict[str, str]) -> None:
    phone = Phone(desk)
    body = body.encode("utf-8", errors="replace").decode()
    clean = {name: value.encode("utf-8", errors="replace").decode() for name, value in fields.items()}
    answer = phone.post(body, **clean)
    assert answer.status_code == 200
    read_twiml(answer.text)


@relaxed
@given(content=st.binary(max_size=300))
def test_no_bytes_break_the_webhook(desk: DeskThread, content: bytes) -> None:
    for path in ("messages", "status"):
        answer = httpx.post(f"{desk.url}/sms/twilio/{path}", content=content, trust_env=False)
        assert answer.status_code == 403


# keywords


@pytest.mark.parametrize("word", ["STOP", "Stop.", " stopall ", "UNSUBSCRIBE", "END", "quit", "BAJA", "Opt-Out"])
def test_a_stop_word_is_honoured_and_confirmed_once(desk: DeskThread, word: str) -> None:
    phone = known(desk)
    asked = len(desk.rasa.turns)
    language = "es" if word == "BAJA" else "en"
    assert phone.text(word) in ([item(desk, "sms_stopped", "en")], [item(desk, "sms_stopped", language)])
    assert phone.text("are you there") == []
    assert phone.text("STOP") == []
    assert len(desk.rasa.turns) == asked
    assert phone.rows("consents", "id, kind, source")[1][1:] == ("stop", "keyword")


def test_after_a_stop_danger_is_still_heard_and_nothing_is_sent(desk: DeskThread, twilio: FakeTwilio) -> None:
    phone = known(desk)
    phone.text("STOP")
    assert phone.text(CRISIS) == []
    assert phone.rows("flags", "kind, state") == [("crisis", "open")]
    send_all(desk)
    assert twilio.bodies(phone.number) == []


@pytest.mark.parametrize(
    "words",
    ["i want to end it", "help me please", "stop it hurts", "yes", "please help", "info on meth"],
)
def test_sentences_with_those_words_are_messages(desk: DeskThread, words: str) -> None:
    phone = known(desk)
    texts = phone.text(words)
    assert texts
    assert texts[0] not in {item(desk, each) for each in ("sms_help", "sms_stopped", "sms_started", "sms_stop_ask")}
    assert phone.rows("contacts", "stopped_at_utc") == [(None,)]


def test_stop_in_a_crisis_is_honoured_with_the_lines_and_keeps_the_flag(desk: DeskThread) -> None:
    phone = known(desk)
    phone.text(CRISIS)
    assert phone.text("stop") == [item(desk, "sms_stopped_crisis")]
    assert phone.rows("flags", "kind, state") == [("crisis", "open")]
    assert phone.rows("contacts", "stopped_at_utc")[0][0]


def test_start_brings_back_the_step_that_was_open(desk: DeskThread) -> None:
    phone = known(desk)
    step = phone.text("the cravings are bad")[0]
    phone.text("STOP")
    back = phone.text("yes")
    assert back[0].startswith(item(desk, "sms_started"))
    assert step.split("\n")[0] in back[1]
    assert phone.rows("contacts", "stopped_at_utc") == [(None,)]
    assert [row[1] for row in phone.rows("consents", "id, kind")] == ["start", "stop", "start"]
    assert phone.text("hello")


@pytest.mark.parametrize("word", ["HELP", "info", "AYUDA"])
def test_help_names_the_lines_and_who_we_are(desk: DeskThread, word: str) -> None:
    phone = known(desk)
    asked = len(desk.rasa.turns)
    assert phone.text(word)[0].startswith(item(desk, "sms_help"))
    assert len(desk.rasa.turns) == asked


def test_what_the_provider_confirmed_is_recorded_and_not_said_again(desk: DeskThread) -> None:
    phone = known(desk)
    for word, stopped in (("STOP", True), ("START", False), ("HELP", False)):
        assert phone.text(word, OptOutType=word) == []
        assert bool(phone.rows("contacts", "stopped_at_utc")[0][0]) is stopped
    assert [row[1:] for row in phone.rows("consents", "id, kind, source")][1:] == [
        ("stop", "provider_keyword"),
        ("start", "provider_keyword"),
    ]


def test_a_wish_to_be_left_in_other_words_is_asked_back_once(desk: DeskThread) -> None:
    phone = known(desk)
    assert phone.text("please quit texting me") == [item(desk, "sms_stop_ask")]
    assert phone.text("please quit texting me") != [item(desk, "sms_stop_ask")]
    assert phone.rows("contacts", "stopped_at_utc") == [(None,)]


# choices


@pytest.mark.parametrize("said_number", ["2", "2.", "two", "the second one", "dos", "la segunda"])
def test_a_number_takes_the_choice_that_is_open(desk: DeskThread, said_number: str) -> None:
    phone = Phone(desk)
    label = phone.text("START")[-1].split("\n2 ")[1].split("\n")[0]
    phone.text(said_number)
    assert said(phone)[-1] == label


def test_a_number_is_text_while_nothing_is_open(desk: DeskThread) -> None:
    phone = known(desk)
    phone.text("STOP")
    phone.text("2", MessageSid="SMtwo")
    assert said(phone)[-1] == "2"


def test_erasing_by_a_number_is_confirmed_in_the_answer(desk: DeskThread) -> None:
    phone = known(desk)
    desk.rasa.answer = {"references": ["erase_confirm"]}
    menu = phone.text("delete everything you have on me")[-1].split("\n")
    number = next(line[0] for line in menu if line[:1].isdigit() and "rase" in line)
    assert phone.text(number) == [item(desk, "erased")]
    assert phone.rows("contacts", "created_at_utc") == []


def test_once_a_counselor_has_the_voice_only_danger_is_answered_by_us(desk: DeskThread) -> None:
    phone = known(desk)
    run_async(desk.parts.record.claim(phone.conversation, desk.parts.desk.now()))
    assert phone.text("thank you for being here") == []
    assert "988" in phone.text(CRISIS)[0]
    assert phone.text("STOP") == [item(desk, "sms_stopped_crisis")]


# limits


def test_too_many_texts_get_one_kind_reply_and_a_crisis_passes(
    start_desk: Callable[..., DeskThread], twilio: FakeTwilio
) -> None:
    desk = start_desk(**settings_for(twilio), sms_per_minute=3)
    desk.wait_for_record()
    phone = Phone(desk)
    answers = [phone.text(f"message {number}") for number in range(6)]
    assert all(answers[:3])
    assert answers[3:] == [[item(desk, "sms_limit")], [], []]
    assert "988" in phone.text(CRISIS)[0]


def test_the_same_text_again_and_again_is_answered_five_times(desk: DeskThread) -> None:
    phone = known(desk)
    answers = [phone.text("I am driving and will reply later") for _ in range(7)]
    assert [bool(answer) for answer in answers] == [True] * 5 + [False] * 2
    assert phone.text("something else")


def test_over_the_daily_ceiling_only_cards_are_sent(start_desk: Callable[..., DeskThread], twilio: FakeTwilio) -> None:
    desk = start_desk(**settings_for(twilio), sms_daily=1)
    desk.wait_for_record()
    phone = Phone(desk)
    assert phone.text("hello")
    assert phone.text("hello again") == []
    assert ("failed", "daily_limit") in phone.outbox()
    assert "988" in phone.text(CRISIS)[0]


# erasing, keeping, privacy


def test_erasing_forgets_the_number_and_the_same_number_begins_anew(desk: DeskThread) -> None:
    phone = known(desk)
    phone.text(CRISIS)
    run_async(desk.parts.desk.erase(phone.conversation, "sms", "en"))
    for table in ("messages", "outbox", "contacts", "consents"):
        assert phone.rows(table, "*" if table != "messages" else "id") == []
    texts = phone.text("hello, me again")
    assert texts[0] == item(desk, "sms_first")
    assert said(phone) == ["hello, me again"]


def test_an_opt_out_outlives_erasing_without_the_number(desk: DeskThread) -> None:
    phone = known(desk)
    phone.text("STOP")
    run_async(desk.parts.desk.erase(phone.conversation, "sms", "en"))
    assert phone.rows("contacts", "address") == [(None,)]
    assert phone.text("hello") == []
    assert phone.text("START")


def test_retention_takes_the_number_and_the_outbox(desk: DeskThread) -> None:
    phone = known(desk)
    now = desk.parts.desk.now() + timedelta(days=31)
    assert desk.parts.upkeep.expire(now, keep_days=30, keep_flagged_days=180) >= 1
    for table in ("messages", "outbox", "contacts", "consents"):
        assert phone.rows(table, "*" if table != "messages" else "id") == []


def test_a_new_key_seals_the_number_too(desk: DeskThread, monkeypatch: pytest.MonkeyPatch) -> None:
    from bot.store.cipher import Cipher, add_encryption_key, read_keys
    from bot.store.upkeep import Upkeep

    phone = known(desk)
    keys = desk.settings.home / "keys"
    add_encryption_key(keys)
    cipher = Cipher(read_keys(keys).encryption)
    before = phone.rows("contacts", "address")
    assert Upkeep(desk.parts.database, cipher, 30).reseal()[1] == 0
    assert phone.rows("contacts", "address") != before
    newest = Cipher(read_keys(keys).encryption[:1])
    assert newest.open(phone.rows("contacts", "address")[0][0]) == phone.number


def test_neither_number_nor_words_are_readable_on_disk_or_in_logs(
    start_desk: Callable[..., DeskThread], twilio: FakeTwilio, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    desk = start_desk(**settings_for(twilio), store_timeout_seconds=1.5)
    desk.wait_for_record()
    phone = Phone(desk)
    words = "quetzalcoatl street is where i get the cravings"
    twilio.reset()
    twilio.faults = [(400, 21211)]
    phone.text(words)
    phone.text("STOP")
    phone.text("START")
    desk.parts.desk._clock.moved += timedelta(minutes=5)
    send_all(desk)
    with closing(sqlite3.connect(tmp_path / "home" / "handrail.db", isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        phone.text(words)
        held = b"".join(path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file())
    held += httpx.get(f"{desk.url}/metrics", trust_env=False).content + "".join(capfd.readouterr()).encode()
    for secret in (phone.number[1:], "quetzalcoatl"):
        assert secret.encode() not in held
    assert b"a-token-for-tests" not in held

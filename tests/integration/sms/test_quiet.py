"""After language of violence somebody else may read the phone: answers only, until the person says texts are safe."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from bot.store.outbox import ANSWER_SECONDS
from bot.store.values import Inbound, Texted
from tests.counselors import Counselor, make
from tests.fakes import FakeTwilio, run_async, wait_until
from tests.phone import Phone, item, known, late_reply, send_all, settings_for, tell_status
from tests.stack import DeskThread

VIOLENCE = "my boyfriend is hurting me"
AWAY = ANSWER_SECONDS + 1


def frightened(desk: DeskThread, words: str = VIOLENCE) -> Phone:
    phone = known(desk)
    answer = phone.got(words)
    assert item(desk, "sms_quiet") in [got.text for got in answer]
    for got in answer:
        tell_status(desk, got.callback or "", f"SM{uuid.uuid4().hex}", "delivered")
    return phone


def claimed(desk: DeskThread, phone: Phone) -> Counselor:
    counselor = make(desk, f"quiet{uuid.uuid4().hex[:6]}").sign_in()
    assert counselor.do(f"/conversations/{phone.conversation}/claim").status_code < 400
    return counselor


def write(counselor: Counselor, phone: Phone, words: str = "How are you now?") -> None:
    there = f"/conversations/{phone.conversation}/reply"
    assert counselor.do(there, text=words, client_id=str(uuid.uuid4())).status_code < 400


def pass_time(desk: DeskThread, seconds: float = AWAY) -> None:
    desk.parts.desk._clock.moved += timedelta(seconds=seconds)


def consents(phone: Phone) -> list[tuple[str, str]]:
    return [(kind, source) for _, kind, source in phone.rows("consents", "id, kind, source")]


@pytest.mark.parametrize("words", [VIOLENCE, "my boyfriend hits me and reads my phone", "he is checking my phone"])
def test_the_card_comes_first_and_then_what_is_texted_from_now_on(desk: DeskThread, words: str) -> None:
    phone = known(desk)
    card, *rest = phone.text(words)
    assert "911" in card[:160]
    assert rest == [item(desk, "sms_quiet")]
    assert item(desk, "sms_quiet") not in phone.text(words)
    assert consents(phone) == [("start", "first_contact"), ("quiet", "danger")]


def test_other_danger_makes_nobody_quiet(desk: DeskThread) -> None:
    phone = known(desk)
    phone.text("i want to kill myself")
    assert phone.rows("contacts", "quiet_since_utc") == [(None,)]


def test_what_a_counselor_writes_goes_while_the_person_is_there_and_not_after(
    desk: DeskThread, twilio: FakeTwilio
) -> None:
    phone = frightened(desk)
    counselor = claimed(desk, phone)
    write(counselor, phone, "I am reading what you write.")
    send_all(desk, ahead_seconds=0)
    wait_until(lambda: phone.outbox()[-1][0] == "sent", lambda: f"{phone.outbox()}")
    there = len(twilio.bodies(phone.number))
    pass_time(desk)
    write(counselor, phone)
    send_all(desk, ahead_seconds=0)
    wait_until(lambda: phone.outbox()[-1] == ("failed", "not_safe"), lambda: f"{phone.outbox()}")
    assert phone.text("i am back") == []
    write(counselor, phone, "Good that you write.")
    send_all(desk, ahead_seconds=0)
    wait_until(lambda: phone.outbox()[-1][0] == "sent", lambda: f"{phone.outbox()}")
    assert twilio.bodies(phone.number)[there:] == ["Good that you write."]


def test_joining_and_going_are_not_told_to_a_phone_somebody_else_may_hold(desk: DeskThread, twilio: FakeTwilio) -> None:
    phone = frightened(desk)
    pass_time(desk)
    counselor = claimed(desk, phone)
    pass_time(desk, 60 * desk.settings.counselor_silent_minutes + 60)
    run_async(desk.parts.handoff.attend())
    send_all(desk)
    assert counselor
    assert twilio.bodies(phone.number) == []
    wait_until(lambda: phone.outbox()[-2:] == [("failed", "not_safe")] * 2, lambda: f"{phone.outbox()}")


def test_neither_an_answer_nor_a_late_notice_comes_once_the_person_is_gone(
    desk: DeskThread, twilio: FakeTwilio, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = late_reply(desk, monkeypatch)
    quiet = f"update contacts set quiet_since_utc = created_at_utc where conversation_id = '{phone.conversation}'"
    desk.parts.database.call(lambda session: session.connection().exec_driver_sql(quiet))
    twilio.faults = [(429, 20429)]
    send_all(desk, ahead_seconds=AWAY)
    wait_until(lambda: phone.outbox()[-1] == ("failed", "not_safe"), lambda: f"{phone.outbox()}")
    assert twilio.bodies(phone.number) == []


def test_a_card_that_could_not_go_in_time_raises_the_flag_instead(desk: DeskThread, twilio: FakeTwilio) -> None:
    phone = frightened(desk)
    desk.parts.database.call(
        lambda session: [
            session.connection().exec_driver_sql(statement)
            for statement in (
                f"update outbox set state = 'queued' where card and conversation_id = '{phone.conversation}'",
                f"update flags set state = 'closed' where conversation_id = '{phone.conversation}'",
            )
        ]
    )
    send_all(desk, ahead_seconds=AWAY)
    wait_until(lambda: ("failed", "not_safe") in phone.outbox(), lambda: f"{phone.outbox()}")
    assert twilio.bodies(phone.number) == []
    assert phone.rows("flags", "id, state, heard_by, category")[-1][1:3] == ("open", "desk")


def test_two_cards_that_could_not_go_raise_one_flag_and_hold_up_nobody(desk: DeskThread, twilio: FakeTwilio) -> None:
    phone, other = frightened(desk), known(desk)
    phone.text(VIOLENCE)
    other.text("hello")
    for change in (
        f"update outbox set state = 'queued', card = true where conversation_id = '{phone.conversation}'",
        f"update flags set state = 'closed' where conversation_id = '{phone.conversation}'",
        f"update outbox set state = 'queued' where conversation_id = '{other.conversation}'",
    ):
        desk.parts.database.call(lambda session, change=change: session.connection().exec_driver_sql(change))
    send_all(desk, ahead_seconds=AWAY)
    wait_until(lambda: {state for state, _ in phone.outbox()} == {"failed"}, lambda: f"{phone.outbox()}")
    assert [state for _, state in phone.rows("flags", "id, state")] == ["closed", "open"]
    wait_until(lambda: twilio.bodies(other.number), "somebody else's text waits")


def test_words_from_the_spool_do_not_undo_later_ones(desk: DeskThread) -> None:
    phone = known(desk)
    start, stop = (text_from(phone, desk, words, seconds) for words, seconds in (("START", -60), ("STOP", -30)))
    phone.text("STOP")
    run_async(desk.parts.record.adopt(start, [], None, "start", "keyword"))
    assert phone.rows("contacts", "stopped_at_utc")[0][0], "they stopped after that"
    phone.text("START")
    run_async(desk.parts.record.adopt(stop, [], None, "stop", "keyword"))
    assert not phone.rows("contacts", "stopped_at_utc")[0][0], "they came back after that"
    assert [kind for kind, _ in consents(phone)] == ["start", "stop", "start", "start", "stop"]


def test_what_was_erased_does_not_come_back_from_the_spool(desk: DeskThread) -> None:
    phone = known(desk)
    spooled = text_from(phone, desk, "the marmalade evenings", -5)
    run_async(desk.parts.desk.erase(phone.conversation, "sms", "en"))
    run_async(desk.parts.record.adopt(spooled, [], None))
    assert phone.rows("messages", "sequence") == []
    assert phone.rows("contacts", "address") == []
    assert phone.text("hello")[0] == item(desk, "sms_first"), "who writes again begins anew"


def text_from(phone: Phone, desk: DeskThread, words: str, seconds: float) -> Inbound:
    """A text as the spool holds it, received so many seconds from now."""
    at = desk.parts.desk.now() + timedelta(seconds=seconds)
    texted = Texted(phone.number)
    return Inbound(phone.conversation, "sms", "en", uuid.uuid4().hex, words, at, texted=texted)


@pytest.mark.parametrize("words", ["SAFE TO TEXT", "it's safe to text me now", "texto seguro"])
def test_the_person_says_it_is_safe_and_texts_come_again(desk: DeskThread, twilio: FakeTwilio, words: str) -> None:
    phone = frightened(desk)
    for got in phone.got(words):
        assert got.text == item(desk, "sms_safe")
        tell_status(desk, got.callback or "", f"SM{uuid.uuid4().hex}", "delivered")
    assert consents(phone)[-1] == ("safe", "words")
    pass_time(desk)
    claimed(desk, phone)
    send_all(desk, ahead_seconds=0)
    wait_until(lambda: twilio.bodies(phone.number) == [item(desk, "counselor_joined")], lambda: f"{phone.outbox()}")


@pytest.mark.parametrize("words", ["answers only", "no es seguro escribirme"])
def test_anybody_may_ask_for_answers_only(desk: DeskThread, words: str) -> None:
    phone = known(desk)
    assert phone.text(words) == [item(desk, "sms_quiet")]
    assert consents(phone)[-1] == ("quiet", "words")


def test_it_outlasts_the_flag_a_stop_and_a_start(desk: DeskThread) -> None:
    phone = frightened(desk)
    close = f"update flags set state = 'closed' where conversation_id = '{phone.conversation}'"
    desk.parts.database.call(lambda session: session.connection().exec_driver_sql(close))
    phone.text("STOP")
    phone.text("START")
    assert phone.rows("contacts", "quiet_since_utc")[0][0]
    assert [kind for kind, _ in consents(phone)] == ["start", "quiet", "stop", "start"]


def test_a_first_word_that_opts_out_is_no_consent(desk: DeskThread, phone: Phone) -> None:
    phone.text("STOP")
    assert consents(phone) == [("stop", "keyword")]


def test_what_was_said_while_the_record_was_away_is_recorded_as_it_was(
    start_desk: Callable[..., DeskThread], twilio: FakeTwilio, tmp_path: Path
) -> None:
    desk = start_desk(**settings_for(twilio), store_timeout_seconds=1.5)
    desk.wait_for_record()
    leaving, hurt = Phone(desk), Phone(desk)
    with closing(sqlite3.connect(tmp_path / "home" / "handrail.db", isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        assert leaving.text("STOP", OptOutType="STOP") == []
        assert item(desk, "sms_quiet") in hurt.text(VIOLENCE)
    wait_until(lambda: consents(leaving) and consents(hurt), "the spool was not drained")
    assert consents(leaving) == [("stop", "provider_keyword")]
    assert consents(hurt) == [("start", "first_contact"), ("quiet", "danger")]


@pytest.mark.parametrize("topic", ["late", "counselor_joined", "counselor_left", "counselor_gone", "contact_ended"])
@pytest.mark.parametrize("language", ["en", "es"])
def test_unprompted_texts_name_no_topic(desk: DeskThread, topic: str, language: str) -> None:
    words = item(desk, topic, language).casefold()
    for named in ("crav", "drug", "drink", "suicid", "violen", "recover", "ganas", "droga", "consum", "recupera"):
        assert named not in words


def test_unprompted_texts_carry_no_choices(desk: DeskThread, twilio: FakeTwilio) -> None:
    phone = known(desk)
    for got in phone.got("i want to kill myself"):
        tell_status(desk, got.callback or "", f"SM{uuid.uuid4().hex}", "delivered")
    counselor = claimed(desk, phone)
    assert counselor.do(f"/conversations/{phone.conversation}/hand-back").status_code < 400
    send_all(desk, ahead_seconds=0)
    joined_and_left = [item(desk, "counselor_joined"), item(desk, "counselor_left")]
    wait_until(lambda: twilio.bodies(phone.number) == joined_and_left, lambda: f"{twilio.bodies(phone.number)}")

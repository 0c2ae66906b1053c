"""The outbox of a running desk at a provider that fails, times out and rate-limits."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import pytest

from bot.store.outbox import IN_FLIGHT_SECONDS
from tests.counselors import make
from tests.fakes import FakeTwilio, run_async, wait_until
from tests.phone import CRISIS, Phone, item, known, late_reply, send_all, settle, tell_status
from tests.stack import DeskThread


@pytest.mark.parametrize("fault", [(429, 20429), (503, 0), (400, 30001)])
def test_a_refusal_worth_it_is_tried_again(
    desk: DeskThread, twilio: FakeTwilio, monkeypatch: pytest.MonkeyPatch, fault: tuple[int, int]
) -> None:
    phone = late_reply(desk, monkeypatch)
    twilio.faults = [fault, fault]
    send_all(desk)
    wait_until(lambda: phone.outbox()[-1][0] == "sent", lambda: f"{phone.outbox()}")
    assert len(twilio.bodies(phone.number)) == 1


def test_it_gives_up_visibly_after_five_tries(
    desk: DeskThread, twilio: FakeTwilio, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = late_reply(desk, monkeypatch)
    twilio.faults = [(429, 20429)] * 9

    def has_given_up() -> bool:
        send_all(desk)  # the worker may have it in hand: then its next time comes later
        return phone.outbox()[-1] == ("failed", "20429")

    wait_until(has_given_up, lambda: f"{phone.outbox()}")
    assert len([request for request in twilio.requests if request["To"] == phone.number]) == 5


def test_an_opt_out_at_the_provider_is_learned(
    desk: DeskThread, twilio: FakeTwilio, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = late_reply(desk, monkeypatch)
    twilio.faults = [(400, 21610)]
    send_all(desk)
    wait_until(lambda: phone.outbox()[-1] == ("failed", "stopped"), lambda: f"{phone.outbox()}")
    assert phone.rows("contacts", "stopped_at_utc")[0][0]
    assert phone.rows("consents", "id, kind, source")[-1][1:] == ("stop", "provider_refusal")


def test_a_reply_that_comes_too_late_becomes_the_late_notice(
    desk: DeskThread, twilio: FakeTwilio, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = late_reply(desk, monkeypatch)
    send_all(desk, ahead_seconds=901)
    wait_until(lambda: phone.outbox()[-1][0] == "sent", lambda: f"{phone.outbox()}")
    assert [text.split("\n")[0] for text in twilio.bodies(phone.number)] == [item(desk, "late").split("\n")[0]]


def test_a_card_goes_however_late(desk: DeskThread, twilio: FakeTwilio) -> None:
    phone = known(desk)
    phone.text(CRISIS)
    again = f"update outbox set state = 'queued' where card and conversation_id = '{phone.conversation}'"
    desk.parts.database.call(lambda session: session.connection().exec_driver_sql(again))
    send_all(desk, ahead_seconds=901)
    wait_until(lambda: phone.outbox()[-1][0] == "sent", lambda: f"{phone.outbox()}")
    assert "988" in twilio.bodies(phone.number)[0]


@pytest.mark.parametrize("fault", ["lost", "hang"])
def test_where_it_may_have_been_sent_the_provider_is_asked_and_nothing_is_sent_twice(
    desk: DeskThread, twilio: FakeTwilio, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr("bot.channels.twilio.API_SECONDS", 0.5)
    desk.app.state.sender._provider._client = None
    phone = late_reply(desk, monkeypatch)
    twilio.faults = [fault]
    send_all(desk)
    wait_until(lambda: twilio.bodies(phone.number), "it was never sent")
    monkeypatch.setattr("bot.channels.twilio.API_SECONDS", 5.0)
    desk.app.state.sender._provider._client = None
    settle(desk)
    wait_until(lambda: phone.outbox()[-1][0] == "sent", lambda: f"{phone.outbox()}")
    assert len(twilio.bodies(phone.number)) == 1


def test_a_webhook_answer_that_never_left_is_sent_after_asking(desk: DeskThread, twilio: FakeTwilio) -> None:
    """A kill between the claim and the answer leaves rows in `sending`; here the answer is simply dropped."""
    phone = Phone(desk)
    phone.text("hello there")  # its answer never reached the provider
    lost = len(phone.outbox())
    settle(desk)
    send_all(desk)
    wait_until(lambda: [state for state, _ in phone.outbox()] == ["sent"] * lost, lambda: f"{phone.outbox()}")
    assert len(twilio.bodies(phone.number)) == lost


def test_a_webhook_answer_the_provider_has_is_not_sent_again(desk: DeskThread, twilio: FakeTwilio) -> None:
    phone = Phone(desk)
    for got in phone.got("hello there"):
        twilio.take(phone.number, got.text)
    settle(desk)
    send_all(desk)
    assert {state for state, _ in phone.outbox()} == {"sent"}
    assert len(twilio.bodies(phone.number)) == len(phone.outbox())


def test_when_nobody_can_say_it_is_unknown_and_a_card_is_sent_again(desk: DeskThread, twilio: FakeTwilio) -> None:
    phone = Phone(desk)
    phone.text("hello there")
    phone.text(CRISIS)
    twilio.asked = 500
    settle(desk)
    send_all(desk)
    wait_until(lambda: phone.outbox()[-1][0] == "sent", lambda: f"{phone.outbox()}")
    states = [state for state, _ in phone.outbox()]
    assert states == ["unknown"] * (len(states) - 1) + ["sent"]
    assert len(twilio.bodies(phone.number)) == 1
    assert "988" in twilio.bodies(phone.number)[0]


def test_statuses_only_move_forward(desk: DeskThread, phone: Phone) -> None:
    got = phone.got("hello there")[0]
    for status, state in (("sent", "sent"), ("delivered", "delivered"), ("sent", "delivered"), ("failed", "delivered")):
        assert tell_status(desk, got.callback or "", "SM1", status, "30008").status_code == 204
        assert phone.outbox()[0][0] == state


def test_a_card_that_failed_raises_the_flag_again(desk: DeskThread) -> None:
    phone = known(desk)
    card = phone.got(CRISIS)[0]
    close = f"update flags set state = 'closed' where conversation_id = '{phone.conversation}'"
    desk.parts.database.call(lambda session: session.connection().exec_driver_sql(close))
    tell_status(desk, card.callback or "", "SM9", "undelivered", "30006")
    assert phone.outbox()[-1] == ("failed", "30006")
    assert phone.rows("flags", "id, state, heard_by, category")[-1][1:] == ("open", "desk", "suicide")


def test_a_failure_worth_it_that_is_told_later_is_sent_again_once(desk: DeskThread, twilio: FakeTwilio) -> None:
    phone = known(desk)
    got = phone.got("the cravings are bad")[-1]
    tell_status(desk, got.callback or "", "SM5", "sent")
    for _ in range(2):
        tell_status(desk, got.callback or "", "SM5", "undelivered", "30003")
    send_all(desk)
    wait_until(lambda: twilio.bodies(phone.number) == [got.text], lambda: f"{twilio.bodies(phone.number)}")
    tell_status(desk, got.callback or "", "SM5", "undelivered", "30003")
    send_all(desk)
    assert twilio.bodies(phone.number) == [got.text]


def test_an_answer_that_comes_after_the_providers_refusal_does_not_undo_the_next_try(
    desk: DeskThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.desk.sender.AGAIN_SECONDS", (600.0,) * 4)  # the worker stays out of it
    phone = known(desk)
    got, now = phone.got("the cravings are bad")[-1], desk.parts.desk.now()
    taken_at = run_async(desk.parts.outbox.stuck(now + timedelta(hours=1), 0))[-1].changed_at_utc
    tell_status(desk, got.callback or "", "SM7", "undelivered", "30003")
    assert phone.outbox()[-1] == ("queued", "30003")
    assert not run_async(desk.parts.outbox.move(got.posting, "sent", now, provider_id="SM7", as_of=taken_at))
    assert phone.outbox()[-1] == ("queued", "30003")


def test_a_callback_about_an_earlier_try_changes_nothing_while_the_next_is_sent(desk: DeskThread) -> None:
    phone = known(desk)
    got = phone.got("the cravings are bad")[-1]
    sending = f"update outbox set state = 'sending', provider_id = 'SM5' where id = '{got.posting}'"
    desk.parts.database.call(lambda session: session.connection().exec_driver_sql(sending))
    tell_status(desk, got.callback or "", "SM5", "undelivered", "30003")
    assert phone.outbox()[-1] == ("sending", None)
    tell_status(desk, got.callback or "", "SM6", "delivered")
    assert phone.outbox()[-1] == ("delivered", None)


def test_a_message_is_claimed_by_one_only(desk: DeskThread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.store.outbox.WEBHOOK_FIRST_SECONDS", 100_000.0)  # the worker stays out of it
    phone = late_reply(desk, monkeypatch)
    sequence = phone.rows("outbox", "sequence")[-1][0]

    def claim(_: int) -> dict[int, str]:
        return dict(run_async(desk.parts.outbox.claim(phone.conversation, [sequence], desk.parts.desk.now(), 1000)))

    with ThreadPoolExecutor(5) as pool:
        taken = [claimed for claimed in pool.map(claim, range(5)) if claimed]
    assert len(taken) == 1


def test_under_faults_every_message_is_sent_or_visibly_not(desk: DeskThread, twilio: FakeTwilio) -> None:
    phones = [Phone(desk) for _ in range(12)]
    for phone in phones:
        phone.text("hello there")
    twilio.faults = [(429, 20429), (503, 0), (400, 30004), "lost", (400, 21211), (500, 0)] * 3
    for _ in range(6):
        settle(desk)
        send_all(desk)
    for phone in phones:
        for state, error in phone.outbox():
            assert state in {"sent", "failed", "unknown"}, (state, error)
        texts = twilio.bodies(phone.number)
        assert len(texts) == len(set(texts))


def test_the_outbox_shows_in_the_metrics(desk: DeskThread, phone: Phone) -> None:
    phone.text("hello there")
    run_async(desk.app.state.sender.show())
    shown = httpx.get(f"{desk.url}/metrics", trust_env=False).text
    assert 'handrail_outbox{state="sending"}' in shown
    assert 'handrail_outbox{state="unknown"}' in shown


# counselors


def test_a_counselors_words_reach_the_phone_and_the_bot_is_silent(desk: DeskThread, twilio: FakeTwilio) -> None:
    phone = known(desk)
    for got in phone.got(CRISIS):
        tell_status(desk, got.callback or "", f"SM{uuid.uuid4().hex}", "delivered")
    counselor = make(desk, f"sms{uuid.uuid4().hex[:6]}").sign_in()
    there = f"/conversations/{phone.conversation}"
    assert counselor.do(f"{there}/claim").status_code < 400
    words = "Hi, this is Sam. I am reading what you write."
    assert counselor.do(f"{there}/reply", text=words, id=str(uuid.uuid4())).status_code < 400
    assert phone.text("is somebody there") == []
    expected = [item(desk, "counselor_joined"), words]
    wait_until(lambda: twilio.bodies(phone.number) == expected, lambda: f"{twilio.bodies(phone.number)}")


def test_what_another_desk_is_sending_is_not_overtaken(desk: DeskThread, twilio: FakeTwilio) -> None:
    phone = known(desk)
    phone.text("hello again")
    first, second = (sequence for (sequence,) in phone.rows("outbox", "sequence")[-2:])
    due = f"""update outbox set state = case sequence when {first} then 'sending' else 'queued' end,
        not_before_utc = '2000-01-01' where conversation_id = '{phone.conversation}' and sequence >= {first}"""
    desk.parts.database.call(lambda session: session.connection().exec_driver_sql(due))
    clock = desk.parts.desk._clock

    def taken(ahead_seconds: float) -> list[int]:
        letters = run_async(desk.parts.outbox.due(clock.now() + timedelta(seconds=ahead_seconds), 1000))
        return [letter.sequence for letter in letters if letter.conversation == phone.conversation]

    assert taken(0) == []
    assert taken(IN_FLIGHT_SECONDS + 1) == [second]


def test_counselors_see_what_did_not_arrive_and_whom_they_cannot_text(desk: DeskThread) -> None:
    phone = known(desk)
    for got in phone.got(CRISIS):
        tell_status(desk, got.callback or "", f"SM{uuid.uuid4().hex}", "undelivered", "30007")
    counselor = make(desk, f"sees{uuid.uuid4().hex[:6]}").sign_in()
    there = f"{desk.url}/console/conversations/{phone.conversation}"
    assert "Not delivered: refused by the provider or carrier, 30007" in counselor.client.get(there).text
    with counselor.client.stream("GET", f"{there}/events?after=0") as stream:
        lines = iter(stream.iter_lines())
        told = lambda: next(json.loads(line[5:]) for line in lines if '"troubles"' in line)  # noqa: E731
        assert list(told()["troubles"].values()) == ["Not delivered: refused by the provider or carrier, 30007"]
        unknown = f"update outbox set state = 'unknown' where conversation_id = '{phone.conversation}' and card"
        desk.parts.database.call(lambda session: session.connection().exec_driver_sql(unknown))
        assert "Nobody can say whether this text arrived" in told()["troubles"].values()
        phone.text("STOP")
        assert "You cannot text this person" in told()["reach"]
    assert "You cannot text this person" in counselor.client.get(there).text

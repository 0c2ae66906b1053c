"""kill -9 while texts are being sent: nothing is silently lost, no ordinary text sent twice, a card is sent again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes import FakeRasa, FakeTwilio, wait_until
from tests.phone import CRISIS, Got, Phone, post, read_twiml, settings_for, tell_status
from tests.process import DeskProcess
from tests.stack import DeskThread

PHONES = 8  # the last two in a crisis
SETTLED_SECONDS = 61.0  # what was `sending` for longer is asked after


@pytest.fixture
def process(fake_rasa: FakeRasa, twilio: FakeTwilio, database_url: str, tmp_path: Path) -> Iterator[DeskProcess]:
    twilio.reset()
    running = DeskProcess(fake_rasa, tmp_path / "home", database_url=database_url, **settings_for(twilio))
    running.start()
    yield running
    twilio.gate.set()
    running.stop()


def refuse(desk: DeskProcess, got: Got) -> None:
    """Tell the desk that a message could not be delivered just now, so that its worker sends it."""
    assert tell_status(desk, got.callback or "", f"SM{got.posting}".replace("-", ""), "undelivered", "30003")


def states(phones: list[Phone]) -> set[str]:
    return {state for phone in phones for state, _ in phone.outbox()}


@pytest.mark.stack
@pytest.mark.parametrize("provider_knows", [True, False])
def test_a_kill_while_sending_loses_nothing_silently_and_repeats_only_cards(
    process: DeskProcess, twilio: FakeTwilio, provider_knows: bool
) -> None:
    phones = [Phone(process) for _ in range(PHONES)]
    ordinary, frightened = phones[:-2], phones[-2:]
    texts = {phone: phone.got(CRISIS if phone in frightened else "the cravings are bad") for phone in phones}
    twilio.faults = ["hang", "stall"] * PHONES * 4
    for phone in phones:
        for got in texts[phone]:
            refuse(process, got)
    wait_until(lambda: len(twilio.requests) >= 4, "the worker did not send", every_seconds=0.005)
    process.kill()
    taken = len(twilio.messages)
    assert taken < len(twilio.requests)  # some the provider had, some it had not
    twilio.faults.clear()
    twilio.gate.set()
    twilio.asked = 200 if provider_knows else 500
    process.start(ahead_seconds=SETTLED_SECONDS)
    wait_until(lambda: not states(phones) & {"queued", "sending"}, lambda: f"{[p.outbox() for p in phones]}", 60, 0.2)
    for phone in ordinary:
        bodies = twilio.bodies(phone.number)
        assert len(bodies) == len(set(bodies))
        for got, (state, error) in zip(texts[phone], phone.outbox(), strict=True):
            assert (state, error) in {("sent", "30003"), ("sent", None), ("unknown", "not_asked")}
            assert state == "unknown" or got.text in bodies
    for phone in frightened:
        assert texts[phone][0].text in twilio.bodies(phone.number)
    assert ("unknown" in states(phones)) is not provider_knows


def test_a_webhook_that_comes_again_after_a_crash_gets_the_card_again(
    start_desk: Callable[..., DeskThread], twilio: FakeTwilio, database_url: str
) -> None:
    one, other = (
        start_desk(database_url=database_url, store_timeout_seconds=10, **settings_for(twilio)) for _ in range(2)
    )
    one.wait_for_record()
    other.wait_for_record()
    phone = Phone(one)
    form = phone.form(CRISIS)
    first = read_twiml(post(one, "/sms/twilio/messages", form).text)
    again = read_twiml(post(other, "/sms/twilio/messages", form).text)
    assert again == first[:1]
    assert len(phone.rows("messages", "sequence")) == 1 + len(first)

"""Follow-ups: agreed, at a safe time, by a counselor's hand, naming no topic; never where a text may not go."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.counselors import CRISIS, Counselor, in_crisis, make
from tests.fakes import FakeRasa, FakeTwilio, MovedClock, wait_until
from tests.phone import Phone, settings_for
from tests.stack import DeskThread, Person, free_port

NUMBERS = iter(range(10_000))
TOPICS = re.compile(r"crav|recover|crisis|988|911|counsel|treat|drug|drink|safe", re.IGNORECASE)
HURT = "my husband hits me and i am scared of him tonight"


def new(desk: DeskThread) -> Counselor:
    return make(desk, f"follow{next(NUMBERS)}").sign_in()


@pytest.fixture
def desk(shared_desk: DeskThread) -> Iterator[DeskThread]:
    shared_desk.rasa.reset()
    clock = shared_desk.parts.desk._clock
    clock.moved = timedelta()
    yield shared_desk
    clock.moved = timedelta()


def at(desk: DeskThread, later: timedelta) -> str:
    return (desk.parts.desk.now() + later).strftime("%Y-%m-%dT%H:%M")


def number(counselor: Counselor, code: str) -> str:
    page = counselor.client.get("/console/follow-ups").text
    item = next(part for part in page.split("<li ") if f"conversation {code}" in part)
    return re.findall(r"/follow-ups/(\d+)/cancel", item)[0]


def agreed(desk: DeskThread, counselor: Counselor, person: Person, later: timedelta) -> str:
    counselor.act(person, "claim")
    answer = counselor.act(person, "follow-up", at=at(desk, later), agreed="yes")
    assert answer.status_code == 303, answer.text
    return number(counselor, person.conversation[:4])


def test_it_is_sent_once_by_hand_in_the_hour_that_was_agreed(desk: DeskThread) -> None:
    counselor, person, clock = new(desk), in_crisis(desk), desk.parts.desk._clock
    follow_up = agreed(desk, counselor, person, timedelta(minutes=20))
    counselor.act(person, "close", outcome="reached")
    before = len(person.record())
    assert counselor.do(f"/follow-ups/{follow_up}/send").status_code == 409, "too early"
    assert "Can be sent from then on" in counselor.client.get("/console/follow-ups").text
    clock.moved = timedelta(minutes=21)
    assert len(person.record()) == before, "nothing goes by itself"
    assert new(desk).do(f"/follow-ups/{follow_up}/send").status_code == 303
    last = person.record()[-1]
    assert last["item"] == "people/follow-up"
    assert not TOPICS.search(last["text"])
    assert counselor.do(f"/follow-ups/{follow_up}/send").status_code == 409
    assert len(person.record()) == before + 1


def test_an_old_list_does_not_cancel_the_newer_one(desk: DeskThread) -> None:
    counselor, person = new(desk), in_crisis(desk)
    old = agreed(desk, counselor, person, timedelta(hours=1))
    newer = agreed(desk, counselor, person, timedelta(hours=2))
    assert counselor.do(f"/follow-ups/{old}/cancel").status_code == 409
    assert number(counselor, person.conversation[:4]) == newer


def test_an_hour_later_it_is_missed(desk: DeskThread) -> None:
    counselor, person, clock = new(desk), in_crisis(desk), desk.parts.desk._clock
    follow_up = agreed(desk, counselor, person, timedelta(minutes=10))
    clock.moved = timedelta(minutes=72)
    late = new(desk)
    assert "Missed." in late.client.get("/console/follow-ups").text
    assert late.do(f"/follow-ups/{follow_up}/send").status_code == 409
    assert person.record()[-1]["item"] != "people/follow-up"


def test_only_who_has_the_voice_agrees_and_only_with_consent(desk: DeskThread) -> None:
    counselor, other, person = new(desk), new(desk), in_crisis(desk)
    soon = at(desk, timedelta(hours=1))
    assert counselor.act(person, "follow-up", at=soon, agreed="yes").status_code == 409
    counselor.act(person, "claim")
    assert other.act(person, "follow-up", at=soon, agreed="yes").status_code == 409
    assert counselor.act(person, "follow-up", at=soon).status_code == 422
    assert counselor.act(person, "follow-up", at="soon", agreed="yes").status_code == 422
    for wrong in (timedelta(minutes=-5), timedelta(days=31)):
        assert counselor.act(person, "follow-up", at=at(desk, wrong), agreed="yes").status_code == 409
    assert counselor.act(person, "follow-up", at=soon, agreed="yes").status_code == 303
    assert counselor.act(person, "follow-up", at=at(desk, timedelta(hours=2)), agreed="yes").status_code == 303
    page = counselor.client.get("/console/follow-ups").text
    assert page.count(f"conversation {person.conversation[:4]} ") == 1, "the later agreement stands instead"
    counselor.do(f"/follow-ups/{number(counselor, person.conversation[:4])}/cancel")
    assert f"conversation {person.conversation[:4]} " not in counselor.client.get("/console/follow-ups").text


def test_erasing_takes_it_away(desk: DeskThread) -> None:
    counselor, person = new(desk), in_crisis(desk)
    follow_up = agreed(desk, counselor, person, timedelta(minutes=10))
    person.client.delete("/api/me", headers=person.headers)
    desk.parts.desk._clock.moved = timedelta(minutes=11)
    assert counselor.do(f"/follow-ups/{follow_up}/send").status_code == 409
    query = f"select count(*) from follow_ups where conversation_id = '{person.conversation}'"
    assert desk.parts.database.call(lambda s: s.connection().exec_driver_sql(query).scalar()) == 0


def test_by_sms_it_goes_to_who_agreed_and_never_after_violence_or_an_opt_out(
    tmp_path, fake_rasa: FakeRasa, clock: MovedClock
) -> None:  # type: ignore[no-untyped-def]
    twilio = FakeTwilio(free_port())
    twilio.clock = clock
    desk = DeskThread(clock, home=tmp_path / "home", rasa_url=fake_rasa.url, **settings_for(twilio))
    try:
        desk.wait_for_record()
        counselor = new(desk)
        phones = {"fine": Phone(desk), "stopped": Phone(desk), "hurt": Phone(desk)}
        for name, phone in phones.items():
            phone.text(HURT if name == "hurt" else CRISIS)
            counselor.act(phone, "claim")
            answer = counselor.act(phone, "follow-up", at=at(desk, timedelta(minutes=10)), agreed="yes")
            assert answer.status_code == (409 if name == "hurt" else 303), name
        phones["stopped"].text("STOP")
        clock.moved = timedelta(minutes=11)
        ids = {name: number(counselor, phones[name].conversation[:4]) for name in ("fine", "stopped")}
        assert counselor.do(f"/follow-ups/{ids['stopped']}/send").status_code == 409
        assert counselor.do(f"/follow-ups/{ids['fine']}/send").status_code == 303
        sent = wait_until(lambda: [b for b in twilio.bodies(phones["fine"].number) if "would be all right" in b], "no")
        assert len(sent) == 1
        assert not TOPICS.search(sent[0])
    finally:
        desk.stop()
        twilio.stop()

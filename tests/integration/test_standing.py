"""What a person sees of counselors besides their words: a place in the list, a name, that somebody is writing."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator

import pytest

from bot.channels.web import CATCH_UP_SECONDS
from bot.store.record import READ_AT_ONCE
from tests.conftest import desk_on
from tests.counselors import CRISIS, Counselor, make
from tests.fakes import MovedClock
from tests.stack import DeskThread, Person

NUMBERS = itertools.count()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def staffed_desk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeskThread]:
    home = tmp_path_factory.mktemp("staffed")
    limits = {"messages_per_minute": 10_000, "conversations_per_minute": 10_000}
    with desk_on(request, home, staffed_hours="24/7", **limits) as desk:
        yield desk


@pytest.fixture
def desk(staffed_desk: DeskThread) -> Iterator[DeskThread]:
    staffed_desk.rasa.reset()
    yield staffed_desk
    staffed_desk.parts.database.call(close_flags)


def close_flags(session):  # type: ignore[no-untyped-def]
    session.connection().exec_driver_sql("update flags set state = 'closed'")


def new(desk: DeskThread, role: str = "counselor", display: str = "") -> Counselor:
    return make(desk, f"{role}-s{next(NUMBERS)}", role, display).sign_in()


def asking(desk: DeskThread, language: str = "en") -> Person:
    person = desk.person(language)
    person.say("hello")
    assert person.say(choice="effect:request_counselor")[0]["item"] == "people/counselor-requested"
    return person


def events(person: Person, after: int = 0) -> Iterator[tuple[str, dict]]:
    """The stream's events by name, as they come."""
    headers = person.headers | {"last-event-id": str(after)}
    with person.client.stream("GET", "/api/events", headers=headers) as response:
        name = "message"
        for line in response.iter_lines():
            if line.startswith("event:"):
                name = line.removeprefix("event:").strip()
            elif line.startswith("data:"):
                yield name, json.loads(line.removeprefix("data:"))
            elif not line:
                name = "message"


def standing(person: Person) -> dict:
    return next(data for name, data in events(person, after=9999) if name == "standing")


def test_a_long_conversation_is_shown_whole_at_once(desk: DeskThread) -> None:
    person = desk.person()
    last = 0
    while last <= 2 * READ_AT_ONCE:
        last = person.say("hello")[-1]["sequence"]
    began = time.monotonic()
    sequences = (data["sequence"] for name, data in events(person) if name == "message")
    shown = itertools.takewhile(lambda sequence: sequence < last, sequences)
    assert list(shown) == list(range(1, last))
    assert time.monotonic() - began < CATCH_UP_SECONDS / 2


def test_who_asks_sees_their_place_and_it_moves(desk: DeskThread) -> None:
    first, second = asking(desk), asking(desk)
    assert standing(first) == {"counselor": None, "place": 1}
    told = (data for name, data in events(second) if name == "standing")
    assert next(told)["place"] == 2
    first.say(choice="effect:cancel_request")
    second.post("still here")
    assert next(told)["place"] == 1
    assert standing(first) == {"counselor": None, "place": None}


def test_a_crisis_goes_before_and_shows_no_place(desk: DeskThread) -> None:
    asked, frightened = asking(desk), asking(desk)
    frightened.say(CRISIS)
    assert standing(frightened) == {"counselor": None, "place": None}
    assert standing(asked)["place"] == 2, "a crisis is seen to first"
    nobody = desk.person()
    nobody.say("hello")
    assert standing(nobody) == {"counselor": None, "place": None}


def test_no_place_is_shown_while_nobody_is_on_duty(start_desk, clock: MovedClock) -> None:  # type: ignore[no-untyped-def]
    tomorrow = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")[(clock.now().weekday() + 2) % 7]
    desk = start_desk(staffed_hours=f"{tomorrow} 10:00-11:00")
    desk.wait_for_record()
    person = desk.person()
    person.say("hello")
    assert person.say(choice="effect:request_counselor")[0]["item"] == "people/not-staffed"
    assert standing(person) == {"counselor": None, "place": None}


def test_cancelling_closes_the_request_and_says_so_in_the_persons_language(desk: DeskThread) -> None:
    person = asking(desk, "es")
    counselor = new(desk)
    assert person.conversation in counselor.queue
    label = person.record()[-1]["choices"][-1]["label"]
    assert person.say(choice="effect:cancel_request")[0]["item"] == "people/request-cancelled"
    assert [message["text"] for message in person.record() if message["author"] == "person"][-1] == label
    assert person.conversation not in counselor.queue


def test_a_counselor_is_shown_by_the_display_name(desk: DeskThread) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    counselor, person = new(desk, display=hostile), asking(desk)
    counselor.act(person, "claim")
    assert standing(person) == {"counselor": hostile, "place": None}
    counselor.act(person, "reply", text="Hello, I am here.")
    assert [message["name"] for message in person.record()][-2:] == [None, hostile]
    lead = new(desk, "lead")
    for page in (lead.queue, lead.read(person).text, lead.client.get("/console/accounts").text, counselor.queue):
        assert "<img" not in page
    assert "&lt;img src=x" in lead.queue
    counselor.act(person, "hand-back")
    assert standing(person)["counselor"] is None


def test_typing_is_shown_both_ways_and_kept_nowhere(desk: DeskThread) -> None:
    counselor, other, person = new(desk), new(desk), asking(desk)
    counselor.act(person, "claim")
    before = person.record()
    told = (name for name, _ in events(person, after=before[-1]["sequence"]))
    assert next(told) == "standing"
    assert other.act(person, "typing").status_code == 204, "a colleague who reads along types nothing to the person"
    assert counselor.act(person, "typing").status_code == 204
    counselor.act(person, "reply", text="one")
    assert [next(told) for _ in range(2)] == ["counselor_typing", "message"]
    url = f"/console/conversations/{person.conversation}/events?after=9999"
    with counselor.client.stream("GET", url) as stream:
        lines = stream.iter_lines()
        next(line for line in lines if line == "event: queue")
        assert person.client.post("/api/typing", headers=person.headers).status_code == 204
        assert "event: typing" in lines
    assert person.client.post("/api/typing").status_code == 401
    assert len(person.record()) == len(before) + 1

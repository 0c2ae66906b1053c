"""The miss review: drawn by chance, read once, marked once; only counts are kept apart."""

from __future__ import annotations

import re

import pytest

from tests.counselors import CRISIS, Counselor, in_crisis, make
from tests.stack import DeskThread, Person

NUMBERS = iter(range(10_000))
WORDS = "something nobody expected"


def new(desk: DeskThread, role: str = "lead") -> Counselor:
    return make(desk, f"{role}-m{next(NUMBERS)}", role).sign_in()


@pytest.fixture
def desk(shared_desk: DeskThread) -> DeskThread:
    """The shared desk with nothing to review."""
    shared_desk.rasa.reset()
    shared_desk.parts.database.call(lambda s: s.connection().exec_driver_sql("delete from flags"))
    return shared_desk


def heard_by_rasa(desk: DeskThread) -> Person:
    desk.rasa.answer = {"references": [], "intent": "crisis_self_harm", "confidence": 0.99}
    person = desk.person()
    assert person.say(WORDS)[0]["card"]
    desk.rasa.reset()
    return person


def taken_on_request(desk: DeskThread, counselor: Counselor) -> Person:
    desk.rasa.answer = {"references": ["counselor_requested"], "effects": [{"name": "request_counselor"}]}
    person = desk.person()
    person.say("a human please")
    desk.rasa.reset()
    counselor.act(person, "claim")
    counselor.act(person, "close", outcome="reached")
    return person


def drawn(page: str) -> str:
    return re.findall(r'name="conversation" value="([^"]+)"', page)[0]


def test_what_rasa_caught_and_what_was_taken_unflagged_is_drawn_once_each(desk: DeskThread) -> None:
    lead, counselor = new(desk), new(desk, "counselor")
    in_crisis(desk)
    caught, taken = heard_by_rasa(desk), taken_on_request(desk, counselor)
    desk.person().say("only chatting")
    flagged = taken_on_request(desk, counselor)
    flagged.say(CRISIS)
    assert lead.client.get("/console/misses").text.count("1 not reviewed") == 2
    for source, person, words in (("rasa", caught, WORDS), ("taken", taken, "a human please")):
        page = lead.do("/misses/sample", source=source).text
        assert drawn(page) == person.conversation
        assert words in page
        form = {"source": source, "conversation": person.conversation}
        assert lead.do("/misses/mark", mark="sick", **form).status_code == 422
        assert "Marked." in lead.do("/misses/mark", mark="missed", **form).text
        assert "marked already" in lead.do("/misses/mark", mark="unsure", **form).text
        assert "None of these is left." in lead.do("/misses/sample", source=source).text
    query = "select category, sum(value) from counters where name = 'miss_review' group by category order by 1"
    found = desk.parts.database.call(lambda s: s.connection().exec_driver_sql(query).all())
    assert {name: int(value) for name, value in found} == {"rasa_missed": 1, "taken_missed": 1}
    desk.parts.database.call(lambda s: s.connection().exec_driver_sql("delete from counters"))
    query = f"select action from audit where conversation_id = '{caught.conversation}'"
    assert desk.parts.database.call(lambda s: s.connection().exec_driver_sql(query).scalars().all()) == ["review"]


def test_another_conversation_cannot_be_read_or_marked_through_it(desk: DeskThread) -> None:
    lead, other = new(desk), desk.person()
    other.say("private words")
    form = {"source": "rasa", "conversation": other.conversation, "mark": "missed"}
    assert "marked already, or was erased" in lead.do("/misses/mark", **form).text
    assert "private words" not in lead.do("/misses/sample", source="rasa").text
    assert lead.do("/misses/sample", source="everything").status_code == 422
    counselor = new(desk, "counselor")
    assert counselor.client.get("/console/misses").status_code == 403
    assert counselor.do("/misses/sample", source="rasa").status_code == 403


def test_an_erased_conversation_is_not_drawn(desk: DeskThread) -> None:
    lead, person = new(desk), heard_by_rasa(desk)
    person.client.delete("/api/me", headers=person.headers)
    assert "None of these is left." in lead.do("/misses/sample", source="rasa").text

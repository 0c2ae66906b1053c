"""Quick exit at the desk: a counselor who is there reads that the person left, and nobody else hears of it."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from tests.counselors import in_crisis, make
from tests.stack import DeskThread, Person

LEFT = "The person left the chat with quick exit."


def leave(desk: DeskThread, person: Person) -> httpx.Response:
    return httpx.post(f"{desk.url}/api/left", content=person.token, trust_env=False)


def test_a_counselor_who_is_there_is_told_once_that_the_person_left(start_desk: Callable[..., DeskThread]) -> None:
    desk = start_desk()
    desk.wait_for_record()
    counselor, person = make(desk, "rivera").sign_in(), in_crisis(desk)
    counselor.act(person, "claim")
    for _ in range(2):
        assert leave(desk, person).status_code == 204
    assert counselor.read(person).text.count(LEFT) == 1
    person.post("I am back")
    assert leave(desk, person).status_code == 204
    assert counselor.read(person).text.count(LEFT) == 2
    assert [message["author"] for message in person.record()].count("left") == 2


def test_without_a_counselor_leaving_is_written_down_nowhere(start_desk: Callable[..., DeskThread]) -> None:
    desk = start_desk()
    desk.wait_for_record()
    person = in_crisis(desk)
    before = person.record()
    assert leave(desk, person).status_code == 204
    assert person.record() == before
    assert httpx.post(f"{desk.url}/api/left", content=b"\xff not a token", trust_env=False).status_code == 204

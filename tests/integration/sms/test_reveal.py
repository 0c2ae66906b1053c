"""A counselor and the number of a person who texts: shown once, for a reason, and noted."""

from __future__ import annotations

from tests.counselors import make
from tests.phone import CRISIS, Phone
from tests.stack import DeskThread


def test_a_number_is_shown_once_to_who_has_the_voice_for_a_reason_of_the_list(desk: DeskThread, caplog) -> None:  # type: ignore[no-untyped-def]
    counselor, other = make(desk, "revealer").sign_in(), make(desk, "onlooker").sign_in()
    auditor, phone = make(desk, "reader", "auditor").sign_in(), Phone(desk)
    phone.text(CRISIS)
    digits = phone.number.removeprefix("+")
    assert counselor.act(phone, "reveal", reason="emergency_services").status_code == 409, "claim it first"
    counselor.act(phone, "claim")
    assert other.act(phone, "reveal", reason="emergency_services").status_code == 409
    for reason in ("", "curious"):
        assert counselor.act(phone, "reveal", reason=reason).status_code == 422
    shown = counselor.act(phone, "reveal", reason="emergency_services")
    assert shown.status_code == 200
    assert phone.number in shown.text.replace("&#43;", "+")
    assert shown.headers["cache-control"] == "no-store"
    assert digits not in str(shown.url)
    pages = [counselor.read(phone).text, counselor.queue, other.queue, auditor.client.get("/console/audit").text]
    assert not [page for page in pages if digits in page], "it is shown once"
    assert "reveal</td><td>emergency services" in pages[3]
    assert digits not in caplog.text
    before = pages[3].count("<td>reveal</td>")
    assert before == 1, "a refused reveal reveals nothing and is no entry"


def test_a_web_conversation_has_no_number_to_show(desk: DeskThread) -> None:
    counselor, person = make(desk, "webber").sign_in(), desk.person()
    person.say(CRISIS)
    counselor.act(person, "claim")
    assert "Show the phone number" not in counselor.read(person).text
    refused = counselor.act(person, "reveal", reason="emergency_services")
    assert refused.status_code == 409
    assert "No phone number is known" in refused.text

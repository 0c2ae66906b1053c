"""The phone on the demo page: real signed webhooks, answers with their segments, and nobody else's texts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx

from tests.counselors import make
from tests.fakes import FakeTwilio, run_async, wait_until
from tests.phone import CRISIS, item, settings_for
from tests.stack import DeskThread


def ask(desk: DeskThread, **said: Any) -> dict[str, Any]:
    answer = httpx.post(f"{desk.url}/demo/phone", content=json.dumps(said), timeout=20, trust_env=False)
    assert answer.status_code == 200
    return dict(answer.json())


def test_a_text_is_answered_with_its_segments_and_recorded(start_desk: Callable[..., DeskThread]) -> None:
    desk = start_desk()
    desk.wait_for_record()
    first = ask(desk, text=CRISIS)
    assert first["sent"] == {"text": CRISIS, "segments": 1, "encoding": "GSM-7"}
    assert "988" in first["messages"][0]["text"][:160]
    assert all(message["segments"] >= 1 for message in first["messages"])
    assert ask(desk, phone=first["phone"], text="¿Estás ahí, señora? Ñandú… “sí”")["sent"]["encoding"] == "UCS-2"
    states = "select distinct state from outbox"
    assert desk.parts.database.call(lambda s: s.connection().exec_driver_sql(states).all()) == [("delivered",)]
    query = "select id from conversations where channel = 'sms'"
    ((conversation,),) = desk.parts.database.call(lambda s: s.connection().exec_driver_sql(query).all())
    counselor = make(desk, "phone").sign_in()
    assert counselor.do(f"/conversations/{conversation}/claim").status_code < 400
    joined, came = item(desk, "counselor_joined"), []

    def has_joined() -> bool:
        came.extend(message["text"] for message in ask(desk, phone=first["phone"])["messages"])
        return joined in came

    wait_until(has_joined, lambda: f"{came}", every_seconds=0.3)
    assert ask(desk)["messages"] == []
    assert run_async(desk.parts.record.waiting_flags(desk.parts.desk.now())) == {}


def test_forged_requests_are_refused_there_too(start_desk: Callable[..., DeskThread]) -> None:
    desk = start_desk()
    forged = httpx.post(f"{desk.url}/sms/twilio/messages", content=b"Body=hi", trust_env=False)
    assert forged.status_code == 403


def test_there_is_none_beside_a_real_token_or_in_production(
    start_desk: Callable[..., DeskThread], twilio: FakeTwilio
) -> None:
    for settings in (settings_for(twilio), {"mode": "production"}):
        desk = start_desk(**settings)
        assert httpx.post(f"{desk.url}/demo/phone", content=b"{}", trust_env=False).status_code == 404
        assert httpx.get(f"{desk.url}/phone.js", trust_env=False).status_code == 404
        assert 'id="phone"' not in httpx.get(desk.url, trust_env=False).text

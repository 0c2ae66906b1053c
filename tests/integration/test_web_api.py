"""The web API's edges: refusals that still answer, hostile input, headers, streams."""

import json
import socket
import sqlite3
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.desk.tokens import Tokens
from bot.store.cipher import read_keys
from tests.fakes import run_async, wait_until
from tests.stack import DeskThread, Person

CRISIS = "i want to kill myself"
REPLIES_OWED = {400, 401, 413, 422, 429, 503}
relaxed = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture
def desk(shared_desk: DeskThread) -> DeskThread:
    shared_desk.rasa.reset()
    return shared_desk


def send(desk: DeskThread, content: bytes, token: str = "") -> httpx.Response:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return httpx.post(f"{desk.url}/api/messages", content=content, headers=headers, timeout=10, trust_env=False)


def message(text: object, **more: object) -> bytes:
    return json.dumps({"id": str(uuid.uuid4()), "text": text, **more}).encode()


@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c"])
def test_a_crisis_with_a_bad_token_gets_the_card(desk: DeskThread, token: str) -> None:
    answer = send(desk, message(CRISIS), token)
    assert answer.status_code == 401
    assert answer.json()["flagged"]
    assert answer.json()["replies"][0]["card"]


def test_a_crisis_with_an_expired_token_gets_the_card_and_is_recorded(desk: DeskThread) -> None:
    key = read_keys(desk.settings.home / "keys").token
    conversation, expired = Tokens(key, -1).issue("en")
    answer = send(desk, message(CRISIS), expired)
    assert answer.status_code == 401
    assert answer.json()["replies"][-1]["card"]
    recorded = run_async(desk.parts.record.messages_after(conversation, 0))
    assert CRISIS in [stored.body["text"] for stored in recorded if stored.author == "person"]
    assert send(desk, message("hello"), expired).json()["replies"][0]["item"] == "system/session-ended"


def test_an_ordinary_message_with_a_bad_token_gets_a_reviewed_reply_and_a_remedy(desk: DeskThread) -> None:
    body = send(desk, message("hello")).json()
    assert body["replies"][0]["item"] == "system/session-ended"
    assert body["error"]["remedy"]


@pytest.mark.parametrize(
    "content",
    [
        CRISIS.encode(),
        json.dumps([CRISIS]).encode(),
        json.dumps({"text": [CRISIS]}).encode(),
        json.dumps({"text": CRISIS}).encode(),
        json.dumps({"id": 7, "text": CRISIS}).encode(),
        json.dumps({"id": "x" * 100, "text": CRISIS}).encode(),
        json.dumps({"id": "a", "text": CRISIS, "choice": "1:0"}).encode(),
        b'{"id": "a", "text": "' + CRISIS.encode(),
        b"\xff\xfe " + CRISIS.encode(),
        json.dumps({"id": "a", "text": "x " * 40_000 + CRISIS}).encode()[:65_000] + b" " + CRISIS.encode(),
        json.dumps({"id": "a", "text": CRISIS + " x" * 100_000}).encode(),
        json.dumps({"id": "a", "text": CRISIS + " and" * 1000}).encode(),
    ],
)
def test_a_crisis_in_a_message_of_any_shape_gets_the_card_and_is_recorded(desk: DeskThread, content: bytes) -> None:
    person = desk.person()
    answer = send(desk, content, person.token)
    assert answer.status_code in {202, *REPLIES_OWED}
    assert answer.json()["replies"][0]["card"]
    assert [m for m in person.record() if m["author"] == "person" and m["flagged"]]


def test_a_body_that_never_ends_is_assessed_as_far_as_it_came(
    desk: DeskThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.channels.reading.READ_SECONDS", 0.3)
    host, port = desk.url.removeprefix("http://").split(":")
    with closing(socket.create_connection((host, int(port)), timeout=10)) as slow:
        head = f"POST /api/messages HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5000\r\n\r\n"
        slow.sendall(head.encode() + b'{"id": "1", "text": "' + CRISIS.encode())
        answer = slow.recv(65536).decode()
    assert answer.startswith("HTTP/1.1 401")
    assert "988" in answer


def test_the_rate_limit_spares_a_crisis(desk: DeskThread) -> None:
    person = desk.person()
    statuses = [person.post("hello").status_code for _ in range(30)]
    assert statuses == [202] * 30
    wait_until(lambda: person.post("hello").status_code == 429, "there is no limit", every_seconds=0)
    answer = person.post(CRISIS)
    assert answer.status_code == 202
    assert answer.json()["replies"][0]["card"]


def test_when_too_many_wait_a_message_gets_busy_and_a_crisis_passes(
    start_desk: Callable[..., DeskThread], tmp_path: Path
) -> None:
    desk = start_desk(messages_waiting=1, store_timeout_seconds=1.5)
    desk.wait_for_record()
    people = [desk.person() for _ in range(20)]
    frightened = desk.person()
    with closing(sqlite3.connect(tmp_path / "home" / "handrail.db", isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")  # nothing can be recorded, so messages pile up
        with ThreadPoolExecutor(len(people)) as pool:
            answers = [pool.submit(person.post, "hello") for person in people]
            crisis = frightened.post(CRISIS)
            refused = [a.result() for a in answers if a.result().status_code != 202]
    assert crisis.status_code == 202
    assert crisis.json()["replies"][-1]["card"]
    assert refused
    for answer in refused:
        assert answer.status_code == 503
        assert answer.json()["replies"][0]["item"] == "system/busy"
        assert answer.json()["error"]["remedy"] == "send it again"


@pytest.mark.parametrize(
    ("content", "status", "item"),
    [
        (message(None), 422, "system/bad-message"),
        (message(["a list"]), 422, "system/bad-message"),
        (message(""), 422, "system/bad-message"),
        (message(" \n\t"), 422, "system/bad-message"),
        (message("x" * 2001), 422, "system/too-long"),
        (b"x" * 70_000, 413, "system/too-long"),
        (b"", 422, "system/bad-message"),
        (b"null", 422, "system/bad-message"),
        (b"[" * 60_000, 422, "system/bad-message"),
        (json.dumps({"id": "a"}).encode(), 422, "system/bad-message"),
    ],
)
def test_bad_input_gets_a_clear_error_and_a_reviewed_reply(
    desk: DeskThread, content: bytes, status: int, item: str
) -> None:
    answer = send(desk, content, desk.person().token)
    assert answer.status_code == status
    assert answer.json()["replies"][0]["item"] == item
    assert answer.json()["error"]["remedy"]


@pytest.fixture
def somebody(desk: DeskThread) -> Person:
    return desk.person()


@relaxed
@given(content=st.binary(max_size=300))
def test_no_bytes_break_the_desk(desk: DeskThread, somebody: Person, content: bytes) -> None:
    answer = send(desk, content, somebody.token)
    assert answer.status_code in {202, *REPLIES_OWED}
    assert answer.json()["replies"] or answer.status_code == 202


@relaxed
@given(text=st.text(min_size=1, max_size=200))
def test_no_text_breaks_the_desk_and_it_comes_back_unchanged(desk: DeskThread, text: str) -> None:
    person = desk.person()
    answer = send(desk, message(text), person.token)
    assert answer.status_code in {202, 422}
    if answer.status_code == 202:
        said = [m["text"] for m in person.record() if m["author"] == "person"]
        assert said == [text.encode("utf-8", errors="replace").decode().replace("\x00", "")]


def test_the_documented_routes_survive_fuzzing(desk: DeskThread) -> None:
    """Fuzz every documented route but the endless stream: never a 5xx."""
    schema = schemathesis.openapi.from_url(f"{desk.url}/openapi.json")
    tried = 0
    for operation in schema.get_all_operations():
        operation = operation.ok()
        if operation.path == "/api/events":
            continue

        @settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy())
        def fuzz(case: schemathesis.Case) -> None:
            assert case.call().status_code < 500

        fuzz()
        tried += 1
    assert tried >= 4


def test_errors_and_logs_never_hold_words_or_tokens(desk: DeskThread, capfd: pytest.CaptureFixture[str]) -> None:
    person = desk.person()
    secret = "a very particular sentence"
    answers = [send(desk, message(secret), token) for token in ("", person.token)]
    answers.append(send(desk, json.dumps({"id": 1, "text": secret}).encode(), person.token))
    out = "".join(capfd.readouterr())
    assert secret not in out
    assert person.token not in out
    assert all(secret not in answer.text for answer in answers)


def test_pages_carry_a_strict_policy_and_no_third_party(desk: DeskThread) -> None:
    for path in ("/", "/help", "/help?language=es"):
        page = httpx.get(f"{desk.url}{path}", trust_env=False)
        assert page.status_code == 200
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert page.headers["x-content-type-options"] == "nosniff"
        assert 'src="http' not in page.text
    assert "988" in httpx.get(f"{desk.url}/help", trust_env=False).text


def test_the_widget_is_cached_and_holds_a_card_for_when_all_is_down(desk: DeskThread) -> None:
    script = httpx.get(f"{desk.url}/widget.js", trust_env=False)
    assert "max-age" in script.headers["cache-control"]
    config = json.loads(script.text.split("window.HANDRAIL_CONFIG = ", 1)[1].split(";\n", 1)[0])
    assert set(config["languages"]) == {"en", "es"}
    for language in config["languages"].values():
        assert "988" in language["card"]["text"]
        assert any("988" in line["href"] for line in language["bar"])


def test_the_stream_needs_a_token(desk: DeskThread) -> None:
    answer = httpx.get(f"{desk.url}/api/events", trust_env=False)
    assert answer.status_code == 401
    assert answer.json()["replies"]


def test_only_the_listed_websites_may_read_the_answers(start_desk: Callable[..., DeskThread]) -> None:
    desk = start_desk(allowed_origins="https://www.example.org")
    for origin, allowed in (("https://www.example.org", True), ("https://www.example.org.evil.example", False)):
        asked = {
            "origin": origin,
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization",
        }
        preflight = httpx.options(f"{desk.url}/api/messages", headers=asked, trust_env=False)
        started = httpx.post(f"{desk.url}/api/conversations", headers={"origin": origin}, trust_env=False)
        for answer in (preflight, started):
            assert (answer.headers.get("access-control-allow-origin") == origin) is allowed
        assert "access-control-allow-credentials" not in preflight.headers


def test_without_listed_websites_no_other_origin_may_read(desk: DeskThread) -> None:
    answer = httpx.post(f"{desk.url}/api/conversations", headers={"origin": "https://www.example.org"}, trust_env=False)
    assert "access-control-allow-origin" not in answer.headers


def test_open_flags_and_parts_show_in_the_metrics(desk: DeskThread) -> None:
    desk.person().say("i don't want to be alive anymore")
    waiting = run_async(desk.parts.record.waiting_flags(desk.parts.desk.now() + timedelta(seconds=60)))
    count, seconds = waiting["crisis"]
    assert count >= 1
    assert seconds >= 60
    desk.parts.desk.metrics.show_flags(waiting)
    shown = httpx.get(f"{desk.url}/metrics", trust_env=False).text
    assert f'handrail_flags_open{{kind="crisis"}} {float(count)}' in shown
    assert 'handrail_flags_open{kind="request"} 0.0' in shown
    assert 'handrail_part_up{part="guard_rules"} 1.0' in shown


def test_readiness_says_per_part_what_is_up(desk: DeskThread) -> None:
    wait_until(lambda: desk.ready()["rasa"] == "ok", "Rasa is not seen")
    parts = desk.ready()
    assert parts["store"] == "ok"
    assert set(parts) >= {"guard_rules", "guard_classifier", "content", "store", "rasa"}


def test_choices_never_show_what_they_mean(desk: DeskThread) -> None:
    person = desk.person()
    person.say("hello")
    assert all(set(choice) == {"id", "label"} for m in person.record() for choice in m["choices"])

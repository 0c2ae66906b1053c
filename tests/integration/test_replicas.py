"""Two desks and two consoles behind nginx on one PostgreSQL, as real processes: what holds whichever is asked."""

from __future__ import annotations

import itertools
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from bot.console.auth import Credentials, hash_password, make_credentials
from bot.store.accounts import Accounts
from bot.store.audit import Audit
from bot.store.cipher import Cipher, read_keys
from bot.store.engine import Database
from tests.conftest import fresh_postgres
from tests.counselors import CRISIS, Counselor
from tests.fakes import FakeRasa, FakeTwilio, wait_until
from tests.phone import Phone, settings_for
from tests.promises.test_p6_nothing_lost_nothing_twice import Writer, expect_nothing_lost_or_doubled
from tests.replicas import Replicas
from tests.stack import Person, free_port

pytestmark = pytest.mark.stack
TOLD_SECONDS = 5.0  # half of what a stream takes that heard no hint (CATCH_UP_SECONDS): the hint came
TURN_SECONDS = 6.0  # a turn's deadline of 4 s, and the record


@pytest.fixture(scope="module")
def rasas() -> Iterator[list[FakeRasa]]:
    pair = [FakeRasa(free_port()) for _ in range(2)]
    yield pair
    for rasa in pair:
        rasa.stop()


@pytest.fixture(scope="module")
def twilio() -> Iterator[FakeTwilio]:
    fake = FakeTwilio(free_port())
    yield fake
    fake.stop()


@pytest.fixture(scope="module")
def replicas(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: str, rasas: list[FakeRasa], twilio: FakeTwilio
) -> Iterator[Replicas]:
    limits = {"messages_per_minute": 100_000, "conversations_per_minute": 100_000}
    with fresh_postgres(postgres_server) as url:
        running = Replicas(
            tmp_path_factory.mktemp("replicas"),
            url,
            rasas=[f"http://127.0.0.1:{free_port()}", *(rasa.url for rasa in rasas)],  # nobody is at the first
            **limits,
            **settings_for(twilio),
        )
        running.database_url = url  # type: ignore[attr-defined]
        running.begin()
        yield running
        running.stop()


@pytest.fixture(autouse=True)
def _as_at_first(rasas: list[FakeRasa]) -> None:
    for rasa in rasas:
        rasa.reset()


def counselor(replicas: Replicas, name: str, console: str) -> Counselor:
    """A counselor signed in at one console; the account is made as `handrail counselor add` makes it."""
    keys = read_keys(replicas.home("desk-1") / "keys")
    database = Database(replicas.database_url, 10.0)  # type: ignore[attr-defined]
    accounts, given = Accounts(database, Cipher(keys.encryption), Audit(keys.lookup)), make_credentials()
    database.call(
        lambda session: accounts.add(
            session,
            name=name,
            display_name=name.title(),
            role="counselor",
            password_hash=hash_password(given.password),
            totp_secret=given.totp_secret,
            now=datetime.now(UTC),
        )
    )
    database.close()
    now = SimpleNamespace(now=lambda: datetime.now(UTC))
    desk = SimpleNamespace(url=replicas.address(console), parts=SimpleNamespace(desk=now))
    return Counselor(desk, name, Credentials(given.password, given.totp_secret)).sign_in()  # type: ignore[arg-type]


def elsewhere(person: Person, url: str) -> Person:
    """The same person through another address."""
    other = Person.__new__(Person)
    other.client = httpx.Client(base_url=url, timeout=15, trust_env=False)
    other.conversation, other.token, other.headers = person.conversation, person.token, person.headers
    return other


def test_a_conversation_keeps_its_order_whichever_desk_takes_it(replicas: Replicas, rasas: list[FakeRasa]) -> None:
    pairs = [(here := replicas.person("desk-1"), elsewhere(here, replicas.address("desk-2"))) for _ in range(6)]
    for here, _ in pairs:
        here.say("hello")
    for rasa in rasas:  # both desks come to ask for the same message, and one of them loses
        rasa.turns.clear()
        rasa.gate.clear()
    sent = [
        [(here if number % 2 else there).post(f"evening {number}").json() for number in (1, 2)] for here, there in pairs
    ]
    wait_until(lambda: sum(len(rasa.turns) for rasa in rasas) >= 2 * len(pairs), "the second desk did not ask too")
    began = time.monotonic()
    for rasa in rasas:
        rasa.gate.set()
    for (here, there), posted in zip(pairs, sent, strict=True):
        assert there.replies_to(posted[-1]["sequence"], 20)
        assert time.monotonic() - began < TURN_SECONDS - 1, "a message waited for recovery"
        messages = here.record()
        assert [message["sequence"] for message in messages] == list(range(1, len(messages) + 1))
        closing = [message["in_reply_to"] for message in messages if message["author"] == "bot" and message["last"]]
        said = [message["sequence"] for message in messages if message["author"] == "person"]
        assert closing == said, "answers out of order, doubled or missing"


def test_a_stream_goes_on_at_another_desk_where_it_was(replicas: Replicas) -> None:
    here = replicas.person("desk-1")
    here.say("hello")
    seen = []
    for message in here.stream():
        seen.append(message["sequence"])
        if message["last"]:
            break
    there = elsewhere(here, replicas.address("desk-2"))
    sequence = here.post("the evenings are long").json()["sequence"]
    for message in there.stream(after=seen[-1]):
        seen.append(message["sequence"])
        if message["in_reply_to"] == sequence and message["last"]:
            break
    assert seen == [message["sequence"] for message in here.record()]


def test_a_counselor_takes_over_from_a_console_beside_the_desks(replicas: Replicas) -> None:
    person = replicas.person("desk-1")
    assert person.post(CRISIS).json()["flagged"]
    mia = counselor(replicas, "mia", "console-2")
    assert person.conversation in mia.queue
    last = person.record()[-1]["sequence"]
    heard: list[tuple[float, dict]] = []

    def listen() -> None:
        for message in person.stream(after=last):
            heard.append((time.monotonic(), message))
            if message["author"] == "counselor":
                return

    listening = threading.Thread(target=listen, daemon=True)
    listening.start()
    assert mia.act(person, "claim").status_code == 303
    wait_until(lambda: heard, "the claim was not shown")
    said_at = time.monotonic()
    mia.act(person, "reply", text="I am Mia. I am reading what you write.", client_id=str(uuid.uuid4()))
    listening.join(15)
    assert heard[-1][1]["author"] == "counselor"
    assert heard[-1][0] - said_at < TOLD_SECONDS, "no hint came from the console's process"
    assert elsewhere(person, replicas.address("desk-2")).post("thank you").json()["replies"] == []
    other = counselor(replicas, "tom", "console-1")
    assert "Mia" in other.act(person, "claim").text


@pytest.mark.parametrize(("fault", "broken"), [("failing", 0), ("hung", 0)])
def test_a_rasa_that_is_gone_is_passed_over_within_the_turn(
    replicas: Replicas, rasas: list[FakeRasa], fault: str, broken: int
) -> None:
    people = [replicas.person() for _ in range(4)]
    if fault == "hung":
        rasas[broken].gate.clear()
    else:
        rasas[broken].status = 500
    said = itertools.count()

    def is_asked() -> bool:
        """Say something more until the broken one was asked: after an earlier fault it rests for some seconds."""
        number, began = next(said), time.monotonic()
        replies = people[number % len(people)].say("hello")
        assert not any(reply["item"].startswith("system/") for reply in replies), replies
        assert time.monotonic() - began < TURN_SECONDS
        return number >= len(people) and bool(rasas[broken].turns)

    wait_until(is_asked, "the broken one was not asked", every_seconds=0.4)
    assert len(rasas[1 - broken].turns) >= len(people)
    assert replicas.parts("desk-1")["rasa"] == "ok"
    metrics = httpx.get(replicas.address("desk-1") + "/metrics", trust_env=False).text
    assert "handrail_rasas_away 1.0" in metrics  # the one that was never there


def test_each_text_is_sent_by_one_desk_and_in_order(replicas: Replicas, twilio: FakeTwilio) -> None:
    twilio.reset()
    keys = SimpleNamespace(settings=SimpleNamespace(home=replicas.home("desk-1")), url=replicas.url)
    phones = [Phone(keys) for _ in range(3)]  # type: ignore[arg-type]
    ana = counselor(replicas, "ana", "console-1")
    for phone in phones:
        phone.text(CRISIS)
        answer = ana.do(f"/conversations/{phone.conversation}/claim")
        assert answer.status_code == 303, answer.text
    said = [f"line {number} of what I wanted to say" for number in range(5)]
    for text in said:
        for phone in phones:
            form = {"text": text, "client_id": str(uuid.uuid4())}
            ana.do(f"/conversations/{phone.conversation}/reply", **form)
    for phone in phones:
        wait_until(lambda phone=phone: len(twilio.bodies(phone.number)) >= len(said) + 1, "a text was not sent", 40)
        assert [body for body in twilio.bodies(phone.number) if body in said] == said


def test_a_rolling_restart_loses_and_doubles_nothing(replicas: Replicas) -> None:
    stop = threading.Event()
    people = [Writer(replicas.url, stop, seed) for seed in range(3)]
    for writer in people:
        writer.start()
    for name, how in (("desk-1", signal.SIGTERM), ("desk-2", signal.SIGKILL)):
        replicas.end(name, how)
        replicas.start(name)
    stop.set()
    expect_nothing_lost_or_doubled(people, 30)
    assert all(writer.acknowledged for writer in people)


def test_nginx_passes_on_what_the_desk_answers_and_hides_what_is_inside(replicas: Replicas) -> None:
    person = replicas.person()
    answer = person.post("x" * 70_000 + " " + CRISIS)
    assert answer.status_code == 413
    assert answer.json()["replies"]
    assert person.post(CRISIS).json()["replies"][0]["card"]
    for inside in ("/metrics", "/readyz"):
        assert httpx.get(replicas.url + inside, trust_env=False).status_code == 404
    assert httpx.get(f"{replicas.url}/console/sign-in", trust_env=False).status_code == 200
    assert httpx.get(f"{replicas.address('desk-1')}/console/sign-in", trust_env=False).status_code == 404


@pytest.mark.soak
def test_two_of_everything_with_real_rasas_under_kills(postgres_server: str, tmp_path: Path) -> None:
    """Rasas, actions, desks and consoles all real: each killed in turn under load, then a rolling restart."""
    limits = {"messages_per_minute": 100_000, "conversations_per_minute": 100_000}
    with fresh_postgres(postgres_server) as url:
        running = Replicas(tmp_path / "two", url, **limits).begin()
        try:
            stop = threading.Event()
            people = [Writer(running.url, stop, seed) for seed in range(6)]
            for writer in people:
                writer.start()
            for name in ("rasa-1", "actions-1", "desk-1", "console-1", "rasa-2", "actions-2", "desk-2", "console-2"):
                running.end(name, signal.SIGKILL)
                with ThreadPoolExecutor(3) as pool:
                    for person in [running.person() for _ in range(3)]:
                        replies = pool.submit(person.say, "what happens in detox").result()
                        assert not any(str(reply["item"]).startswith("system/") for reply in replies), (name, replies)
                running.start(name)
            for kind in ("desk", "console", "actions", "rasa"):
                running.restart(kind)
            stop.set()
            expect_nothing_lost_or_doubled(people)
        finally:
            running.stop()

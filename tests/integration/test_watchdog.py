"""A flag nobody takes: the person is told honestly, the owner until somebody knows of it. Both databases."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bot.desk.clock import Clock
from bot.errors import SettingsError
from bot.settings import read_settings
from tests.conftest import fresh_postgres
from tests.counselors import CRISIS, make
from tests.fakes import FakeHook, FakeMail, FakeRasa, FakeTwilio, MovedClock, run_async, wait_until
from tests.phone import Phone, settings_for
from tests.stack import DeskThread, Person, free_port

SECRET = "a-secret-of-the-owner-for-tests-0"
ALWAYS = {"staffed_hours": "24/7"}
NEVER = {"staffed_hours": ""}


@pytest.fixture
def hook() -> Iterator[FakeHook]:
    hook = FakeHook(free_port())
    yield hook
    hook.stop()


@pytest.fixture(scope="module", autouse=True)
def _quiet() -> Iterator[None]:
    """Let no desk here look by itself: `look` below does the looking."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bot.desk.watchdog.LOOK_SECONDS", 86_400.0)
        yield


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeskThread]:
    """One staffed desk a kind of database, whose owner has a webhook."""
    home = tmp_path_factory.mktemp("watchdog")
    with ExitStack() as stack:
        url = f"sqlite:///{home / 'handrail.db'}"
        if request.param == "postgresql":
            url = stack.enter_context(fresh_postgres(request.getfixturevalue("postgres_server")))
        rasa, hook, clock = FakeRasa(free_port()), FakeHook(free_port()), MovedClock()
        stack.callback(rasa.stop)
        stack.callback(hook.stop)

        def start(**settings: object) -> DeskThread:
            return DeskThread(clock, home=home, rasa_url=rasa.url, store_timeout_seconds=10, **settings)

        desk = started(start, hook, url, **ALWAYS)
        stack.callback(desk.stop)
        desk.rasa, desk.hook, desk.clock = rasa, hook, clock
        yield desk


@pytest.fixture
def desk(running: DeskThread) -> DeskThread:
    """The running desk with nobody waiting; its Rasa, webhook and clock are `rasa`, `hook` and `clock`."""
    running.parts.database.call(lambda s: s.connection().exec_driver_sql("update flags set state = 'closed'"))
    running.hook.got.clear()
    running.hook.status, running.clock.moved = 204, timedelta()
    running.rasa.reset()
    return running


def started(start: Callable[..., DeskThread], hook: FakeHook, url: str, **settings: object) -> DeskThread:
    desk = start(database_url=url, owner_webhook_url=hook.url, owner_webhook_secret=SECRET, **settings)
    desk.wait_for_record()
    desk.look = desk.parts.watchdog.look
    return desk


def look(*desks: DeskThread) -> None:
    async def work() -> None:
        for desk in desks:
            await desk.look()
        for desk in desks:
            await desk.parts.watchdog.settled()

    run_async(work())


def in_crisis(desk: DeskThread) -> Person:
    person = desk.person()
    assert person.say(CRISIS)[0]["card"]
    return person


def notices(person: Person) -> list[str]:
    items = [message["item"] or "" for message in person.record()]
    return [item for item in items if item.startswith("people/")]


def test_the_person_is_told_once_it_is_due_and_at_most_as_set(desk: DeskThread) -> None:
    clock = desk.clock
    person = in_crisis(desk)
    look(desk)
    clock.moved = timedelta(seconds=290)
    look(desk)
    assert notices(person) == []
    clock.moved = timedelta(seconds=301)
    for _ in range(3):
        look(desk)
    assert notices(person) == ["people/nobody-yet"]
    shown = person.record()[-1]
    assert "988" in shown["text"]
    for minutes in (34, 36, 70, 200, 900):
        clock.moved = timedelta(minutes=minutes)
        look(desk)
    assert notices(person) == ["people/nobody-yet"] * 2


def test_outside_hours_the_person_is_told_as_soon_as_the_card_is_read(
    start_desk: Callable[..., DeskThread], hook: FakeHook, tmp_path: Path, clock: MovedClock, fake_rasa: FakeRasa
) -> None:
    desk = started(start_desk, hook, f"sqlite:///{tmp_path / 'a.db'}", **NEVER)
    person = in_crisis(desk)
    look(desk)
    assert notices(person) == []
    assert len(hook.got) == 1, "the owner at once"
    clock.moved = timedelta(seconds=21)
    look(desk)
    assert notices(person) == ["people/nobody-on-duty"]
    fake_rasa.answer = {"references": ["counselor_requested"], "effects": [{"name": "request_counselor"}]}
    other = desk.person("es")
    other.say("una persona por favor")
    clock.moved = timedelta(minutes=10)
    look(desk)
    assert notices(other) == ["people/not-staffed"], "the answer to the request said it"
    clock.moved = timedelta(minutes=32)
    look(desk)
    assert notices(other) == ["people/not-staffed"] * 2


def test_no_after_a_notice_still_answers_the_cards_question(desk: DeskThread) -> None:
    clock, fake_rasa = desk.clock, desk.rasa
    person = in_crisis(desk)
    clock.moved = timedelta(seconds=301)
    look(desk)
    fake_rasa.answer = {"references": ["menu"], "intent": "deny"}
    assert person.say("no")[0]["item"] == "system/not-safe"


def test_claiming_ends_it_and_a_release_begins_it_anew(desk: DeskThread) -> None:
    clock, hook = desk.clock, desk.hook
    person, counselor = in_crisis(desk), make(desk, "kim").sign_in()
    clock.moved = timedelta(seconds=301)
    look(desk)
    assert len(hook.got) == 1
    counselor.act(person, "claim")
    clock.moved = timedelta(minutes=9)
    look(desk)
    assert len(hook.got) == 1
    counselor.act(person, "hand-back")
    look(desk)
    assert len(hook.got) == 1
    clock.moved = timedelta(minutes=15)
    look(desk)
    assert len(hook.got) == 2
    assert notices(person).count("people/nobody-yet") == 2
    counselor.act(person, "close", outcome="reached")
    clock.moved = timedelta(minutes=40)
    look(desk)
    assert len(hook.got) == 2


def test_the_webhook_is_signed_and_says_nothing_of_the_person(desk: DeskThread) -> None:
    clock, hook = desk.clock, desk.hook
    person = in_crisis(desk)
    clock.moved = timedelta(seconds=301)
    look(desk)
    headers, body = hook.got[0]
    given = dict(part.split("=") for part in headers["handrail-signature"].split(","))
    assert given["v1"] == hmac.new(SECRET.encode(), f"{given['t']}.".encode() + body, hashlib.sha256).hexdigest()
    said = json.loads(body)
    assert said.keys() == {"id", "flag", "kind", "category", "waiting_seconds", "url"}
    assert (said["kind"], said["category"]) == ("crisis", "suicide")
    assert 300 <= said["waiting_seconds"] <= 330
    assert said["url"] == f"{desk.url}/console/flags/{said['flag']}"
    assert CRISIS.encode() not in body
    assert person.conversation.encode() not in body


def test_the_owner_is_told_again_until_acknowledged_and_after_new_danger(desk: DeskThread) -> None:
    clock, hook = desk.clock, desk.hook
    person, counselor = in_crisis(desk), make(desk, "sam").sign_in()
    for minutes, times in ((6, 1), (12, 1), (17, 2), (28, 3)):
        clock.moved = timedelta(minutes=minutes)
        look(desk)
        assert len(hook.got) == times, minutes
    assert [json.loads(body)["id"].partition("-")[2] for _, body in hook.got] == ["1", "2", "3"]
    flag = json.loads(hook.got[0][1])["flag"]
    page = counselor.client.get(f"/console/flags/{flag}").text
    assert "The owner was told by webhook" in page
    assert CRISIS not in page
    assert counselor.do(f"/flags/{flag}/acknowledge").status_code == 303
    assert "Acknowledged by Sam" in counselor.client.get("/console/flags").text
    clock.moved = timedelta(minutes=50)
    look(desk)
    assert len(hook.got) == 3
    person.say(CRISIS)
    clock.moved = timedelta(minutes=54)
    look(desk)
    assert len(hook.got) == 3
    clock.moved = timedelta(minutes=56)
    look(desk)
    assert len(hook.got) == 4
    assert desk.parts.takeover.audit.verify(desk.parts.database)[1] is None
    counselor.act(person, "close", outcome="not_a_crisis")
    assert counselor.do(f"/flags/{flag}/acknowledge").status_code == 409


def test_a_failing_webhook_is_tried_again_and_does_not_hold_up_the_person(desk: DeskThread) -> None:
    clock, hook = desk.clock, desk.hook
    person = in_crisis(desk)
    hook.status = 500
    clock.moved = timedelta(seconds=301)
    look(desk)
    assert notices(person) == ["people/nobody-yet"]
    assert len(hook.got) == 1
    look(desk)
    assert len(hook.got) == 1, "it rests first"
    clock.moved = timedelta(seconds=307)
    hook.status = 204
    look(desk)
    clock.moved = timedelta(seconds=400)
    look(desk)
    ids = [json.loads(body)["id"] for _, body in hook.got]
    assert len(ids) == 2
    assert len(set(ids)) == 1, "the same notice, known by its id"


def test_many_desks_at_one_database_tell_once(
    start_desk: Callable[..., DeskThread], hook: FakeHook, postgres_url: str, tmp_path: Path, clock: MovedClock
) -> None:
    desks = [started(start_desk, hook, postgres_url, store_timeout_seconds=30, **ALWAYS) for _ in range(3)]
    people = [in_crisis(desks[0]) for _ in range(4)]
    clock.moved = timedelta(seconds=301)

    async def work() -> None:
        import asyncio

        await asyncio.gather(*(desk.look() for desk in desks * 2))
        for desk in desks:
            await desk.parts.watchdog.settled()

    run_async(work())
    assert [notices(person) for person in people] == [["people/nobody-yet"]] * 4
    assert len(hook.got) == 4


def test_a_notice_taken_by_a_desk_that_dies_is_sent_by_another_when_the_lease_is_over(desk: DeskThread) -> None:
    clock, hook = desk.clock, desk.hook
    from bot.desk.watchdog import LEASE

    in_crisis(desk)
    clock.moved = timedelta(seconds=301)
    now = clock.now()
    waiting = run_async(desk.parts.watch.waiting(now))[0]
    assert run_async(desk.parts.watch.take(waiting, "webhook", now, LEASE)) is not None  # and then it is killed
    look(desk)
    assert hook.got == []
    clock.moved += LEASE / 2
    look(desk)
    assert hook.got == []
    clock.moved += LEASE / 2 + timedelta(seconds=1)
    look(desk)
    assert len(hook.got) == 1


@pytest.mark.soak
def test_a_desk_killed_while_the_owner_is_told_leaves_the_notice_to_the_next_one(
    start_desk: Callable[..., DeskThread], hook: FakeHook, tmp_path: Path, clock: MovedClock, fake_rasa: FakeRasa
) -> None:
    from bot.desk.watchdog import LEASE

    url, home = f"sqlite:///{tmp_path / 'killed.db'}", tmp_path / "home"
    desk = started(start_desk, hook, url, **ALWAYS)
    in_crisis(desk)
    given = {"home": home, "database_url": url, "owner_webhook_url": hook.url, "owner_webhook_secret": SECRET}
    given |= {"unclaimed_seconds": 0.1, "rasa_url": fake_rasa.url, "port": free_port(), **ALWAYS}
    environment = os.environ | {f"HANDRAIL_{name.upper()}": str(value) for name, value in given.items()}
    hook.gate.clear()  # the notice arrives, and its answer does not
    command = [str(Path(sys.executable).parent / "handrail"), "serve", "desk"]
    doomed = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: hook.got, "the owner was not told", 60)
    finally:
        doomed.kill()
        doomed.wait()
    hook.gate.set()
    clock.moved = timedelta(seconds=301) + LEASE
    look(desk)
    look(desk)
    ids = [json.loads(body)["id"] for _, body in hook.got]
    assert len(ids) == 2, "told again, once"
    assert len(set(ids)) == 1, "and known as the same notice"


def test_notices_go_with_their_flag(desk: DeskThread) -> None:
    person, counselor = in_crisis(desk), make(desk, "alex").sign_in()
    desk.clock.moved = timedelta(seconds=301)
    look(desk)
    counselor.act(person, "close", outcome="not_a_crisis")
    person.client.delete("/api/me", headers=person.headers)
    query = (
        "select count(*) from notices left join flags on flags.id = notices.flag_id "
        f"where flags.id is null or flags.conversation_id = '{person.conversation}'"
    )
    assert desk.parts.database.call(lambda s: s.connection().exec_driver_sql(query).scalar()) == 0


def test_an_erased_conversation_still_calls_the_owner(desk: DeskThread) -> None:
    clock, hook = desk.clock, desk.hook
    person = in_crisis(desk)
    person.client.delete("/api/me", headers=person.headers)
    clock.moved = timedelta(seconds=301)
    look(desk)
    assert len(hook.got) == 1
    assert json.loads(hook.got[0][1])["category"] is None


# E-mail


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """A certificate for localhost that this process trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    crt, pem = tmp_path / "server.crt", tmp_path / "server.key"
    crt.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(crt))
    return str(crt), str(pem)


def mailing(start: Callable[..., DeskThread], mail: FakeMail, tmp_path: Path, **settings: object) -> DeskThread:
    given = {"owner_email": "duty@example.org", "smtp_from": "handrail@example.org", "smtp_host": "localhost"}
    desk = start(database_url=f"sqlite:///{tmp_path / 'mail.db'}", smtp_port=mail.port, **given, **ALWAYS, **settings)
    desk.wait_for_record()
    desk.look = desk.parts.watchdog.look
    return desk


def test_the_owner_gets_an_encrypted_mail_without_words(
    start_desk: Callable[..., DeskThread], tmp_path: Path, clock: MovedClock, certificate: tuple[str, str]
) -> None:
    mail = FakeMail(certificate)
    desk = mailing(start_desk, mail, tmp_path, smtp_user="handrail", smtp_password="a-password")
    person = in_crisis(desk)
    clock.moved = timedelta(seconds=301)
    look(desk)
    look(desk)
    assert [(signed_in, encrypted) for signed_in, encrypted, _ in mail.got] == [(True, True)]
    message = message_from_bytes(mail.got[0][2])
    assert message["To"] == "duty@example.org"
    assert message["Subject"] == "Handrail: flag 1 waits, 5 min, nobody has taken it"
    assert message["Message-ID"] == "<flag-1-1@example.org>"
    assert f"{desk.url}/console/flags/1" in message.get_payload()
    assert CRISIS not in str(message)
    assert person.conversation not in str(message)
    mail.stop()


def test_a_mail_server_that_refuses_or_cannot_encrypt_is_tried_again(
    start_desk: Callable[..., DeskThread], tmp_path: Path, clock: MovedClock
) -> None:
    mail = FakeMail()
    desk = mailing(start_desk, mail, tmp_path)
    in_crisis(desk)
    clock.moved = timedelta(seconds=301)
    look(desk)
    assert mail.got == [], "without STARTTLS nothing leaves in the clear"
    mail.stop()
    plain = FakeMail()
    plain.refuses = True
    other = mailing(start_desk, plain, tmp_path, smtp_security="none")
    clock.moved += timedelta(seconds=6)
    look(other)
    assert plain.got == []
    plain.refuses = False
    clock.moved += timedelta(seconds=11)
    look(other)
    assert len(plain.got) == 1
    plain.stop()


@pytest.mark.parametrize("name", ["OWNER_WEBHOOK_URL", "OWNER_EMAIL"])
def test_half_a_way_to_the_owner_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    value = "https://pager.example.org/" if name.endswith("URL") else "duty@example.org"
    monkeypatch.setenv(f"HANDRAIL_{name}", value)
    with pytest.raises(SettingsError, match=f"HANDRAIL_{name} needs"):
        read_settings()


# With real clocks, on the web and by SMS


def test_with_real_clocks_web_and_phone_are_told_and_the_owner_once(
    tmp_path: Path, fake_rasa: FakeRasa, hook: FakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.desk.watchdog.LOOK_SECONDS", 1.0)
    twilio = FakeTwilio(free_port())
    desk = DeskThread(
        Clock(),
        home=tmp_path / "home",
        rasa_url=fake_rasa.url,
        unclaimed_seconds=1.5,
        owner_webhook_url=hook.url,
        owner_webhook_secret=SECRET,
        **ALWAYS,
        **(settings_for(twilio) | {"unclaimed_notices": 2}),
    )
    try:
        desk.wait_for_record()
        person, phone, hurt = desk.person(), Phone(desk), Phone(desk)
        at = datetime.now(UTC)
        person.say(CRISIS)
        assert "988" in phone.text(CRISIS)[0]
        assert "Text" in " ".join(hurt.text("my husband hits me and i am scared of him tonight"))
        told = next(each for each in person.stream(timeout_seconds=20) if each["item"] == "people/nobody-yet")
        assert (datetime.now(UTC) - at).total_seconds() < 15
        assert told["in_reply_to"] is None
        sent = wait_until(lambda: [b for b in twilio.bodies(phone.number) if "No counselor has joined" in b], "no text")
        assert len(sent) == 1
        wait_until(lambda: len(hook.got) == 3, "the owner was not told of each")
        assert not [body for body in twilio.bodies(hurt.number) if "No counselor" in body]
        wait_until(lambda: not desk.parts.watchdog._sending, "a notice is still under way")
        assert len(hook.got) == 3
    finally:
        desk.stop()
        twilio.stop()

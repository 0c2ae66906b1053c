"""The console over real HTTP: who gets in, who may do what, taking over, handing back, the audit."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import pyotp
import pytest
from typer.testing import CliRunner

from bot.cli import app
from bot.console.auth import (
    Credentials,
    check_name,
    check_password,
    hash_session,
    lock_seconds,
)
from bot.errors import AccountError
from tests.counselors import CRISIS, GIVEN, HASHES, Counselor, in_crisis, make
from tests.fakes import FakeRasa, MovedClock, run_async, wait_until
from tests.stack import DeskThread, Person, free_port

OTHER_CRISIS = "my friend overdosed and won't wake up"


NUMBERS = iter(range(10_000))


def new(desk: DeskThread, role: str = "counselor") -> Counselor:
    return make(desk, f"{role}{next(NUMBERS)}", role).sign_in()


@pytest.fixture
def desk(shared_desk: DeskThread) -> Iterator[DeskThread]:
    shared_desk.rasa.reset()
    clock = shared_desk.parts.desk._clock
    before = clock.moved
    yield shared_desk
    clock.moved = before


def flags(desk: DeskThread, person: Person, columns: str) -> list[tuple]:
    query = f"select {columns} from flags where conversation_id = '{person.conversation}' order by kind, id"
    found = desk.parts.database.call(lambda session: session.connection().exec_driver_sql(query).all())
    return [tuple(row) for row in found]


def said(person: Person) -> list[tuple[str, str]]:
    return [(message["author"], message["item"] or message["text"]) for message in person.record()]


def last_item(person: Person) -> str:
    return str(person.record()[-1]["item"])


# Getting in


def test_every_route_for_every_role_and_for_nobody(desk: DeskThread) -> None:
    door = desk.app.state.console.state.door
    roles = {role: new(desk, role) for role in ("counselor", "lead", "auditor")}
    nobody = httpx.Client(base_url=desk.url, trust_env=False)
    assert len(door.declared) > 15
    for method, path, allowed in door.declared:
        url = "/console" + path.replace("{conversation}", "0" * 36).replace("{name}", "console.css").replace(
            "{flag}", "0"
        )
        for role, counselor in roles.items():
            if method == "POST" and path in ("/sign-out", "/sign-in"):
                continue
            form = {"csrf": counselor.csrf} if method == "POST" else None
            with counselor.client.stream(method, url, data=form) as answer:
                denied = answer.status_code == 403
            assert denied == (bool(allowed) and role not in allowed), f"{method} {path} as {role}: {answer.status_code}"
        if allowed:
            assert nobody.request(method, url).status_code == 401, f"{method} {path} without a session"
            page = nobody.request(method, url, headers={"accept": "text/html"})
            assert page.status_code in (401, 303)
            assert page.headers.get("location", "/console/sign-in") == "/console/sign-in"
    for path in ("/console/nothing", "/console/static/../routes.py", "/console/static/..%2froutes.py"):
        assert roles["lead"].client.get(path).status_code == 404


def test_the_roles_are_as_agreed(desk: DeskThread) -> None:
    declared = {path: (method, allowed) for method, path, allowed in desk.app.state.console.state.door.declared}
    public = {path for path, (_, allowed) in declared.items() if not allowed}
    assert public == {"/static/{name}", "/sign-in"}
    of_all = {path for path, (_, allowed) in declared.items() if allowed == {"counselor", "lead", "auditor"}}
    assert of_all == {"/", "/sign-out", "/alive", "/account"}
    assert {path for path, (_, allowed) in declared.items() if allowed == {"auditor"}} == set()
    of_oversight = {path for path, (_, allowed) in declared.items() if allowed == {"lead", "auditor"}}
    assert of_oversight == {"/audit", "/reports", "/reports/file"}
    of_leads = {path for path, (_, allowed) in declared.items() if allowed == {"lead"}}
    here = "/conversations/{conversation}"
    assert of_leads == {"/accounts", f"{here}/end-contact"} | {
        "/misses",
        "/misses/sample",
        "/misses/mark",
    }
    rest = declared.keys() - public - of_all - of_leads - of_oversight
    assert all(declared[path][1] == {"counselor", "lead"} for path in rest)
    assert rest == {"/events", here, "/flags", "/flags/{flag}", "/flags/{flag}/acknowledge"} | {
        f"{here}/{action}"
        for action in (
            "events",
            "claim",
            "reply",
            "typing",
            "reviewed",
            "hand-back",
            "close",
            "transfer",
            "reveal",
            "export",
            "follow-up",
        )
    } | {"/follow-ups", "/follow-ups/{follow_up}/send", "/follow-ups/{follow_up}/cancel"}


def test_every_route_is_declared(desk: DeskThread) -> None:
    console = desk.app.state.console
    served = {
        (method, route.path)
        for route in console.routes
        for method in route.methods
        if method not in ("HEAD", "OPTIONS")
    }
    assert served == {(method, path) for method, path, _ in console.state.door.declared}


def test_every_form_needs_its_own_token(desk: DeskThread) -> None:
    one, other = new(desk), new(desk)
    posts = [path for method, path, allowed in desk.app.state.console.state.door.declared if method == "POST"]
    for path in posts:
        url = "/console" + path.replace("{conversation}", "0" * 36).replace("{flag}", "0").replace("{follow_up}", "0")
        for form in ({}, {"csrf": ""}, {"csrf": other.csrf}, {"csrf": "x" * 43}):
            answer = one.client.post(url, data=form)
            assert answer.status_code == 403, f"{path} {form}"
    assert one.client.get("/console/account").status_code == 200
    elsewhere = [{"origin": "https://evil.example"}, {"origin": "null"}]
    elsewhere += [{"origin": "null", "sec-fetch-site": site} for site in ("cross-site", "same-site", "none")]
    for headers in elsewhere:
        assert one.client.post("/console/alive", data={"csrf": one.csrf}, headers=headers).status_code == 403, headers
    for headers in ({}, {"origin": desk.url}, {"origin": "null", "sec-fetch-site": "same-origin"}):
        assert one.client.post("/console/alive", data={"csrf": one.csrf}, headers=headers).status_code == 204, headers


def test_signing_in_gives_a_new_session(desk: DeskThread) -> None:
    counselor = make(desk, f"fixed{next(NUMBERS)}")
    counselor.client.cookies.set("handrail_console", "planted", path="/console", domain="127.0.0.1")
    counselor.sign_in()
    cookies = {cookie.value for cookie in counselor.client.cookies.jar if cookie.name == "handrail_console"}
    attacker = httpx.Client(base_url=desk.url, trust_env=False, cookies={"handrail_console": "planted"})
    assert attacker.get("/console/").status_code == 401
    query = "select id_hash from sessions"
    stored = {row[0] for row in desk.parts.database.call(lambda s: s.connection().exec_driver_sql(query).all())}
    real = cookies - {"planted"}
    assert {hash_session(value) for value in real} <= stored
    assert not (real & stored), "the id itself is stored"


def test_cookies_are_kept_from_scripts_and_other_sites(desk: DeskThread) -> None:
    counselor = make(desk, f"cookie{next(NUMBERS)}")
    plain = counselor.try_sign_in()
    assert plain.status_code == 303
    for cookie in plain.headers.get_list("set-cookie"):
        assert {"HttpOnly", "SameSite=strict", "Path=/console"} <= set(cookie.split("; "))
    for headers in ({"x-forwarded-proto": "https"}, {"host": "handrail.example.org"}):
        page = httpx.get(f"{desk.url}/console/sign-in", headers=headers, trust_env=False)
        assert "Secure" in page.headers["set-cookie"], headers
    assert "Secure" not in plain.headers["set-cookie"]
    page = counselor.client.get("/console/")
    assert page.headers["cache-control"] == "no-store"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script(?![^>]*\bsrc=)|\sstyle=|\son\w+=|<style|https?://", page.text)


def test_every_refused_sign_in_looks_the_same(desk: DeskThread) -> None:
    counselor = make(desk, f"same{next(NUMBERS)}")
    wrong = [
        counselor.try_sign_in(password="not the password"),
        counselor.try_sign_in(code="000000"),
        counselor.try_sign_in(name="nobody-of-this-name"),
    ]
    bodies = {re.sub(r'value="[^"]*"', "", answer.text) for answer in wrong}
    assert [answer.status_code for answer in wrong] == [401, 401, 401]
    assert len(bodies) == 1
    forget_address(desk)


def test_a_code_works_once(desk: DeskThread) -> None:
    counselor = make(desk, f"once{next(NUMBERS)}")
    code = counselor.code()
    assert counselor.try_sign_in(code=code).status_code == 303
    again = Counselor(desk, counselor.name, counselor.given)
    assert again.try_sign_in(code=code).status_code == 401
    desk.parts.desk._clock.moved += timedelta(seconds=31)
    assert again.try_sign_in().status_code == 303
    forget_address(desk)


def test_one_code_at_once_opens_one_session(desk: DeskThread) -> None:
    counselor = make(desk, f"burst{next(NUMBERS)}")
    code = counselor.code()
    with ThreadPoolExecutor(4) as pool:
        tries = [Counselor(desk, counselor.name, counselor.given) for _ in range(4)]
        answers = list(pool.map(lambda each: each.try_sign_in(code=code).status_code, tries))
    assert sorted(answers) == [303, 401, 401, 401]
    forget_address(desk)


def forget_address(desk: DeskThread) -> None:
    """Let the tests after this one sign in from this address again."""
    addresses(desk)._failures.clear()


def addresses(desk: DeskThread):  # type: ignore[no-untyped-def]
    return desk.app.state.console.state.door._auth._addresses


def test_guessing_locks_the_account_for_longer_and_longer(desk: DeskThread) -> None:
    counselor = make(desk, f"guess{next(NUMBERS)}")
    for _ in range(5):
        assert counselor.try_sign_in(password="wrong wrong wrong").status_code == 401
        forget_address(desk)
    assert counselor.try_sign_in().status_code == 401, "locked: even the right one is refused"
    forget_address(desk)
    desk.parts.desk._clock.moved += timedelta(seconds=31)
    assert counselor.try_sign_in().status_code == 303
    assert [lock_seconds(n) for n in (4, 5, 6, 7, 11, 99)] == [0, 15, 30, 60, 900, 900]


def test_many_guesses_at_once_lock_as_many_one_after_the_other_do(desk: DeskThread) -> None:
    counselor = make(desk, f"swarm{next(NUMBERS)}")
    tries = [Counselor(desk, counselor.name, counselor.given) for _ in range(12)]
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda each: each.try_sign_in(code="000000"), tries))
    assert addresses(desk).is_locked("127.0.0.1")
    forget_address(desk)
    assert counselor.try_sign_in().status_code == 401, "the account is locked too"
    forget_address(desk)


def test_who_guessed_right_while_the_account_was_being_locked_stays_out(desk: DeskThread) -> None:
    counselor, now = make(desk, f"late{next(NUMBERS)}"), desk.parts.desk.now()
    accounts, database = desk.parts.accounts, desk.parts.database
    account = database.call(lambda session: accounts.find(session, counselor.name))
    for _ in range(5):
        database.call(lambda session: accounts.note_failure(session, account.id, lock_seconds, now))
    assert not database.call(lambda session: accounts.sign_in(session, account.id, 2**30, "hash", "csrf", now))


def test_guessing_many_names_locks_the_address(desk: DeskThread) -> None:
    counselor = make(desk, f"address{next(NUMBERS)}")
    for number in range(5):
        assert counselor.try_sign_in(name=f"guess-{number}").status_code == 401
    assert addresses(desk).is_locked("127.0.0.1")
    assert counselor.try_sign_in().status_code == 401
    forget_address(desk)
    assert counselor.try_sign_in().status_code == 303


def test_a_session_ends_when_idle_and_after_twelve_hours(desk: DeskThread) -> None:
    clock = desk.parts.desk._clock
    idle, busy = new(desk), new(desk)
    for _ in range(26):
        clock.moved += timedelta(minutes=28)
        live = busy.client.get("/console/").status_code
        if live != 200:
            break
    assert live == 303, "twelve hours are over"
    assert clock.moved >= timedelta(hours=11, minutes=50)
    assert idle.client.get("/console/").status_code == 303
    clock.moved = timedelta()
    fresh = new(desk)
    clock.moved += timedelta(minutes=31)
    assert fresh.client.get("/console/").status_code == 303


def test_signing_out_ends_the_session_on_the_server(desk: DeskThread) -> None:
    counselor = new(desk)
    stolen = httpx.Client(base_url=desk.url, trust_env=False, cookies={"handrail_console": counselor.cookie})
    assert stolen.get("/console/").status_code == 200
    counselor.do("/sign-out")
    assert stolen.get("/console/").status_code == 401


def test_a_reset_ends_every_session(desk: DeskThread) -> None:
    counselor, accounts = new(desk), desk.parts.accounts
    now, hashed = desk.parts.desk.now(), HASHES[GIVEN.password]
    accounts.database.call(lambda s: accounts.reset(s, counselor.name, hashed, pyotp.random_base32(), now))
    assert counselor.client.get("/console/").status_code == 303
    other = new(desk)
    accounts.database.call(lambda s: accounts.disable(s, other.name, now))
    assert other.client.get("/console/").status_code == 303
    assert Counselor(desk, other.name, other.given).try_sign_in().status_code == 401
    forget_address(desk)


def test_changing_the_password_keeps_the_policy(desk: DeskThread) -> None:
    counselor = new(desk)
    assert counselor.do("/account", old="wrong", new="a fine new password").status_code == 422
    assert counselor.do("/account", old=GIVEN.password, new="short").status_code == 422
    other = Counselor(desk, counselor.name, counselor.given)
    desk.parts.desk._clock.moved += timedelta(seconds=31)
    other.sign_in()
    assert counselor.do("/account", old=GIVEN.password, new="a fine new password").status_code == 200
    assert counselor.client.get("/console/").status_code == 200
    assert other.client.get("/console/").status_code == 303


@pytest.mark.parametrize("password", ["short", "maria-is-here-1", "MARIA maria Maria", "aaaaaaaaaaaaaa", "x" * 201])
def test_the_policy_refuses(password: str) -> None:
    with pytest.raises(AccountError):
        check_password(password, "maria")


def test_names_are_plain() -> None:
    check_name("maria.g-2")
    for name in ("", "a", "Maria", "a b", "x" * 41, "-x", "<b>"):
        with pytest.raises(AccountError):
            check_name(name)


# The queue


def test_a_crisis_comes_before_a_request_and_then_who_waited_longest(desk: DeskThread) -> None:
    counselor, clock = new(desk), desk.parts.desk._clock
    desk.rasa.answer = {"references": ["counselor_requested"], "effects": [{"name": "request_counselor"}]}
    asked = desk.person("es")
    asked.say("una persona por favor")
    first = in_crisis(desk)
    clock.moved += timedelta(seconds=130)
    second = in_crisis(desk)
    page = counselor.queue
    places = [page.index(f'data-id="{person.conversation}"') for person in (first, second, asked)]
    assert places == sorted(places)
    row = page[places[0] : places[1]]
    assert "Suicide" in row
    assert "amber" in row
    assert "Spanish" in page[places[2] :]
    clock.moved += timedelta(seconds=200)
    page = counselor.queue
    assert 'class="clock red"' in page[page.index(f'data-id="{first.conversation}"') :]


def test_the_stream_begins_with_a_snapshot_and_tells_of_a_crisis_by_a_hint(
    desk: DeskThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.console.streams.BEAT_SECONDS", 60.0)
    counselor = new(desk)
    before = in_crisis(desk)
    with counselor.client.stream("GET", "/console/events") as stream:
        lines = stream.iter_lines()
        assert before.conversation in next(line for line in lines if "html" in line)
        now = in_crisis(desk)
        at = desk.parts.desk.now()
        next(line for line in lines if now.conversation in line)
        assert (desk.parts.desk.now() - at).total_seconds() < 10, "it is looked at after a minute: a hint came"
    counselor.do("/sign-out")


def test_a_stream_ends_with_its_session(desk: DeskThread) -> None:
    counselor = new(desk)
    with counselor.client.stream("GET", "/console/events") as stream:
        lines = stream.iter_lines()
        next(lines)
        desk.parts.desk._clock.moved += timedelta(minutes=31)
        assert "event: signed_out" in list(lines)


def test_a_conversation_without_an_open_flag_is_nobodys_to_read(desk: DeskThread) -> None:
    counselor, person = new(desk), desk.person()
    person.say("hello")
    assert counselor.read(person).status_code == 404
    assert counselor.client.get(f"/console/conversations/{person.conversation}/events").status_code == 404
    assert counselor.act(person, "claim").status_code == 404
    assert person.record()[-1]["author"] == "bot"


def test_the_words_that_raised_the_flag_are_marked_on_the_persons_own_text(desk: DeskThread) -> None:
    person = desk.person()
    person.post(f"My dog is <b>fine</b>. {CRISIS}. How are you?")
    counselor = new(desk)
    heard = re.compile(r"&lt;b&gt;fine&lt;/b&gt;\. i <mark>don&#39;t want to be alive</mark> anymore\. How are you\?")
    assert heard.search(counselor.read(person).text)
    with counselor.client.stream("GET", f"/console/conversations/{person.conversation}/events?after=0") as stream:
        data = next(line for line in stream.iter_lines() if "How are you" in line)
    assert heard.search(json.loads(data.removeprefix("data: "))["html"])
    assert "heard" not in json.dumps(person.record()), "the person is not shown what the guard made of it"
    person.post("thank you")
    assert counselor.read(person).text.count("<mark>") == 1


def test_hostile_words_are_only_words_in_the_console(desk: DeskThread) -> None:
    hostile = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'{{7*7}} i want to kill myself"
    person = desk.person()
    person.post(hostile)
    counselor = new(desk)
    counselor.act(person, "claim")
    counselor.act(person, "reply", text="<b onclick=x>bold</b>")
    page = counselor.read(person).text
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "<b onclick" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "{{7*7}}" in page
    assert "alert(1)" not in counselor.queue
    with counselor.client.stream("GET", f"/console/conversations/{person.conversation}/events?after=0") as stream:
        data = next(line for line in stream.iter_lines() if "kill myself" in line)
    assert "<script>" not in data
    assert person.record()[-1]["text"] == "<b onclick=x>bold</b>"
    assert person.record()[-1]["html"] is None


# Taking over


def test_of_twenty_claims_at_once_one_wins_and_the_others_are_told_who(desk: DeskThread) -> None:
    person = in_crisis(desk)
    counselors = [new(desk) for _ in range(20)]
    tokens = [counselor.csrf for counselor in counselors]

    def claim(place: int) -> httpx.Response:
        url = f"/console/conversations/{person.conversation}/claim"
        return counselors[place].client.post(url, data={"csrf": tokens[place]}, timeout=30)

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(claim, range(20)))
    winners = [place for place, answer in enumerate(answers) if answer.status_code == 303]
    assert len(winners) == 1, [answer.status_code for answer in answers]
    winner = counselors[winners[0]]
    for place, answer in enumerate(answers):
        if place not in winners:
            assert answer.status_code == 409
            assert f"{winner.name.title()} has this conversation" in answer.text
    joined = [item for _, item in said(person) if item == "people/counselor-joined"]
    assert len(joined) == 1
    assert f"With {winner.name.title()}" in counselors[(winners[0] + 1) % 20].queue


def test_a_reply_reaches_the_person_once_and_the_bot_is_quiet(desk: DeskThread) -> None:
    counselor, person = new(desk), in_crisis(desk)
    assert counselor.act(person, "claim").status_code == 303
    client_id = "11111111-2222-3333-4444-555555555555"
    for _ in range(2):
        assert counselor.act(person, "reply", text="I am Sam. I am here.", client_id=client_id).status_code == 303
    shown = next(m for m in person.stream() if m["author"] == "counselor")
    assert shown["text"] == "I am Sam. I am here."
    turns = len(desk.rasa.turns)
    person.post("thank you")
    assert [author for author, _ in said(person)][-3:] == ["bot", "counselor", "person"]
    assert len(desk.rasa.turns) == turns
    assert "thank you" in counselor.read(person).text


def test_a_reviewed_text_goes_out_as_it_was_reviewed_in_the_persons_language(desk: DeskThread) -> None:
    counselor, person = new(desk), desk.person("es")
    person.say("ya no quiero vivir")
    counselor.act(person, "claim")
    assert counselor.act(person, "reviewed", item="coping/step-away").status_code == 303
    library = desk.parts.library
    item = library.resolve("coping/step-away", language="es", channel="web")
    assert person.record()[-1]["text"] == library.render(item, channel="web").text
    assert person.record()[-1]["author"] == "counselor"
    assert person.record()[-1]["choices"] == []
    assert counselor.act(person, "reviewed", item="system/disclosure").status_code == 422


def test_another_counselor_cannot_act_in_a_claimed_conversation(desk: DeskThread) -> None:
    one, other, person = new(desk), new(desk), in_crisis(desk)
    one.act(person, "claim")
    before = said(person)
    forms = {"reply": {"text": "hello"}, "reviewed": {"item": "coping/step-away"}, "hand-back": {}}
    forms |= {"close": {"outcome": "reached"}}
    for action, form in forms.items():
        assert other.act(person, action, **form).status_code == 409, action
    assert new(desk, "lead").act(person, "end-contact", outcome="reached").status_code == 409
    assert said(person) == before
    assert flags(desk, person, "state") == [("claimed",)]


def test_handing_back_says_so_and_the_flag_waits_again(desk: DeskThread) -> None:
    counselor, person = new(desk), in_crisis(desk)
    counselor.act(person, "claim")
    assert counselor.act(person, "hand-back", check_back="1_hour").status_code == 303
    assert last_item(person) == "people/counselor-left"
    assert flags(desk, person, "state, claimed_by, outcome") == [("open", None, None)]
    assert person.say("are you there")[0]["author"] == "bot"
    row = counselor.queue[counselor.queue.index(person.conversation) :]
    assert "Check back at" in row[:2000]
    person.say(CRISIS)
    row = counselor.queue[counselor.queue.index(person.conversation) :]
    assert "Check back at" not in row[: row.index("</li>")], "new danger does not wait for the check-back time"
    assert counselor.act(person, "hand-back").status_code == 409


def test_closing_needs_an_outcome_of_the_list_and_ends_the_flag(desk: DeskThread) -> None:
    counselor, person = new(desk), in_crisis(desk)
    counselor.act(person, "claim")
    assert counselor.act(person, "close").status_code == 422
    assert counselor.act(person, "close", outcome="cured").status_code == 422
    assert counselor.act(person, "close", outcome="reached").status_code == 303
    assert flags(desk, person, "state, outcome") == [("closed", "reached")]
    assert last_item(person) == "people/counselor-left"
    assert person.conversation not in counselor.queue
    assert counselor.read(person).status_code == 404
    assert person.say(CRISIS)[0]["card"], "after the close a crisis is new again"


def test_a_false_alarm_is_closed_without_joining(desk: DeskThread) -> None:
    counselor, person = new(desk), in_crisis(desk)
    before = said(person)
    assert counselor.act(person, "close", outcome="not_a_crisis").status_code == 303
    assert said(person) == before
    assert flags(desk, person, "state, outcome") == [("closed", "not_a_crisis")]


def test_the_flag_of_an_erased_conversation_can_still_be_closed(desk: DeskThread) -> None:
    counselor, person = new(desk), in_crisis(desk)
    person.client.delete("/api/me", headers=person.headers)
    page = counselor.read(person)
    assert page.status_code == 200
    assert CRISIS not in page.text
    assert counselor.act(person, "claim").status_code == 409
    assert counselor.act(person, "close", outcome="no_answer").status_code == 303
    assert person.conversation not in counselor.queue


def test_who_has_it_transfers_and_so_does_a_lead(desk: DeskThread) -> None:
    lead, one, other, auditor = new(desk, "lead"), new(desk), new(desk), new(desk, "auditor")
    person = in_crisis(desk)
    one.act(person, "claim")
    assert f"{lead.name.title()}</option>" in one.read(person).text
    assert auditor.name.title() not in one.read(person).text

    def number(counselor: Counselor) -> str:
        accounts = desk.parts.accounts
        account = accounts.database.call(lambda session: accounts.find(session, counselor.name), writes=False)
        return str(account.id)

    assert lead.act(person, "transfer", to=number(auditor)).status_code == 409
    assert lead.act(person, "transfer", to="999999").status_code == 409
    assert lead.act(person, "transfer", to=number(other)).status_code == 303
    assert one.act(person, "reply", text="hello").status_code == 409
    assert other.act(person, "reply", text="hello").status_code == 303
    assert one.act(person, "transfer", to=number(one)).status_code == 409, "it is not theirs to give"
    assert other.act(person, "transfer", to=number(one)).status_code == 303
    assert one.act(person, "reply", text="hello again").status_code == 303
    other.do("/sign-out")
    assert f"{other.name.title()} (not signed in)</option>" in lead.read(person).text


def test_the_next_counselor_is_told_from_a_fixed_list(desk: DeskThread) -> None:
    one, other, auditor, person = new(desk), new(desk), new(desk, "auditor"), in_crisis(desk)
    one.act(person, "claim")
    assert one.act(person, "hand-back", handover="he seemed low").status_code == 422
    assert one.act(person, "hand-back", handover="services_called", check_back="2_hours").status_code == 303
    row = other.queue[other.queue.index(person.conversation) :]
    assert "Handed over: Emergency services were called" in row[: row.index("</li>")]
    other.act(person, "claim")
    assert "Handed over: Emergency services were called" in other.read(person).text
    assert "hand over</td><td>services called" in auditor.client.get("/console/audit").text
    other.act(person, "hand-back")
    assert flags(desk, person, "handover") == [(None,)], "what the last counselor had to say counts"
    person.client.delete("/api/me", headers=person.headers)


def test_ending_abusive_contact_leaves_the_guard_on(desk: DeskThread) -> None:
    lead, person = new(desk, "lead"), in_crisis(desk)
    lead.act(person, "claim")
    assert lead.act(person, "end-contact", outcome="reached").status_code == 303
    assert last_item(person) == "system/abusive-ended"
    turns = len(desk.rasa.turns)
    assert [reply["item"] for reply in person.post("hello?").json()["replies"]] == ["system/abusive-ended"]
    tapped = person.post(choice="effect:request_counselor").json()
    assert [reply["item"] for reply in tapped["replies"]] == ["system/abusive-ended"]
    assert len(desk.rasa.turns) == turns
    answer = person.post(CRISIS).json()
    assert answer["replies"][0]["card"]
    assert flags(desk, person, "state") == [("closed",), ("open",)]
    assert new(desk).act(person, "claim").status_code == 303


# When a counselor does not answer


def test_new_danger_of_a_known_kind_gets_the_card_after_a_minute(desk: DeskThread) -> None:
    counselor, clock, person = new(desk), desk.parts.desk._clock, in_crisis(desk)
    counselor.act(person, "claim")
    clock.moved += timedelta(seconds=5)
    person.post(CRISIS)
    assert "New danger, no answer" in counselor.queue
    run_async(desk.parts.handoff.attend())
    assert person.record()[-1]["author"] == "person", "the counselor has a minute"
    clock.moved += timedelta(seconds=61)
    wait_until(lambda: person.record()[-1]["card"], "no card came")
    run_async(desk.parts.handoff.attend())
    assert [message["card"] for message in person.record()][-2:] == [False, True], "one card, not one a second"


def test_an_answered_danger_gets_no_card(desk: DeskThread) -> None:
    counselor, clock, person = new(desk), desk.parts.desk._clock, in_crisis(desk)
    counselor.act(person, "claim")
    clock.moved += timedelta(seconds=5)
    person.post(CRISIS)
    clock.moved += timedelta(seconds=5)
    counselor.act(person, "reply", text="I am here with you.")
    assert "New danger" not in counselor.read(person).text
    clock.moved += timedelta(seconds=90)
    run_async(desk.parts.handoff.attend())
    assert person.record()[-1]["author"] == "counselor"


def test_a_new_kind_of_danger_gets_its_card_at_once(desk: DeskThread) -> None:
    counselor, person = new(desk), in_crisis(desk)
    counselor.act(person, "claim")
    assert person.post(OTHER_CRISIS).json()["replies"][0]["card"]


def test_a_silent_counselor_is_taken_out(desk: DeskThread) -> None:
    counselor, clock, person = new(desk), desk.parts.desk._clock, in_crisis(desk)
    counselor.act(person, "claim")
    counselor.act(person, "reply", text="Tell me more.")
    clock.moved += timedelta(minutes=11)
    run_async(desk.parts.handoff.attend())
    assert person.record()[-1]["author"] == "counselor", "nobody waits: it is the person's turn"
    person.post("are you there")
    clock.moved += timedelta(minutes=11)
    wait_until(lambda: last_item(person) == "people/counselor-gone", "the person was left alone")
    assert flags(desk, person, "state") == [("open",)]
    assert person.say("hello")[0]["author"] == "bot"
    clock.moved = timedelta()


# The audit


def test_the_audit_says_who_did_what_and_no_words(desk: DeskThread) -> None:
    counselor, auditor, person = new(desk), new(desk, "auditor"), in_crisis(desk)
    counselor.read(person)
    counselor.act(person, "claim")
    counselor.act(person, "reply", text="a sentence for nobody else")
    counselor.act(person, "close", outcome="hotline")
    page = auditor.client.get("/console/audit").text
    for action in ("open", "claim", "reply", "close", "sign in"):
        assert f"<td>{action}</td>" in page
    assert person.conversation in page
    assert "a sentence" not in page
    assert desk.parts.takeover.audit.verify(desk.parts.database)[1] is None


def test_rotating_keys_seals_the_second_factor_anew(desk: DeskThread) -> None:
    from bot.store.cipher import add_encryption_key, keep_newest_encryption_key

    counselor = make(desk, f"rotate{next(NUMBERS)}")
    add_encryption_key(desk.settings.home / "keys")
    desk.parts.record._cipher.refresh()
    while desk.parts.upkeep.reseal()[0]:
        pass
    keep_newest_encryption_key(desk.settings.home / "keys")
    desk.parts.record._cipher.refresh()
    counselor.sign_in()


# The command line


def test_accounts_are_made_reset_and_disabled_from_the_command_line(desk: DeskThread, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("HANDRAIL_HOME", str(desk.settings.home))
    monkeypatch.setenv("HANDRAIL_DATABASE_URL", desk.settings.database_url)
    name = f"cli{next(NUMBERS)}"

    def given(*words: str) -> Counselor:
        result = CliRunner().invoke(app, list(words))
        assert result.exit_code == 0, result.output
        shown = dict(re.findall(r"^ +(password|TOTP secret): +(\S+)$", result.output, re.MULTILINE))
        return Counselor(desk, name, Credentials(shown["password"], shown["TOTP secret"]))

    first = given("counselor", "add", name, "--role", "auditor")
    assert first.sign_in().client.get("/console/audit").status_code == 200
    assert CliRunner().invoke(app, ["counselor", "add", name]).exit_code != 0
    second = given("counselor", "reset", name)
    assert first.client.get("/console/audit").status_code == 303
    second.sign_in()
    assert CliRunner().invoke(app, ["counselor", "disable", name]).exit_code == 0
    assert second.client.get("/console/audit").status_code == 303
    assert "as they were written" in CliRunner().invoke(app, ["audit", "verify"]).output


def test_the_demonstration_makes_one_counselor_once(tmp_path, monkeypatch, capsys) -> None:  # type: ignore[no-untyped-def]
    from bot.counselor_commands import make_demo_counselor
    from bot.settings import Settings
    from bot.store.cipher import make_keys

    make_keys(tmp_path / "keys")
    make_demo_counselor(Settings(home=tmp_path, mode="production"))
    assert capsys.readouterr().out == ""
    make_demo_counselor(Settings(home=tmp_path))
    assert "shown once" in capsys.readouterr().out
    make_demo_counselor(Settings(home=tmp_path))
    assert capsys.readouterr().out == ""


def test_without_a_record_the_console_says_so(tmp_path, fake_rasa: FakeRasa) -> None:  # type: ignore[no-untyped-def]
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/none"
    desk = DeskThread(MovedClock(), home=tmp_path, rasa_url=fake_rasa.url, database_url=url)
    try:
        client = httpx.Client(base_url=desk.url, trust_env=False, cookies={"handrail_console": "x"})
        answer = client.get("/console/")
        assert answer.status_code == 503
        assert "does not answer" in answer.text
        assert client.get("/console/sign-in").status_code == 200
        assert client.get("/console/static/console.css").status_code == 200
    finally:
        desk.stop()

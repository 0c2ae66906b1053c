"""The turn through a running desk: record, Rasa's references rendered, cards, choices, effects, erasing."""

import shutil
import threading
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from bot.content import Library
from bot.crisis.decision import Finding
from bot.errors import StoreAway
from tests.fakes import FakeRasa, MovedClock, run_async, wait_until
from tests.stack import DeskThread, Person

CRISIS = "i don't want to be alive anymore"


@pytest.fixture
def desk(shared_desk: DeskThread) -> DeskThread:
    shared_desk.rasa.reset()
    return shared_desk


@pytest.fixture
def fake_rasa(desk: DeskThread) -> FakeRasa:
    return desk.rasa


def choice_of(replies: list[dict], label: str) -> str:
    return next(choice["id"] for reply in replies for choice in reply["choices"] if choice["label"] == label)


def count(desk: DeskThread, metric: str) -> float:
    lines = httpx.get(f"{desk.url}/metrics", trust_env=False).text.splitlines()
    return next((float(line.split()[-1]) for line in lines if line.startswith(metric)), 0)


def rows(desk: DeskThread, person: Person, table: str, columns: str) -> list[tuple]:
    query = f"select {columns} from {table} where conversation_id = '{person.conversation}'"
    found = desk.parts.database.call(lambda session: session.connection().exec_driver_sql(query).all())
    return [tuple(row) for row in found]


def test_a_person_gets_a_reviewed_item_rasa_chose(desk: DeskThread, fake_rasa: FakeRasa) -> None:
    person = desk.person()
    replies = person.say("the cravings are bad tonight")
    assert replies[-1]["last"]
    library: Library = desk.parts.library
    item = library.resolve(replies[0]["item"], language="en", channel="web")
    assert "craving" in item.topics
    assert replies[0]["text"] == library.render(item, channel="web").text
    assert fake_rasa.turns[-1]["text"] == "the cravings are bad tonight"


def test_the_state_rasa_returned_comes_back_with_the_next_turn(desk: DeskThread, fake_rasa: FakeRasa) -> None:
    person = desk.person()
    person.say("one")
    person.say("two")
    assert [turn["state"] for turn in fake_rasa.turns] == [None, {"version": 1, "events": ["one"]}]


def test_the_disclosure_opens_every_record(desk: DeskThread) -> None:
    person = desk.person()
    assert "program" in person.opening[0]["text"]
    person.say("hello")
    record = person.record()
    assert record[0]["item"] == person.opening[0]["item"]
    assert [message["sequence"] for message in record] == list(range(1, len(record) + 1))
    assert record[1]["author"] == "person"


def test_the_choices_of_the_disclosure_work_as_the_very_first_message(desk: DeskThread, fake_rasa: FakeRasa) -> None:
    person = desk.person()
    replies = person.say(choice=choice_of(person.opening, "I have a craving"))
    assert replies[0]["item"].startswith("coping/")
    assert fake_rasa.turns == []
    assert person.record()[0]["item"] == "system/disclosure"
    assert person.record()[1]["text"] == "I have a craving"


def test_a_crisis_is_answered_in_the_answer_without_rasa(desk: DeskThread, fake_rasa: FakeRasa) -> None:
    answer = desk.person().post(CRISIS).json()
    assert answer["flagged"]
    assert answer["replies"][0]["card"]
    assert "988" in answer["replies"][0]["text"]
    assert fake_rasa.turns == []


class Held:
    """A classifier that thinks about one message until it is let go."""

    def __init__(self, slow: str) -> None:
        self._slow, self.is_at_it, self.let_go = slow, threading.Event(), threading.Event()

    def classify(self, text: str, recent: Sequence[str]) -> list[Finding]:
        if text == self._slow:
            self.is_at_it.set()
            self.let_go.wait(30)
        return []


def test_plain_words_of_danger_wait_behind_nobody(desk: DeskThread, monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held("there is a lot to think about in this one")
    monkeypatch.setattr(desk.parts.guard, "_classifier", held)
    other, person = desk.person(), desk.person()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(other.post, "there is a lot to think about in this one")
        try:
            assert held.is_at_it.wait(10)
            assert person.post(CRISIS).json()["flagged"]
            assert not waiting.done()
        finally:
            held.let_go.set()
        assert waiting.result().status_code == 202


def test_a_crisis_goes_before_what_waits_for_the_record(desk: DeskThread) -> None:
    writers = desk.parts.database._writers
    held, let_go = threading.Semaphore(0), threading.Semaphore(0)

    def hold(_: object) -> None:
        held.release()
        let_go.acquire()

    others, person = [desk.person() for _ in range(6)], desk.person()
    threads = writers._pool._max_workers
    with ThreadPoolExecutor(threads + 7) as pool:
        holding = [pool.submit(lambda: run_async(desk.parts.database.run(hold))) for _ in range(threads)]
        try:
            for _ in holding:
                assert held.acquire(timeout=10)
            waiting = [pool.submit(other.post, "hello") for other in others]
            wait_until(lambda: writers._waiting.qsize() >= 6, "the messages did not reach the record")
            urgent = pool.submit(person.post, CRISIS)
            wait_until(lambda: writers._waiting.qsize() >= 7, "the crisis did not reach the record")
            let_go.release()  # one thread
            assert urgent.result().json()["flagged"]
            assert sum(each.done() for each in waiting) < 3
        finally:
            let_go.release(threads)


def test_the_card_shows_once_then_one_line_with_the_number(desk: DeskThread) -> None:
    person = desk.person()
    first, second, third = person.say(CRISIS), person.say(CRISIS), person.say("i want to kill myself")
    assert first[0]["card"]
    assert not second[0]["card"]
    assert not third[0]["card"]
    assert all("988" in reply[0]["text"] or "911" in reply[0]["text"] for reply in (second, third))
    assert second[0]["text"] != third[0]["text"]


def test_new_danger_brings_a_full_card_again(desk: DeskThread) -> None:
    person = desk.person()
    person.say(CRISIS)
    assert person.say("my friend overdosed and won't wake up")[0]["card"]


def test_while_the_flag_is_open_the_bot_helps_and_each_reply_ends_with_the_line(desk: DeskThread) -> None:
    person = desk.person()
    person.say(CRISIS)
    replies = person.say("i also have cravings")
    assert replies[0]["item"].startswith("coping/")
    assert replies[-1]["item"].startswith("card/suicide")
    assert not replies[-1]["card"]


def test_no_after_are_you_safe_is_danger(desk: DeskThread, fake_rasa: FakeRasa) -> None:
    person = desk.person()
    person.say(CRISIS)
    fake_rasa.answer = {"intent": "deny", "references": ["menu"], "confidence": 0.9}
    replies = person.say("no")
    assert replies[0]["item"] == "system/not-safe"
    assert replies[0]["flagged"]


def test_yes_after_are_you_safe_closes_nothing(desk: DeskThread, fake_rasa: FakeRasa) -> None:
    person = desk.person()
    person.say(CRISIS)
    fake_rasa.answer = {"intent": "affirm", "references": ["menu"], "confidence": 0.9}
    replies = person.say("yes")
    assert replies[0]["item"] == "system/safe-now"
    assert replies[-1]["item"].startswith("card/suicide")


@pytest.mark.parametrize("safe", ["I'm safe.", "yes i am safe now", "estoy a salvo"])
def test_i_am_safe_after_are_you_safe_is_not_asked_again(desk: DeskThread, fake_rasa: FakeRasa, safe: str) -> None:
    fake_rasa.answer = {"intent": "misunderstood", "references": ["misunderstood"], "confidence": 0.9}
    person = desk.person()
    person.say(CRISIS)
    replies = person.say(safe)
    assert replies[0]["item"] == "system/safe-now"
    assert replies[-1]["item"].startswith("card/suicide")
    assert desk.person().say(safe)[0]["item"] == "conversation/misunderstood", "nobody had asked"


def test_you_misunderstood_gets_an_apology_and_a_safety_check(desk: DeskThread) -> None:
    person = desk.person()
    card = person.say(CRISIS)
    replies = person.say(choice=choice_of(card, "That is not what I meant"))
    assert replies[0]["item"] == "conversation/misunderstood"
    again = person.say(choice=choice_of(replies, "I am not safe"))
    assert again[0]["item"] == "system/not-safe"


def test_a_crisis_only_rasa_hears_is_treated_as_one_and_counted(desk: DeskThread, fake_rasa: FakeRasa) -> None:
    fake_rasa.answer = {"intent": "crisis_overdose", "references": ["card/overdose"], "confidence": 0.95}
    replies = desk.person().say("something nobody expected")
    assert replies[0]["card"]
    assert replies[0]["flagged"]
    assert count(desk, 'handrail_crises_total{category="overdose",heard_by="rasa"}') == 1


def test_a_doubtful_crisis_intent_does_not_flag(desk: DeskThread, fake_rasa: FakeRasa) -> None:
    fake_rasa.answer = {"intent": "crisis_overdose", "references": ["fallback"], "confidence": 0.4}
    assert not desk.person().say("something nobody expected")[0]["flagged"]


def test_steps_follow_the_choices(desk: DeskThread, fake_rasa: FakeRasa) -> None:
    fake_rasa.answer = {"references": ["coping/urge-surfing"]}
    person = desk.person()
    replies = person.say("cravings")
    texts = [replies[0]["text"]]
    while len(replies[0]["choices"]) == 1:
        replies = person.say(choice=replies[0]["choices"][0]["id"])
        assert replies[0]["item"] == "coping/urge-surfing"
        texts.append(replies[0]["text"])
    assert len(texts) == len(set(texts)) > 1
    asked = len(fake_rasa.turns)
    fake_rasa.answer = {"references": ["@again"]}
    assert person.say("again please")[0]["text"] == texts[-1]
    assert len(fake_rasa.turns) == asked + 1


def test_next_without_anything_shown_is_the_menu(desk: DeskThread, fake_rasa: FakeRasa) -> None:
    fake_rasa.answer = {"references": ["coping/urge-surfing"]}
    person = desk.person()
    replies = person.say("cravings")
    for _ in range(10):
        fake_rasa.answer = {"references": ["@next"]}
        replies = person.say("next")
    assert replies[0]["text"]


def test_a_choice_with_an_intent_goes_to_rasa_structured(desk: DeskThread, fake_rasa: FakeRasa) -> None:
    fake_rasa.answer = {"references": ["supervised_detox"]}
    person = desk.person()
    replies = person.say("what is detox")
    intents = [choice for choice in replies[0]["choices"] if choice["label"] != "Ask for a counselor"]
    person.say(choice=intents[0]["id"])
    assert fake_rasa.turns[-1]["choice"]["intent"].startswith("ask_")
    assert "text" not in fake_rasa.turns[-1]


@pytest.mark.parametrize("choice", ["99:0", "1:99", "x", "", "1:-1", "effect:nothing", "1:1:1", "٣:٠"])
def test_an_unknown_choice_is_refused_and_changes_nothing(desk: DeskThread, choice: str) -> None:
    person = desk.person()
    person.say("hello")
    before = person.record()
    answer = person.post(choice=choice)
    assert answer.status_code == 422
    assert answer.json()["replies"]
    assert person.record() == before


def test_a_choice_of_another_conversation_is_refused(desk: DeskThread) -> None:
    one, other = desk.person(), desk.person()
    one.say("hello")
    assert other.post(choice="3:0").status_code == 422


def test_nothing_repeats_while_others_remain(desk: DeskThread) -> None:
    person = desk.person()
    shown = [person.say(f"craving number {number}")[0]["item"] for number in range(4)]
    assert len(set(shown)) == 4


def test_what_helped_is_remembered_for_this_conversation(desk: DeskThread, fake_rasa: FakeRasa) -> None:
    person = desk.person()
    fake_rasa.answer = {"references": ["craving"], "intent": "feel_craving"}
    shown = person.say("i want to use")[-1]["item"]
    fake_rasa.answer = {"references": ["helped"], "intent": "affirm"}
    person.say("yes that helped")
    assert (f"{shown}#helped",) in rows(desk, person, "sightings", "item")


def test_asking_for_a_counselor_flags_once(desk: DeskThread, fake_rasa: FakeRasa) -> None:
    fake_rasa.answer = {"references": ["counselor_requested"], "effects": [{"name": "request_counselor"}]}
    person = desk.person()
    person.say("a human please")
    person.say("a human please")
    assert rows(desk, person, "flags", "kind") == [("request",)]


def test_asking_for_a_counselor_works_when_the_action_failed(desk: DeskThread, fake_rasa: FakeRasa) -> None:
    fake_rasa.answer = {"references": [], "intent": "request_counselor"}
    assert desk.person().say("a human please")[0]["item"] == "people/not-staffed"


def test_a_request_can_be_taken_back(desk: DeskThread, fake_rasa: FakeRasa) -> None:
    fake_rasa.answer = {"references": ["counselor_waiting"], "effects": [{"name": "request_counselor"}]}
    person = desk.person()
    offered = person.say("a human please")
    assert rows(desk, person, "flags", "state") == [("open",)]
    replies = person.say(choice=choice_of(offered, "Cancel my request"))
    assert replies[0]["item"] == "people/request-cancelled"
    assert rows(desk, person, "flags", "state") == [("closed",)]
    person.say("no wait, a human please")
    assert sorted(rows(desk, person, "flags", "state")) == [("closed",), ("open",)]


def test_while_a_turn_cannot_be_stored_its_person_is_told_once(
    desk: DeskThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = desk.person()
    told: list[str] = []

    async def fail(*_: object) -> None:
        raise StoreAway("no room")

    monkeypatch.setattr(desk.parts.record, "commit", fail)

    def tell(_: str, kind: str, data: dict) -> None:
        if kind == "reply":
            told.append(data["message"].body["key"])

    monkeypatch.setattr(desk.parts.desk.signals, "tell", tell)
    person.post("hello")
    wait_until(lambda: told, "nobody was told")
    monkeypatch.setattr(desk.parts.desk._clock, "moved", timedelta(seconds=30))  # for recovery it is time
    wait_until(lambda: len(told) > 1, "it was not tried again")
    assert len(set(told)) == 1, "a widget shows what has one key once"
    monkeypatch.undo()
    monkeypatch.setattr(desk.parts.desk._clock, "moved", timedelta(seconds=30))
    wait_until(lambda: len(person.record()) == 3, "it was never answered")  # and it disturbs no later test


def test_outside_staffed_hours_nobody_is_promised(
    start_desk: Callable[..., DeskThread], fake_rasa: FakeRasa, clock: MovedClock
) -> None:
    day = clock.now().strftime("%a").lower()
    desk = start_desk(staffed_hours=f"{day} 00:00-00:01", timezone="Pacific/Kiritimati")
    desk.wait_for_record()
    clock.moved = timedelta(hours=12)
    fake_rasa.answer = {"references": ["counselor_requested"], "effects": [{"name": "request_counselor"}]}
    person = desk.person()
    assert person.say("a human please")[-1]["item"] == "people/not-staffed"
    assert rows(desk, person, "flags", "kind") == [("request",)]


def test_after_three_ways_that_did_not_help_a_human_is_offered(desk: DeskThread, fake_rasa: FakeRasa) -> None:
    person = desk.person()
    items = [[reply["item"] for reply in person.say(f"craving again, {number}")] for number in range(4)]
    assert ["conversation/offer-human" in shown for shown in items] == [False, False, True, False]
    helped = desk.person()
    helped.say("a craving")
    fake_rasa.answer = {"references": ["helped"]}
    helped.say("that helped")
    fake_rasa.answer = {}
    items = [[reply["item"] for reply in helped.say(f"and again, {number}")] for number in range(3)]
    assert not any("conversation/offer-human" in shown for shown in items)


@pytest.mark.parametrize(("yes", "language"), [("Yes please", "en"), ("sí", "es")])
def test_yes_to_the_offer_of_a_human_asks_for_one(
    desk: DeskThread, fake_rasa: FakeRasa, yes: str, language: str
) -> None:
    person = desk.person(language)
    for number in range(3):
        person.say(f"craving again, {number}")
    fake_rasa.answer = {"references": ["helped"]}
    assert person.say(yes)[0]["item"] == "people/not-staffed"
    assert rows(desk, person, "flags", "kind") == [("request",)]
    assert person.say(yes)[0]["item"] == "conversation/helped", "it was asked once"


def test_a_zip_code_opens_the_search_for_treatment_there(desk: DeskThread, fake_rasa: FakeRasa) -> None:
    fake_rasa.answer = {"intent": "ask_find_help", "references": ["find_help"]}
    person = desk.person()
    assert person.say("where is a rehab near me")[-1]["item"] == "treatment/find-help-us"
    fake_rasa.answer = {"intent": "nlu_fallback", "references": ["fallback"]}
    for text, own in (("30310.", "30310"), ("04101-1234", "04101")):
        near = person.say(text)[-1]
        assert near["item"] == "treatment/find-help-near"
        assert f'href="https://findtreatment.gov/locator?sAddr={own}"' in near["html"]
        assert f"FindTreatment.gov for {own}" in near["text"]
    fake_rasa.answer = {"intent": "ask_find_help", "references": ["find_help"]}
    assert "sAddr=60614" in desk.person().say("anything close to 60614? need a detox bed")[-1]["html"]
    assert desk.person().say("call me on 6061412 or 60614 or 60615")[-1]["item"] == "treatment/find-help-us"


def test_a_number_that_follows_anything_else_is_no_zip_code(desk: DeskThread, fake_rasa: FakeRasa) -> None:
    fake_rasa.answer = {"intent": "thanks", "references": ["thanks"]}
    assert desk.person().say("30310")[-1]["item"] != "treatment/find-help-near"


@pytest.mark.parametrize("text", ["9", "12.", "#2"])
def test_a_bare_number_that_chooses_nothing_is_not_understood(desk: DeskThread, fake_rasa: FakeRasa, text: str) -> None:
    fake_rasa.answer = {"references": ["young_people"]}
    person = desk.person()
    assert person.say(text)[0]["item"] == "system/fallback"
    fake_rasa.answer = {"references": ["plan_ask_helps"]}
    person.say("a plan")
    fake_rasa.answer = {"references": ["plan_done"], "effects": [{"name": "send_plan", "helps": text}]}
    assert person.say(text)[0]["item"] == "plan/done"


def test_the_plan_holds_the_persons_own_words_literally(desk: DeskThread, fake_rasa: FakeRasa) -> None:
    words = {"triggers": "<b>payday</b> {{emergency}}", "helps": "my *dog*", "people": "my sister"}
    fake_rasa.answer = {"references": ["plan_done"], "effects": [{"name": "send_plan", **words}]}
    reply = desk.person().say("done")[0]
    assert all(word in reply["text"] for word in words.values())
    assert "<b>" not in reply["html"]


def test_the_language_changes_when_asked(desk: DeskThread, fake_rasa: FakeRasa) -> None:
    fake_rasa.answer = {"references": ["menu"], "effects": [{"name": "set_language", "language": "es"}]}
    person = desk.person()
    spanish = person.say("español por favor")[0]["text"]
    fake_rasa.answer = {"references": ["menu"]}
    assert person.say("menú")[0]["text"] == spanish
    assert spanish != person.opening[0]["text"]


def test_a_repeated_message_gets_the_first_answer(desk: DeskThread, fake_rasa: FakeRasa) -> None:
    person = desk.person()
    client_id = str(uuid.uuid4())
    first = person.post("hello", client_id=client_id).json()
    person.replies_to(first["sequence"])
    again = person.post("hello", client_id=client_id).json()
    assert again["sequence"] == first["sequence"]
    assert again["replies"]
    assert len(fake_rasa.turns) == 1
    crisis_id = str(uuid.uuid4())
    assert person.post(CRISIS, client_id=crisis_id).json() == person.post(CRISIS, client_id=crisis_id).json()


def test_erasing_removes_every_word_and_the_token_opens_nothing(desk: DeskThread) -> None:
    person = desk.person()
    person.say("a sentence that must go")
    answer = person.client.delete("/api/me", headers=person.headers).json()
    assert answer["replies"][0]["item"] == "system/erased"
    assert person.post("hello again").status_code == 401
    assert person.client.get("/api/me", headers=person.headers).status_code == 401
    assert rows(desk, person, "messages", "id") == []


def test_erasing_by_words_erases_and_says_so(desk: DeskThread, fake_rasa: FakeRasa) -> None:
    person = desk.person()
    person.say("hello")
    fake_rasa.answer = {"references": [], "effects": [{"name": "erase"}]}
    fake_rasa.gate.clear()
    sequence = person.post("yes, delete it").json()["sequence"]
    with ThreadPoolExecutor() as pool:
        first = pool.submit(lambda: next(person.stream(after=sequence)))
        wait_until(lambda: desk.parts.desk.signals._listeners.get(person.conversation), "no stream was opened")
        fake_rasa.gate.set()
        assert first.result(10)["item"] == "system/erased"
    assert person.client.get("/api/me", headers=person.headers).status_code == 401


def test_erasing_with_an_open_flag_keeps_kind_and_times_and_says_so(desk: DeskThread) -> None:
    person = desk.person()
    person.say(CRISIS)
    answer = person.client.delete("/api/me", headers=person.headers).json()
    assert answer["replies"][0]["item"] == "system/erased-flag-open"
    assert rows(desk, person, "flags", "kind, category, about") == [("crisis", None, None)]


def test_an_erased_conversation_cannot_be_brought_back_by_its_token(desk: DeskThread) -> None:
    person = desk.person()
    person.client.delete("/api/me", headers=person.headers)
    assert person.post("hello").status_code == 401


def test_two_messages_at_once_are_answered_in_order(desk: DeskThread, fake_rasa: FakeRasa) -> None:
    person = desk.person()
    person.say("hello")
    fake_rasa.gate.clear()
    first, second = person.post("first").json()["sequence"], person.post("second").json()["sequence"]
    fake_rasa.gate.set()
    person.replies_to(second)
    answered = [message["in_reply_to"] for message in person.record() if message["author"] == "bot"]
    assert answered.index(first) < answered.index(second)


def test_after_a_claim_no_bot_message_is_sequenced(desk: DeskThread, fake_rasa: FakeRasa, clock: MovedClock) -> None:
    person = desk.person()
    person.say("hello")
    fake_rasa.gate.clear()
    fake_rasa.asked.clear()
    sequence = person.post("are you there").json()["sequence"]
    assert fake_rasa.asked.wait(5)
    assert run_async(desk.parts.record.claim(person.conversation, clock.now())) == 1
    fake_rasa.gate.set()
    wait_until(lambda: count(desk, 'handrail_turns_total{outcome="dropped"}'), "the turn was not dropped")
    assert not [message for message in person.record() if message["in_reply_to"] == sequence]
    assert person.record()[-1]["sequence"] == sequence


def test_a_split_disclosure_is_found_over_the_window(desk: DeskThread) -> None:
    person = desk.person()
    person.say("i just want to")
    person.say("end")
    assert person.post("my life").json()["flagged"]


def test_a_window_survives_a_restart_of_the_desk(desk: DeskThread) -> None:
    person = desk.person()
    person.say("i just want to")
    person.say("end")
    desk.parts.desk._recent.clear()
    assert person.post("my life").json()["flagged"]


def test_a_window_holds_what_another_desk_took_in(
    desk: DeskThread, start_desk: Callable[..., DeskThread], tmp_path: Path
) -> None:
    """Texts by SMS come to any desk: what one of them remembers may be older than the record."""
    shutil.copytree(desk.settings.home / "keys", tmp_path / "other" / "keys")
    other = start_desk(home=tmp_path / "other", rasa_url=desk.settings.rasa_url, database_url=desk.settings.database)
    other.wait_for_record()
    person = desk.person()
    person.say("hello")
    person.say("thanks")
    person.client.base_url = other.url
    person.say("i just want to")
    person.say("end")
    person.client.base_url = desk.url
    assert person.post("my life").json()["flagged"]


def test_spanish_people_get_spanish(desk: DeskThread) -> None:
    person = desk.person("es")
    assert "programa" in person.opening[0]["text"]
    assert "988" in person.say("ya no quiero vivir")[0]["text"]


def test_a_stream_resumes_after_the_last_event(desk: DeskThread) -> None:
    person = desk.person()
    person.say("one")
    last = person.record()[-1]["sequence"]
    person.say("two")
    messages = []
    for message in person.stream(after=last):
        messages.append(message["sequence"])
        if message["last"]:
            break
    assert messages[0] == last + 1


def test_everyone_gets_their_own_replies(desk: DeskThread) -> None:
    people: list[Person] = [desk.person() for _ in range(5)]
    for person in people:
        person.say("hello")
    assert len({message["sequence"] for message in people[0].record()}) == len(people[0].record())
    assert all(len(person.record()) == len(people[0].record()) for person in people)

"""The actions answer with references and effects, and the plan form knows an answer from an interruption."""

from __future__ import annotations

from typing import Any

import pytest
from rasa_sdk import Tracker
from rasa_sdk.executor import CollectingDispatcher

from actions.language import SetLanguage
from actions.people import RequestCounselor
from actions.plan import SLOTS, ClearPlan, SendPlan, ValidatePlan
from actions.privacy import Erase

PLAN_PARTS = [slot.removeprefix("plan_") for slot in SLOTS]
EMPTY_PLAN = dict.fromkeys(SLOTS)


def run(action: Any, text: str = "", intent: str = "", **slots: Any) -> tuple[list[Any], list[Any]]:
    """Return what an action said and its events, after somebody said `text`."""
    entities = slots.pop("entities", [])
    message = {"text": text, "intent": {"name": intent, "confidence": 0.9}, "entities": entities}
    tracker = Tracker("c", slots, message, [], False, None, {}, "action_listen")
    dispatcher = CollectingDispatcher()
    events = action.run(dispatcher, tracker, {})
    assert all(not said["text"] for said in dispatcher.messages), "an action spoke prose"
    return [said["custom"] for said in dispatcher.messages], events


def judged(text: str, intent: str) -> tuple[Any, bool]:
    """Return what the slot holds after somebody said `text` to the form, and whether the form was left."""
    _, events = run(ValidatePlan(), text, intent, requested_slot="plan_triggers", plan_triggers=text)
    value = next(event["value"] for event in events if event["event"] == "slot")
    return value, any(event["event"] == "action_execution_rejected" for event in events)


def test_a_request_for_a_counselor_is_an_effect_and_a_reference() -> None:
    said, events = run(RequestCounselor(), "can i talk to a person", "request_counselor")
    assert said == [{"effect": {"name": "request_counselor"}}, {"content": "counselor_requested"}]
    assert events == []


def test_erase_is_only_an_effect() -> None:
    assert run(Erase(), "yes", "affirm") == ([{"effect": {"name": "erase"}}], [])


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("can we speak spanish", "es"),
        ("en español por favor", "es"),
        ("English please", "en"),
        ("no, english please", "en"),
        ("habla inglés", "en"),
        ("no hablo inglés", "es"),
        ("i don\u2019t speak english very well", "es"),
        ("my english is not good", "es"),
        ("i can't read spanish", "en"),
    ],
)
def test_the_language_named_is_the_language_set(text: str, language: str) -> None:
    said, _ = run(SetLanguage(), text, "change_language")
    assert said == [{"effect": {"name": "set_language", "language": language}}, {"content": "menu"}]


def test_a_tapped_language_needs_no_words() -> None:
    said, _ = run(SetLanguage(), "", "change_language", entities=[{"entity": "language", "value": "es"}])
    assert said[0] == {"effect": {"name": "set_language", "language": "es"}}


@pytest.mark.parametrize("text", ["change language", "do you speak polish", "english or spanish?", ""])
def test_no_single_language_named_is_an_offer(text: str) -> None:
    assert run(SetLanguage(), text, "change_language")[0] == [{"content": "language_offer"}]


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("stress at work, payday", "feel_anxious"),
        ("when i'm alone at night", "feel_low"),
        ("cuando peleo con mi esposa", "feel_angry"),
        ("talking to my counselor", "request_counselor"),
        ("my sponsor and my meetings", "ask_relapse_prevention"),
        ("do yoga", "out_of_scope"),
        ("mi familia", "ask_family_support"),
        ("no money at the end of the month", "deny"),
        ("xyzzy", "nlu_fallback"),
    ],
)
def test_an_answer_fills_the_slot(text: str, intent: str) -> None:
    assert judged(text, intent) == (text, False)


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("what is methadone?", "ask_medications"),
        ("can i stop my meds", "clinical_stopping"),
        ("i need to talk to a person", "request_counselor"),
        ("human please", "request_counselor"),
        ("i'm craving so bad", "feel_craving"),
        ("estoy muy triste", "feel_low"),
        ("i drank last night", "had_lapse"),
        ("qué es la desintoxicación", "ask_supervised_detox"),
        ("my husband hits me", "crisis_violence"),
    ],
)
def test_something_else_leaves_the_form_and_the_slot_empty(text: str, intent: str) -> None:
    assert judged(text, intent) == (None, True)


@pytest.mark.parametrize(
    ("text", "intent"), [("skip", "next_step"), ("no one", "deny"), ("", "next_step"), ("", "deny")]
)
def test_a_question_can_be_skipped_by_word_or_by_tap(text: str, intent: str) -> None:
    assert judged(text, intent) == ("", False)


def test_a_nod_is_not_an_answer_and_the_form_asks_again() -> None:
    assert judged("ok", "affirm") == (None, False)


def test_a_tapped_question_leaves_the_form() -> None:
    assert judged("", "ask_medications") == (None, True)


@pytest.mark.parametrize("slots", [{"requested_slot": None}, {"requested_slot": "plan_helps", "plan_helps": None}])
def test_there_is_nothing_to_judge_when_the_form_starts_or_returns(slots: dict[str, Any]) -> None:
    assert run(ValidatePlan(), "i'm craving", "feel_craving", **slots) == ([], [])


def test_a_finished_plan_is_sent_whole_and_forgotten() -> None:
    said, events = run(SendPlan(), "ana", "nlu_fallback", plan_triggers="payday", plan_helps="", plan_people="ana")
    assert said == [
        {"effect": {"name": "send_plan", **dict.fromkeys(PLAN_PARTS, ""), "triggers": "payday", "people": "ana"}},
        {"content": "plan_done"},
    ]
    assert {event["name"]: event["value"] for event in events} == EMPTY_PLAN


def test_an_unfinished_plan_is_forgotten_without_a_word() -> None:
    said, events = run(ClearPlan(), "stop", "stop", plan_triggers="payday")
    assert said == []
    assert {event["name"]: event["value"] for event in events} == EMPTY_PLAN

"""Rasa's files agree with each other and with the content library: nothing unused, nothing missing, no prose."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from bot.content import Library
from bot.crisis import CATEGORIES
from bot.settings import ROOT

DESK_REFERENCES = {"@next", "@again"}
CHOSEN_IN_CODE = {"erased", "erased_flag_open", "trouble", "waking_up", "not_safe", "safe_now", "menu", "helped"}
SAID_BY_SMS_ONLY = {"sms_quiet"}
CLINICAL_WORDS = ("diagnos", "dose", "dosage", "taper", "severity", "score", "symptom", "prescri", "condition", "risk")
FEWEST_EXAMPLES = 40
FEWEST_CRISIS_EXAMPLES = 30
FEWEST_SPANISH_PERCENT = 10
SPANISH = re.compile(
    r"[áéíóúñ¿]|\b(que|como|mi|mis|la|el|de|en|para|por|una|es|estoy|tengo|quiero|puedo|hola|gracias|otra|ayer|nada|eso|esa|sigo|sirve|ayuda|igual)\b"
)


def read(folder: str, key: str) -> list[dict[str, Any]]:
    return [
        {**entry, "file": path.stem}
        for path in sorted((ROOT / "data" / folder).glob("*.yml"))
        for entry in yaml.safe_load(path.read_text(encoding="utf8"))[key]
    ]


DOMAIN = yaml.safe_load((ROOT / "domain.yml").read_text(encoding="utf8"))
RULES = read("rules", "rules")
NLU = read("nlu", "nlu")
EXAMPLES = {
    entry["intent"]: [line.removeprefix("- ") for line in entry["examples"].splitlines()]
    for entry in NLU
    if "intent" in entry
}
INTENTS = set(DOMAIN["intents"])


def said_in_code() -> set[str]:
    """Return the references written into desk, channels and actions, in the calls and messages that take one."""
    places = {"say": 0, "refuse": 0, "_turn": 1, "Refusal": 4}
    found: set[str] = set()
    for folder in ("bot/desk", "bot/channels", "actions"):
        for path in (ROOT / folder).glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
                written: list[ast.AST] = []
                if isinstance(node, ast.Call):
                    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                    written = node.args[places.get(name, 99) :][:1]
                elif isinstance(node, ast.Dict):
                    named = zip(node.keys, node.values, strict=True)
                    written = [value for key, value in named if getattr(key, "value", None) == "content"]
                for each in written:
                    for part in each.elts if isinstance(each, ast.List) else [each]:
                        if isinstance(part, ast.Constant) and part.value:
                            found.add(part.value)
    return found | CHOSEN_IN_CODE


def steps(kind: str) -> Iterator[str]:
    for rule in RULES:
        for step in rule["steps"]:
            if kind in step:
                yield step[kind]


def test_every_intent_has_a_rule_and_enough_examples() -> None:
    assert set(EXAMPLES) == INTENTS
    assert set(steps("intent")) == INTENTS | {"nlu_fallback"}
    few = {
        intent: len(examples)
        for intent, examples in EXAMPLES.items()
        if len(examples) < (FEWEST_CRISIS_EXAMPLES if intent.startswith("crisis_") else FEWEST_EXAMPLES)
    }
    assert not few


def test_every_crisis_category_has_its_intent() -> None:
    assert {intent for intent in INTENTS if intent.startswith("crisis_")} == {f"crisis_{name}" for name in CATEGORIES}


def test_no_example_is_said_twice() -> None:
    said: dict[str, str] = {}
    for intent, examples in EXAMPLES.items():
        for text in examples:
            key = text.lower().strip("¿?¡!. ")
            assert key not in said, f"{text!r} is in {said[key]} and in {intent}"
            said[key] = intent


@pytest.mark.parametrize("intent", sorted(INTENTS))
def test_every_intent_is_said_in_spanish_too(intent: str) -> None:
    spanish = [text for text in EXAMPLES[intent] if SPANISH.search(text.lower())]
    assert len(spanish) * 100 >= FEWEST_SPANISH_PERCENT * len(EXAMPLES[intent])


def test_every_response_form_question_and_action_is_used() -> None:
    forms = DOMAIN["forms"]
    asked = {f"utter_ask_{slot}" for form in forms.values() for slot in form["required_slots"]}
    validated = {f"validate_{form}" for form in forms}
    used = set(steps("action"))
    assert set(DOMAIN["responses"]) == (used & set(DOMAIN["responses"])) | asked
    assert set(DOMAIN["actions"]) == (used & set(DOMAIN["actions"])) | validated
    assert used <= set(DOMAIN["responses"]) | set(DOMAIN["actions"]) | set(forms) | {"action_deactivate_loop"}
    assert set(DOMAIN["slots"]) == {slot for form in forms.values() for slot in form["required_slots"]} | {"topic"}


def test_every_response_is_one_reference_and_no_prose() -> None:
    for name, variants in DOMAIN["responses"].items():
        *conditional, general = variants
        assert set(general) == {"custom"}, name
        assert all(set(variant) == {"condition", "custom"} for variant in conditional), name
        assert all(set(variant["custom"]) == {"content"} for variant in variants), name


def test_another_and_more_know_every_topic() -> None:
    slot = DOMAIN["slots"]["topic"]
    assert {mapping["intent"] for mapping in slot["mappings"]} <= INTENTS
    assert [mapping["value"] for mapping in slot["mappings"]] == slot["values"]
    known = [
        variant["condition"][0]["value"]
        for name in ("utter_another", "utter_more")
        for variant in DOMAIN["responses"][name][:-1]
    ]
    assert sorted(known) == sorted(slot["values"])


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("channel", ["web", "sms"])
def test_every_reference_resolves(language: str, channel: str) -> None:
    library = Library.load(
        ROOT / "content", now=datetime.now(UTC), country="US", roles=frozenset({"demonstration", "clinician", "peer"})
    )
    spoken = {variant["custom"]["content"] for variants in DOMAIN["responses"].values() for variant in variants}
    spoken -= DESK_REFERENCES
    spoken |= said_in_code() - (SAID_BY_SMS_ONLY if channel == "web" else set())
    for reference in sorted(spoken):
        if reference.startswith("card/"):
            card = library.card(reference.removeprefix("card/"), about="self", language=language, channel=channel)
            assert card.card, reference
        else:
            item = library.resolve(reference, language=language, channel=channel)
            assert item.language == language, f"{reference} is not there in {language}"


def test_no_slot_entity_or_intent_is_made_to_hold_a_decision() -> None:
    names = set(DOMAIN["slots"]) | set(DOMAIN["entities"])
    assert not {name for name in names for word in CLINICAL_WORDS if word in name}


def test_rules_and_examples_share_their_topics() -> None:
    assert {rule["file"] for rule in RULES} == {entry["file"] for entry in NLU}


def test_word_lists_hold_no_amounts() -> None:
    texts = [line for entry in NLU for line in entry["examples"].splitlines()]
    units = ("mg", "milligram", "ml", "gram")
    amounts = [t for t in texts if any(c.isdigit() for c in t) and any(u in t.lower().split() for u in units)]
    assert not amounts

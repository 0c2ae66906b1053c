"""P4: clinical questions are refused with the safe next step, through the whole stack; nothing stores a decision."""

from __future__ import annotations

import pytest
import yaml

from bot.settings import ROOT
from bot.store.models import Base
from tests.fakes import wait_until
from tests.stack import Stack

CLINICAL_NAMES = ("diagnos", "dose", "dosage", "taper", "severity", "score", "symptom", "prescri", "condition", "risk")
QUESTIONS = {
    "en": [
        "how much methadone should i take",
        "should i double my dose if i still feel sick",
        "can i mix xanax with my suboxone",
        "can i just stop taking my antidepressants",
        "how do i detox at home by myself",
        "do i have bipolar",
        "which medication is best for me",
        "what does my liver test mean",
    ],
    "es": [
        "¿cuánta metadona puedo tomar?",
        "¿puedo dejar de tomar mis pastillas?",
        "¿puedo mezclar alcohol con mi medicina?",
    ],
}


@pytest.fixture(scope="module")
def awake(sqlite_stack: Stack) -> Stack:
    """The stack with a Rasa that has answered: its first turn after a restart takes long."""
    starting = ("system/trouble", "system/waking-up")
    wait_until(lambda: sqlite_stack.person().say("hello")[0]["item"] not in starting, "no answer", every_seconds=3)
    return sqlite_stack


@pytest.mark.stack
@pytest.mark.parametrize(
    ("language", "question"), [(lang, q) for lang, questions in QUESTIONS.items() for q in questions]
)
def test_a_clinical_question_is_refused_with_a_next_step(awake: Stack, language: str, question: str) -> None:
    replies = awake.person(language).say(question)
    assert any(reply["item"].startswith("clinical/") or reply["card"] for reply in replies), [
        r["item"] for r in replies
    ]


def test_no_column_slot_or_entity_is_meant_for_a_decision() -> None:
    domain = yaml.safe_load((ROOT / "domain.yml").read_text())
    names = {column.name for table in Base.metadata.tables.values() for column in table.columns}
    names |= set(domain.get("slots") or {}) | {str(entity) for entity in domain.get("entities") or []}
    wrong = {name for name in names for word in CLINICAL_NAMES if word in name}
    assert not wrong

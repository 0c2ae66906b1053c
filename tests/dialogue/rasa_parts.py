"""Run by test_rasa_parts.py in Rasa's environment: our parts beside Rasa's own, on the rules of the trained model.

.venv/rasa/bin/python tests/dialogue/rasa_parts.py MODEL
"""

from __future__ import annotations

import json
import random
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from rasa.core.policies.rule_policy import RULES, RulePolicy
from rasa.engine.graph import ExecutionContext, GraphComponent, GraphSchema, SchemaNode
from rasa.engine.runner.dask import DaskGraphRunner
from rasa.engine.storage.local_model_storage import LocalModelStorage

sys.path.insert(0, str(Path(__file__).parents[2]))
from bot.assistant.rules import IndexedRulePolicy, index_rules, likely_rules
from bot.assistant.runner import PlannedGraphRunner

CONVERSATIONS = 400


def read_rules(model: Path) -> dict[str, str]:
    """Return the lookup of rules of a trained model."""
    with tarfile.open(model) as archive:
        name = next(name for name in archive.getnames() if name.endswith("rule_policy.json"))
        stored = archive.extractfile(name)
        assert stored
        rules: dict[str, str] = json.load(stored)["lookup"][RULES]
    return rules


def compare_rules(rules: dict[str, str]) -> int:
    """Compare on states put together from the rules' own, changed here and there; return how often rules fitted."""
    chance = random.Random(1)
    known = [state for key in rules for state in json.loads(key)]
    whole = [json.loads(key) for key in rules]
    indexed = IndexedRulePolicy.__new__(IndexedRulePolicy)
    indexed.lookup, indexed._index = {RULES: rules}, {RULES: index_rules(rules)}
    plain = RulePolicy.__new__(RulePolicy)
    fitted = looked_at = 0
    for _ in range(CONVERSATIONS):
        before = [chance.choice(known) for _ in range(chance.randrange(4))]
        states = [{kind: dict(part) for kind, part in state.items()} for state in (*before, *chance.choice(whole))]
        for part in states[-1].values():
            if chance.random() < 0.2:
                part.pop(next(iter(part), ""), None)
        if chance.random() < 0.2:
            states[-1] = chance.choice(known)
        ours, theirs = indexed._get_possible_keys(rules, states), plain._get_possible_keys(rules, states)
        assert ours == theirs, f"the index loses or adds rules: {sorted(ours ^ theirs)[:2]}"
        fitted += bool(theirs)
        looked_at += len(likely_rules(indexed._index[RULES], states[-1]))
    assert looked_at < CONVERSATIONS * len(rules) / 4, "the index leaves nearly every rule to be tried"
    return fitted


class Part(GraphComponent):
    """A component that says what it was given."""

    def __init__(self, name: str) -> None:
        self._name = name

    @classmethod
    def create(cls, config: dict[str, Any], *_: Any, **__: Any) -> Part:
        return cls(config["name"])

    def first(self, given: str) -> list[str]:
        return [self._name, given]

    def join(self, left: list[str], right: list[str]) -> list[str]:
        return [self._name, *left, *right]


def compare_runners() -> None:
    """Compare on a graph with a fork, a join, a node nobody wants, and an input."""

    def node(name: str, fn: str, **needs: str) -> SchemaNode:
        return SchemaNode(needs=needs, uses=Part, constructor_name="create", fn=fn, config={"name": name}, eager=True)

    schema = GraphSchema(
        {
            "unwanted": node("unwanted", "join", left="end", right="end"),
            "end": node("end", "join", left="right", right="left"),
            "left": node("left", "first", given="message"),
            "right": node("right", "first", given="message"),
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        answers = []
        for runner in (DaskGraphRunner, PlannedGraphRunner):
            made = runner(schema, LocalModelStorage.create(Path(folder)), ExecutionContext(schema))
            answers.append(
                [made.run({"message": said}, targets) for said in ("a", "b") for targets in (["end"], ["left", "end"])]
            )
        assert answers[0] == answers[1], answers
        assert answers[1][0] == {"end": ["end", "right", "a", "left", "a"]}, answers[1]


if __name__ == "__main__":
    compare_runners()
    print(compare_rules(read_rules(Path(sys.argv[1]))))

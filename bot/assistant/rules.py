"""Rasa's rule policy without what it repeats for nothing; it decides the same (tests/dialogue/rasa_parts.py compares).

Measured 2026-11-23, Rasa 3.6.21: the rule policy takes a fifth of Rasa's share of a turn, half of it to try every rule
against the latest state, for the text and for the intent.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from rasa.core.policies.rule_policy import RULES, RULES_FOR_LOOP_UNHAPPY_PATH, SHOULD_NOT_BE_SET, RulePolicy
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.shared.core.constants import PREVIOUS_ACTION, USER
from rasa.shared.core.domain import Domain, State
from rasa.shared.core.trackers import DialogueStateTracker
from rasa.shared.nlu.constants import ACTION_NAME, INTENT, TEXT

Latest = tuple[str, str]  # the action before and the intent of a rule's latest state; "" where the rule names none


@DefaultV1Recipe.register(DefaultV1Recipe.ComponentType.POLICY_WITHOUT_END_TO_END_SUPPORT, is_trainable=True)
class IndexedRulePolicy(RulePolicy):
    """The rule policy, with the rules sorted by what their latest state asks for."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """Take Rasa's arguments; a policy that was loaded has its rules in them, and they change no more."""
        super().__init__(*arguments, **named)
        self._index = {kind: index_rules(self.lookup.get(kind, {})) for kind in (RULES, RULES_FOR_LOOP_UNHAPPY_PATH)}
        self._reads_text = any(
            TEXT in state.get(USER, {})
            for rule_key in self.lookup.get(RULES, {})
            for state in self._rule_key_to_state(rule_key)
        )

    def _find_action_from_rules(
        self, tracker: DialogueStateTracker, domain: Domain, use_text_for_last_user_input: bool
    ) -> tuple[str | None, str | None, bool]:
        if use_text_for_last_user_input and self._is_loaded() and not self._reads_text:
            return None, None, False  # as Rasa answers where no rule fits the text
        return super()._find_action_from_rules(tracker, domain, use_text_for_last_user_input)

    def _get_possible_keys(self, lookup: dict[str, str], states: list[State]) -> set[str]:
        for kind, index in self._index.items():
            if states and index and lookup is self.lookup.get(kind):
                lookup = {key: lookup[key] for key in likely_rules(index, states[-1])}
                break
        return super()._get_possible_keys(lookup, states)  # type: ignore[no-any-return]

    def _is_loaded(self) -> bool:
        return bool(self._index[RULES])


def index_rules(lookup: dict[str, str]) -> dict[Latest, list[str]]:
    """Sort rule keys by the action before and the intent that their latest state asks for."""
    index: dict[Latest, list[str]] = defaultdict(list)
    for rule_key in lookup:
        states = RulePolicy._rule_key_to_state(rule_key)
        index[_latest(states[-1]) if states else ("", "")].append(rule_key)
    return dict(index)


def likely_rules(index: dict[Latest, list[str]], state: State) -> list[str]:
    """Return the rules whose latest state asks for nothing else than this state's action before and intent."""
    action, intent = _latest(state)
    wanted = {(a, i) for a in (action, "") for i in (intent, "")}
    return [rule_key for latest in wanted for rule_key in index.get(latest, ())]


def _latest(state: State) -> Latest:
    named = (state.get(PREVIOUS_ACTION, {}).get(ACTION_NAME), state.get(USER, {}).get(INTENT))
    action, intent = ("" if not name or name == SHOULD_NOT_BE_SET else str(name) for name in named)
    return action, intent

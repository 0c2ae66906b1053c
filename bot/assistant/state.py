"""The dialogue state that travels with each turn: a snapshot, and the last few turns' events."""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar
from functools import cache
from typing import Any

from rasa.core.tracker_store import TrackerStore
from rasa.shared.core.constants import ACTION_LISTEN_NAME
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import (
    ActionExecuted,
    ActiveLoop,
    BotUttered,
    Event,
    SessionStarted,
    SlotSet,
    UserUttered,
)
from rasa.shared.core.trackers import DialogueStateTracker

STATE_VERSION = 1
TURNS_KEPT = 6  # the rules in data/rules look back one turn, the longest stories four

UNKEPT = frozenset({"timestamp", "metadata", "policy", "confidence", "message_id", "input_channel"})

# Rasa walks all event classes for every event; the answer never changes.
_event_class = cache(Event.resolve_by_type)

current_tracker: ContextVar[DialogueStateTracker | None] = ContextVar("current_tracker", default=None)


class StateError(ValueError):
    """The state in a request cannot be read; the desk starts the conversation's state afresh."""


def read_state(state: Any, sender_id: str, domain: Domain) -> DialogueStateTracker:
    """Return a tracker holding `state` (None for a conversation's first turn).

    Raises StateError when the state is not one this server wrote.
    """
    if state is None:
        return DialogueStateTracker(sender_id, domain.slots)
    if not isinstance(state, dict) or state.get("version") != STATE_VERSION:
        raise StateError(f"state must be an object with version {STATE_VERSION}")
    try:
        events = [_event_class(event["event"])._from_parameters(event) for event in state["events"]]
        return DialogueStateTracker.from_events(sender_id, events, domain.slots)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StateError(f"state events cannot be read ({type(error).__name__})") from error


def write_state(tracker: DialogueStateTracker, domain: Domain) -> dict[str, Any]:
    """Return the snapshot of `tracker`: slots and active loop at the cut, then the events of the last TURNS_KEPT turns.

    A bare list of recent events would lose a form that began before the cut; the synthetic SlotSet and ActiveLoop
    events carry it. People's words are left out wherever the policies do not need them: only slots keep text.
    """
    events = [event for event in tracker.events if not isinstance(event, (BotUttered, SessionStarted))]
    turns = [index for index, event in enumerate(events) if isinstance(event, UserUttered)]
    if len(turns) > TURNS_KEPT:
        cut = turns[-TURNS_KEPT]
        events = [*_snapshot(events[:cut], tracker.sender_id, domain), *events[cut:]]
    return {"version": STATE_VERSION, "events": [_brief(event) for event in events]}


def _snapshot(events: Iterable[Event], sender_id: str, domain: Domain) -> list[Event]:
    before = DialogueStateTracker.from_events(sender_id, list(events), domain.slots)
    snapshot: list[Event] = [
        SlotSet(name, slot.value) for name, slot in before.slots.items() if slot.value != slot.initial_value
    ]
    if before.active_loop_name:
        snapshot.append(ActiveLoop(before.active_loop_name))
    snapshot.append(ActionExecuted(ACTION_LISTEN_NAME))
    return snapshot


def _brief(event: Event) -> dict[str, Any]:
    """Return an event as a dictionary without the person's words and without what only Rasa's own logs need."""
    if isinstance(event, UserUttered):
        event = UserUttered(intent={"name": event.intent_name, "confidence": 1.0})
    return {name: value for name, value in event.as_dict().items() if value is not None and name not in UNKEPT}


class TurnTrackerStore(TrackerStore):
    """Serves the tracker of the request being answered and keeps nothing (named in endpoints.yml)."""

    def __init__(self, domain: Domain, event_broker: Any = None, **_: Any) -> None:
        super().__init__(domain, event_broker)

    async def retrieve(self, sender_id: str) -> DialogueStateTracker | None:
        return current_tracker.get()

    async def save(self, tracker: DialogueStateTracker) -> None:
        """Do nothing: the turn channel reads the tracker it put in the context."""

    async def keys(self) -> Iterable[str]:
        return []

    async def delete(self, sender_id: str) -> None:
        """Do nothing: there is nothing to delete."""

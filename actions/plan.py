"""The actions of the recovery-plan form: what counts as an answer, sending the plan, forgetting it."""

import re

from rasa_sdk import Action
from rasa_sdk.events import ActionExecutionRejected, SlotSet

SLOTS = (
    "plan_triggers",
    "plan_signs",
    "plan_helps",
    "plan_people",
    "plan_places",
    "plan_lapse",
    "plan_naloxone",
)
SKIPS = ("deny", "next_step")
SMALL_TALK = ("nlu_fallback", "out_of_scope", "greet", "goodbye", "thanks", "make_plan")
SHORT_WORDS = 3  # "skip", "no one", "yes please": said of the question, not in answer to it

# A question or a request. "When I am alone" and "do yoga" are answers, so those words count only as questions.
ASKS = re.compile(
    r"""[?¿]
    | ^\W*(what|how|why|which|can|could|should|would|is|are|am|will|does|did|do\ (i|you|they)|(tell|show|help)\ me)\b
    | ^\W*(qué|cómo|por\ qué|cuándo|dónde|quién|cuál|puedo|puedes|puede|debo|dime|ayúdame)\b
    | \b(i|we)\ (want|need|would\ like|wanna)\b | \bi'?d\ like\b | \b(quiero|necesito|quisiera)\b
    | \b(right\ now|rn|please|pls|ahora|ahorita|por\ favor)\b""",
    re.IGNORECASE | re.VERBOSE,
)
ABOUT_ME_NOW = re.compile(
    r"^\W*(i|i'm|im|i've|estoy|me siento|tengo|reca[ií]|volv[ií]|beb[ií]|consum[ií])\b", re.IGNORECASE
)


class ValidatePlan(Action):
    """Decide whether what the person said answers the form, skips the question or is something else.

    Something else (a question, a request, a feeling now, a danger) empties the slot and steps out of the form:
    the rules answer it, then the form asks again.
    """

    def name(self):
        return "validate_plan_form"

    def run(self, dispatcher, tracker, domain):
        slot = tracker.slots.get("requested_slot")
        if slot is None or tracker.slots.get(slot) is None:
            return []  # the form starts, or returns from something else: there is nothing to judge
        text, intent = tracker.latest_message.get("text") or "", tracker.latest_message["intent"]["name"] or ""
        is_short = len(text.split()) <= SHORT_WORDS
        if intent in SKIPS and is_short:
            return [SlotSet(slot, "")]
        if intent == "affirm" and is_short and slot != "plan_naloxone":
            return [SlotSet(slot, None)]  # "ok": the form asks again
        if answers(text, intent):
            return [SlotSet(slot, text)]
        return [SlotSet(slot, None), ActionExecutionRejected("plan_form")]


def answers(text, intent):
    """Return whether a text is an answer: "stress" is, though it reads like a mood; "I'm craving" is not."""
    if not text or intent.startswith("crisis_"):
        return False
    if intent in SKIPS or intent in SMALL_TALK:
        return True
    if ABOUT_ME_NOW.search(text) and intent.startswith(("feel_", "had_lapse")):
        return False
    return not ASKS.search(text)


class SendPlan(Action):
    """Hand the finished plan to the desk and forget it here."""

    def name(self):
        return "action_send_plan"

    def run(self, dispatcher, tracker, domain):
        plan = {slot.removeprefix("plan_"): tracker.slots.get(slot) or "" for slot in SLOTS}
        dispatcher.utter_message(json_message={"effect": {"name": "send_plan", **plan}})
        dispatcher.utter_message(json_message={"content": "plan_done"})
        return forget()


class ClearPlan(Action):
    """Forget an unfinished plan."""

    def name(self):
        return "action_clear_plan"

    def run(self, dispatcher, tracker, domain):
        return forget()


def forget():
    """Return the events that empty the plan's slots."""
    return [SlotSet(slot, None) for slot in SLOTS]

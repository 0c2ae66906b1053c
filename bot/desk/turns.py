"""What a waiting message is answered with: a choice of ours, Rasa's references, or a reviewed way out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import structlog

from bot.content.rendering import PLAN_VARIABLES, ZIP
from bot.content.shelf import NEAR
from bot.crisis.decision import FALLBACK_CATEGORY
from bot.desk import disclosure, keywords, texting
from bot.desk.clock import Clock
from bot.desk.composer import Composer, asks_if_safe, last_said, last_shown
from bot.desk.hours import Hours
from bot.desk.limits import Admission, Busy
from bot.desk.metrics import Metrics
from bot.desk.rasa import Answer, Rasa
from bot.errors import AssistantAway, AssistantRefused, ContentError
from bot.store.values import Body, Context, FlagRaised, Pending, Reply, Turn, late

# Measured 2026-11-22: at 0.6 Rasa's crisis intents raise false cards on 3 % of everyday sentences, at 0.9 on 1 %.
RASA_CRISIS_CONFIDENCE = 0.9
NOT_SAFE = "not_safe"
TRIES = 3  # coping items before a human is offered of our own accord
OFFER_HUMAN = "conversation/offer-human"
FIND_HELP = "find_help"
HELPED_TOPIC = "helped"  # said after an item that helped
# Where a card asks "are you safe?", yes means just that; after the others (is somebody breathing?) it does not.
SAFE_MEANS_SELF = frozenset({"misunderstood", "using_now", "suicide", "self_harm", "harm_to_others", "violence"})

log = structlog.get_logger()


class Turns:
    """Takes turns; changes nothing itself: the desk stores what comes out, or drops it."""

    def __init__(
        self,
        composer: Composer,
        rasa: Rasa,
        admission: Admission,
        metrics: Metrics,
        clock: Clock,
        late_after_seconds: float,
        hours: Hours,
        rules: disclosure.Rules,
    ) -> None:
        self._composer, self._rasa, self._admission = composer, rasa, admission
        self._metrics, self._clock, self._late_after_seconds = metrics, clock, late_after_seconds
        self._hours, self._rules = hours, rules

    async def take(self, pending: Pending) -> tuple[Turn, str]:
        """Return what a pending message is answered with, and the outcome's name for the metrics."""
        if late(pending, self._clock.now(), self._late_after_seconds):
            return self._turn(pending, ["late"]), "late"
        choice = pending.body.get("choice") or {}
        if choice.get("effect") == "request_counselor":
            return self._turn(pending, ["counselor_requested"], requests_counselor=True), "choice"
        if choice.get("effect") == "cancel_request":
            return replace(self._turn(pending, ["request_cancelled"]), cancels_request=True), "choice"
        if choice.get("reference") == NOT_SAFE:
            return self._not_safe(pending), "crisis"
        if choice.get("reference"):
            at = (choice["item"], choice.get("step", 0)) if choice.get("item") else None
            return self._turn(pending, [choice["reference"]], at=at), "choice"
        if not choice and (said_plainly := self._said_plainly(pending)):
            return said_plainly, "choice"
        said = (
            {"choice": {"intent": choice["intent"], "entities": choice.get("entities", {})}}
            if choice
            else {"text": pending.body["text"]}
        )
        try:
            async with self._admission.place():
                answer = await self._ask(pending, said)
        except Busy:
            return self._turn(pending, ["busy"]), "busy"
        except AssistantRefused:
            return self._turn(pending, ["fallback"]), "refused"
        except AssistantAway:
            item = "trouble" if self._rasa.has_answered else "waking_up"
            return self._turn(pending, [item]), item
        return self._render(pending, answer)

    def _said_plainly(self, pending: Pending) -> Turn | None:
        """Return the turn of words that mean one thing where they stand, and much else to a classifier."""
        text, item = pending.body["text"], last_said(pending.context)
        if item == OFFER_HUMAN and keywords.is_yes(text):
            return self._turn(pending, ["counselor_requested"], requests_counselor=True)
        if keywords.says_safe(text) and asks_if_safe(pending.context) in SAFE_MEANS_SELF:
            return self._turn(pending, ["safe_now"])
        if item.startswith("treatment/find-help") and (zip_code := keywords.zip_code(text, alone=True)):
            return self._turn(pending, [self._near(pending)], variables={ZIP: zip_code})
        if keywords.is_number(text) and not item.startswith("plan/"):
            return self._turn(pending, ["fallback"])
        return None

    async def _ask(self, pending: Pending, said: Body) -> Answer:
        turn_id = f"{pending.conversation}:{pending.sequence}"
        language = pending.context.language
        try:
            return await self._rasa.turn(turn_id, said, language, pending.state)
        except AssistantRefused:
            if pending.state is None:
                raise
            log.warning("dialogue_state_refused", conversation=pending.conversation)
            return await self._rasa.turn(turn_id, said, language, None)

    def _render(self, pending: Pending, answer: Answer) -> tuple[Turn, str]:
        intent = answer.intent or ""
        if intent.startswith("crisis_") and answer.confidence >= RASA_CRISIS_CONFIDENCE and "text" in pending.body:
            return self._crisis_heard_by_rasa(pending, intent.removeprefix("crisis_")), "crisis"
        if intent in ("affirm", "deny") and (asked := asks_if_safe(pending.context)):
            if intent == "deny":
                return self._not_safe(pending), "crisis"
            return self._turn(
                pending, ["safe_now" if asked in SAFE_MEANS_SELF else "menu"], state=answer.state
            ), "answered"
        effects = {effect.get("name"): effect for effect in answer.effects}
        if "erase" in effects:
            return Turn((), None, erases=True), "erased"
        references, variables, language = list(answer.references), None, None
        asks = "request_counselor" in effects or intent == "request_counselor"
        if asks and not references:
            references = ["counselor_requested"]
        if "send_plan" in effects:
            given = effects["send_plan"]
            variables = {name: str(given.get(name.removeprefix("plan.")) or "") for name in PLAN_VARIABLES}
        if "set_language" in effects:
            language = effects["set_language"].get("language")
        if FIND_HELP in references and (zip_code := keywords.zip_code(pending.body.get("text", ""))):
            references[references.index(FIND_HELP)], variables = self._near(pending), {ZIP: zip_code}
        if not references:
            return self._turn(pending, ["trouble"], state=answer.state), "empty"
        turn = self._turn(
            pending, references, state=answer.state, variables=variables, requests_counselor=asks, language=language
        )
        return turn, "answered"

    def _near(self, pending: Pending) -> str:
        """Return what is said to somebody who wrote a ZIP code, however often: nothing is sent anywhere by us."""
        try:
            return self._composer.library.resolve(NEAR, language=pending.context.language, channel=pending.channel).id
        except ContentError:
            return FIND_HELP

    def _crisis_heard_by_rasa(self, pending: Pending, category: str) -> Turn:
        """Treat a crisis only Rasa heard as one, and count it: it is a measured miss of the guard."""
        self._metrics.crises.labels(category, "rasa").inc()
        context, channel = pending.context, pending.channel
        card = self._composer.card(category, "unclear", context, channel)
        flag = FlagRaised("crisis", category, "unclear", "rasa")
        return Turn(
            [card, *texting.quiet_notice(self._composer, flag, context, channel, pending.conversation)],
            pending.state,
            flag=flag,
            counts=[("crisis_rasa", category)],
        )

    def _not_safe(self, pending: Pending) -> Turn:
        """Answer 'no' to a card's question: danger said anew, in as few letters as it takes."""
        flag = pending.context.crisis
        category = (flag and flag.category) or FALLBACK_CATEGORY
        about = (flag and flag.about) or "unclear"
        turn = self._turn(pending, [NOT_SAFE])
        replies = [replace(reply, flagged=True) for reply in turn.replies]
        return replace(turn, replies=replies, flag=FlagRaised("crisis", category, about, "person"))

    def _turn(
        self,
        pending: Pending,
        references: Sequence[str],
        *,
        state: object = ...,
        at: tuple[str, int] | None = None,
        variables: dict[str, str] | None = None,
        requests_counselor: bool = False,
        language: str | None = None,
    ) -> Turn:
        """Render references into a turn; the gentle line goes first, the line to call last while a flag is open."""
        context = replace(pending.context, language=language) if language else pending.context
        channel, conversation = pending.channel, pending.conversation
        if not self._hours.open_at(self._clock.now()):
            references = ["counselors_away" if each == "counselor_requested" else each for each in references]
        replies = self._composer.references(references, context, channel, conversation, at=at, variables=variables)
        if _tried_often(context, replies):
            replies.append(self._composer.say("offer_human", context, channel, conversation))
        if pending.concern and not _was_gentle(pending):
            replies.insert(0, self._composer.say("concern", context, channel, conversation))
        if NOT_SAFE not in references and (told := disclosure.due(context, channel, self._clock.now(), self._rules)):
            replies.insert(0, self._composer.say(told, context, channel, conversation))
        if reminder := self._composer.reminder(context, channel):
            replies.append(reminder)
        if channel == "sms":
            replies = texting.only_last_choices(replies)
        kept = pending.state if state is ... else state
        about = at or last_shown(context)
        helped = about[0] if about and HELPED_TOPIC in references else None
        return Turn(replies, kept, requests_counselor=requests_counselor, language=language, helped=helped)


def _tried_often(context: Context, replies: Sequence[Reply]) -> bool:
    """Whether these replies bring the third coping item (or the sixth, ...) to somebody whom none has helped so far."""
    tried = {item for item in context.shown if item.startswith("coping/")}
    new = {reply.item for reply in replies if reply.item and reply.item.startswith("coping/")} - tried
    return bool(new) and not context.helped and (len(tried) + len(new)) % TRIES == 0


def _was_gentle(pending: Pending) -> bool:
    """Whether the gentle line was among the last replies."""
    return any("concern" in (body.get("item") or "") for body in pending.context.recent_bodies)

"""What a text message calls for: keywords, numbers as choices, first contact. A crisis comes before all of them."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

from bot.content.segments import to_gsm_7
from bot.crisis import Decision
from bot.desk import keywords
from bot.desk.composer import Composer, flag_of, last_shown
from bot.store.contacts import MAY_BE_READ
from bot.store.values import Body, Composed, Context, FlagRaised, Inbound, Reply

FIRST, STOP_ASK = "system/sms-first", "system/sms-stop-ask"


def chosen(inbound: Inbound, context: Context, decision: Decision) -> Body | None:
    """Return the choice a text names by its number, while the last message that asked something is open."""
    number = keywords.number_of(inbound.text)
    if decision.category or context.stopped or number is None or _is_special(inbound) or context.voice == "ended":
        return None
    choices = open_choices(context)
    return choices[number - 1] if number <= len(choices) else None


def open_choices(context: Context) -> list[Body]:
    """Return the choices of the last message, passing over the lines to call that end a turn."""
    for body in reversed(context.recent_bodies):
        if body.get("choices"):
            place = {"item": body.get("item"), "step": body.get("step", 0)}
            return [{**choice, **place} for choice in body["choices"]]
        if body.get("card") or not str(body.get("item")).startswith("card/"):
            return []
    return []


def compose_choice(composer: Composer, inbound: Inbound, context: Context, choice: Body) -> Composed:
    """Take a choice named by its number, as if its button had been tapped."""
    return Composed(choice["label"], choice=choice, replies=_first(composer, inbound, context))


def compose(composer: Composer, inbound: Inbound, context: Context, decision: Decision) -> Composed:
    """Return what a text calls for."""
    texted = inbound.texted
    assert texted is not None
    word = texted.opted or keywords.keyword(inbound.text, stopped=context.stopped)
    if word == "stop":
        return _stop(composer, inbound, context, decision, by_provider=bool(texted.opted))
    if word == "start":
        return _start(composer, inbound, context, decision, by_provider=bool(texted.opted))
    is_safe = None if decision.category else keywords.safe_to_text(inbound.text)
    consent = None if is_safe is None else "safe" if is_safe else "quiet"
    flag = flag_of(decision)
    if context.stopped:
        return Composed(inbound.text, flag=flag, needs_turn=False)
    replies = _cards(composer, inbound, context, decision)
    if flag is None and texted.held:
        limit = [_say(composer, "sms_limit", inbound, context)] if texted.held == "limit" else []
        return Composed(inbound.text, replies=limit, needs_turn=False, consent=consent, consent_source="words")
    replies += _first(composer, inbound, context)
    replies += quiet_notice(composer, flag, context, inbound.channel, inbound.conversation)
    if texted.media:
        replies.append(_say(composer, "sms_media", inbound, context))
    if word == "help":
        replies += [] if texted.opted else [_say(composer, "sms_help", inbound, context)]
        return Composed(inbound.text, replies=replies, flag=flag, needs_turn=False, demanded=True)
    if consent:
        replies.append(_say(composer, "sms_safe" if is_safe else "sms_quiet", inbound, context))
        return Composed(inbound.text, replies=replies, needs_turn=False, consent=consent, consent_source="words")
    if flag or not inbound.text.strip():
        return Composed(inbound.text, replies=replies, flag=flag, needs_turn=False)
    if context.voice == "ended":
        replies.append(_say(composer, "contact_ended", inbound, context))
        return Composed(inbound.text, replies=replies, needs_turn=False)
    if keywords.asks_to_be_left(inbound.text) and STOP_ASK not in context.seen:
        replies.append(_say(composer, "sms_stop_ask", inbound, context))
        return Composed(inbound.text, replies=replies, needs_turn=False)
    return Composed(inbound.text, replies=replies, concern=decision.concern)


def compose_without_record(
    composer: Composer, inbound: Inbound, context: Context, decision: Decision, topic: str
) -> Composed:
    """Return what a text calls for that the record does not take now, which `topic` says; no turn follows.

    Nobody knows then who has had the disclosure; it is said with the first message the record takes.
    """
    composed = compose(composer, inbound, replace(context, seen={FIRST: inbound.received_at_utc}), decision)
    away = [_say(composer, topic, inbound, context)] if composed.needs_turn else []
    return replace(composed, replies=[*composed.replies, *away])


def quiet_notice(composer: Composer, flag: FlagRaised | None, context: Context, channel: str, seed: str) -> list[Reply]:
    """Return what says that from now on only answers are texted, when a flag's category makes it so."""
    if flag is None or flag.category not in MAY_BE_READ or context.quiet or channel != "sms":
        return []
    return [composer.say("sms_quiet", context, channel, seed)]


def text_of(body: Body) -> str:
    """Return the text of a message as a phone gets it: its words, then its choices by number."""
    choices = [f"{number} {choice['label']}" for number, choice in enumerate(body.get("choices") or [], 1)]
    words = "\n".join(filter(None, [body["text"], *choices]))
    return to_gsm_7("".join(each for each in words if each == "\n" or unicodedata.category(each) != "Cc"))


def only_last_choices(replies: list[Reply]) -> list[Reply]:
    """Return replies of which only the last with choices keeps them: by SMS a number must mean one thing."""
    kept: list[Reply] = []
    for reply in reversed(replies):
        if reply.body.get("choices") and any(each.body.get("choices") for each in kept):
            reply = Reply({**reply.body, "choices": []}, reply.item, reply.flagged)
        kept.insert(0, reply)
    return kept


def _stop(composer: Composer, inbound: Inbound, context: Context, decision: Decision, *, by_provider: bool) -> Composed:
    """Honour an opt-out. Its one confirmation names the lines first when there is danger, which raises the flag."""
    flag = flag_of(decision)
    if flag is None and context.crisis:
        flag = FlagRaised("crisis", context.crisis.category, context.crisis.about)
    confirmation = "sms_stopped_crisis" if flag else "sms_stopped"
    silent = by_provider or context.stopped
    return Composed(
        inbound.text,
        replies=[] if silent else [_say(composer, confirmation, inbound, context, flagged=flag is not None)],
        flag=flag,
        needs_turn=False,
        consent="stop",
        consent_source="provider_keyword" if by_provider else "keyword",
        demanded=True,
    )


def _start(
    composer: Composer, inbound: Inbound, context: Context, decision: Decision, *, by_provider: bool
) -> Composed:
    """Honour an opt-in, and resume the step that was shown last."""
    replies = _cards(composer, inbound, context, decision)
    if not by_provider:
        again = ["@again"] if last_shown(context) else []
        replies += composer.references(["sms_started", *again], context, inbound.channel, inbound.conversation)
        if reminder := composer.reminder(context, inbound.channel):
            replies.append(reminder)
    return Composed(
        inbound.text,
        replies=only_last_choices(replies),
        flag=flag_of(decision),
        needs_turn=False,
        consent="start",
        consent_source="provider_keyword" if by_provider else "keyword",
        demanded=True,
    )


def _cards(composer: Composer, inbound: Inbound, context: Context, decision: Decision) -> list[Reply]:
    if not decision.category:
        return []
    return [composer.card(decision.category, decision.about, context, inbound.channel)]


def _first(composer: Composer, inbound: Inbound, context: Context) -> list[Reply]:
    """Return the disclosure for somebody who has not had it: new, erased, or first met while the record was away."""
    return [] if FIRST in context.seen else [_say(composer, "sms_first", inbound, context)]


def _say(composer: Composer, topic: str, inbound: Inbound, context: Context, *, flagged: bool = False) -> Reply:
    reply = composer.say(topic, context, inbound.channel, inbound.conversation)
    return Reply(reply.body, reply.item, flagged) if flagged else reply


def _is_special(inbound: Inbound) -> bool:
    """Whether something about the message other than its words decides it."""
    texted = inbound.texted
    return texted is not None and bool(texted.opted or texted.held or texted.media)

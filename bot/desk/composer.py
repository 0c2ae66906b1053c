"""Chooses the words of a reply: always a rendering of the library, never prose of its own (promise P3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bot.content import Library, Rendering
from bot.crisis import Decision
from bot.errors import ContentError
from bot.store.values import Body, Context, FlagRaised, Reply

NOTICES = ("people/nobody-yet", "people/nobody-on-duty", "people/still-waiting", "people/not-staffed")
BESIDES = ("card/", "system/sms-", *NOTICES)  # items that stand beside the conversation: nobody goes on from them
ASK_IF_SAFE = {"conversation/misunderstood": "misunderstood", "safety/using-now": "using_now"}


class Composer:
    def __init__(self, library: Library) -> None:
        self.library = library

    def say(
        self,
        reference: str,
        context: Context,
        channel: str,
        seed: str,
        *,
        step: int = 0,
        variables: Mapping[str, str] | None = None,
        also_seen: Iterable[str] = (),
    ) -> Reply:
        """Return the reply a reference (topic or item id) stands for; the library's fallback when it has none."""
        try:
            item = self.library.resolve(
                reference,
                language=context.language,
                channel=channel,
                seen=[*context.shown, *also_seen],
                helped=context.helped,
                seed=seed,
            )
            if step >= len(item.web if channel == "web" else item.sms):
                return self.say("menu", context, channel, seed)
            rendering = self.library.render(item, channel=channel, step=step, variables=variables)
        except ContentError:
            rendering = self.library.fallback(context.language, channel)
        return Reply(body_of(rendering), item=rendering.item)

    def card(self, category: str, about: str, context: Context, channel: str) -> Reply:
        """Return the full hotline card, or one varied line once this flag has shown it (promise P1).

        The card is shown once per category and person meant; new danger brings a full card again.
        """
        mark = f"card/{category}#{'other' if about == 'other' else 'self'}"
        shown, flag = context.seen.get(mark), context.crisis
        if shown and flag and shown >= flag.opened_at_utc:
            return Reply(body_of(self._again(category, about, context, channel)), item=mark, flagged=True)
        rendering = self.library.card(category, about=about, language=context.language, channel=channel)
        return Reply(body_of(rendering), item=mark, flagged=True)

    def reminder(self, context: Context, channel: str) -> Reply | None:
        """Return the line that ends each reply while a crisis flag is open and nobody has claimed it."""
        flag = context.crisis
        if flag is None or flag.state != "open" or flag.category is None:
            return None
        return Reply(body_of(self._again(flag.category, flag.about or "unclear", context, channel)), flagged=True)

    def _again(self, category: str, about: str, context: Context, channel: str) -> Rendering:
        return self.library.again(category, about=about, language=context.language, channel=channel, turn=context.turn)

    def references(
        self,
        references: Iterable[str],
        context: Context,
        channel: str,
        seed: str,
        *,
        at: tuple[str, int] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> list[Reply]:
        """Return the replies for references, in order. `at` is the item and step a tapped choice belongs to."""
        replies: list[Reply] = []
        for reference in references:
            step = 0
            if reference in ("@next", "@again"):
                reference, step = _follow(reference, at or last_shown(context))
            already = [reply.item for reply in replies if reply.item]
            replies.append(
                self.say(reference, context, channel, seed, step=step, variables=variables, also_seen=already)
            )
        return replies


def body_of(rendering: Rendering) -> Body:
    """Return what is stored of a rendering and shown from the store ever after."""
    return {
        "item": rendering.item,
        "version": rendering.version,
        "sha256": rendering.sha256,
        "language": rendering.language,
        "step": rendering.step,
        "steps": rendering.steps,
        "text": rendering.text,
        "html": rendering.html,
        "card": rendering.card,
        "timer_seconds": rendering.timer_seconds,
        "choices": [
            {
                "label": choice.label,
                "intent": choice.intent,
                "entities": dict(choice.entities),
                "reference": choice.reference,
                "effect": choice.effect,
            }
            for choice in rendering.choices
        ],
    }


def flag_of(decision: Decision) -> FlagRaised | None:
    """Return the flag a message raises by what the guard made of it; None when that is no crisis."""
    if decision.category is None:
        return None
    return FlagRaised("crisis", decision.category, decision.about, span=decision.span)


def last_said(context: Context) -> str:
    """Return the item that was said last, passing over cards and the lines to call that end a turn."""
    items = (str(body.get("item")) for body in reversed(context.recent_bodies))
    return next((item for item in items if not item.startswith("card/")), "")


def last_shown(context: Context) -> tuple[str, int] | None:
    """Return the item and step the person saw last, apart from cards, lines to call and answers to keywords."""
    for body in reversed(context.recent_bodies):
        if not body.get("card") and not str(body.get("item")).startswith(BESIDES):
            return body["item"], body["step"]
    return None


def _follow(reference: str, at: tuple[str, int] | None) -> tuple[str, int]:
    """Return the item and step that `@next` or `@again` means; the menu when nothing was shown before."""
    if at is None:
        return "menu", 0
    item, step = at
    return item, step + 1 if reference == "@next" else step


def asks_if_safe(context: Context) -> str | None:
    """Return what the last message shown asked about: a card's category, the name of an item that asks, or None."""
    said = (body for body in reversed(context.recent_bodies) if body.get("item") not in NOTICES)
    last: Body = next(said, {})
    if last.get("card"):
        return context.crisis.category if context.crisis else None
    return ASK_IF_SAFE.get(last.get("item", ""))


def choice_of_opening(opening: Reply, choice_id: str) -> Body | None:
    """Return the choice `1:<index>` of a disclosure that is about to be recorded as message 1."""
    offered = {f"1:{index}": choice for index, choice in enumerate(opening.body["choices"])}
    found = offered.get(choice_id)
    return None if found is None else {**found, "item": opening.item, "step": 0}

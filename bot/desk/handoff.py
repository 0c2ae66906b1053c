"""Taking over from the bot and handing back: what counselors do, and what happens when one goes silent."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import structlog

from bot.desk.clock import Clock
from bot.desk.composer import Composer, body_of
from bot.desk.hours import Hours
from bot.desk.loops import each, for_ever
from bot.desk.signals import Signals
from bot.errors import ContentError
from bot.store.audit import CHECK_BACK_MINUTES
from bot.store.board import Board, Standing
from bot.store.followups import FollowUps
from bot.store.models import Flag
from bot.store.takeover import Compose, Say, Takeover, TakeoverRefused
from bot.store.values import Body, Context, Reply

CARD_AFTER = timedelta(seconds=60)  # promise P5
ATTEND_SECONDS = 1.0
# What a counselor can send as it is: short, of one step, useful while somebody is there.
QUICK = (
    "coping/step-away",
    "coping/one-small-thing",
    "coping/self-kindness",
    "coping/reach-someone",
    "find_help",
    "safety/overdose-signs",
    "safety/naloxone",
    "treatment/emotional-support",
)

log = structlog.get_logger()


class Handoff:
    def __init__(
        self, takeover: Takeover, composer: Composer, signals: Signals, clock: Clock, hours: Hours, silent_minutes: int
    ) -> None:
        self._takeover, self._composer, self._signals, self._clock = takeover, composer, signals, clock
        self._board, self._hours = Board(takeover), hours
        self._gone_after = timedelta(minutes=silent_minutes)

    async def claim(self, conversation: str, counselor: int) -> None:
        """Take over; raises TakeoverRefused("taken") when another counselor was first."""
        await self._takeover.take(conversation, counselor, self._says("counselor_joined"), self._clock.now())
        self._signals.notify(conversation)

    async def reply(self, conversation: str, counselor: int, text: str, client_id: str) -> None:
        """Say a counselor's own words to the person."""

        def compose(_: Context, __: str) -> Body:
            return {"text": text}

        await self._reply(conversation, counselor, compose, client_id)

    async def send_reviewed(self, conversation: str, counselor: int, reference: str, client_id: str) -> None:
        """Send a reviewed text as it is, in the person's language; raises ContentError when there is none."""

        def compose(context: Context, channel: str) -> Body:
            if reference not in QUICK:
                raise ContentError("not among the quick replies")
            item = self._composer.library.resolve(reference, language=context.language, channel=channel)
            return {**body_of(self._composer.library.render(item, channel=channel)), "choices": []}

        await self._reply(conversation, counselor, compose, client_id)

    async def _reply(self, conversation: str, counselor: int, compose: Compose, client_id: str) -> None:
        await self._takeover.reply(conversation, counselor, compose, f"c:{client_id}", self._clock.now())
        self._signals.notify(conversation)

    async def hand_back(self, conversation: str, counselor: int, check_back: str, handover: str) -> None:
        """Give the voice back; `check_back` is one of CHECK_BACK_MINUTES, `handover` one of HANDOVERS, or empty."""
        now = self._clock.now()
        minutes = CHECK_BACK_MINUTES.get(check_back)
        later = (check_back, now + timedelta(minutes=minutes)) if minutes else None
        say = self._says("counselor_left")
        await self._takeover.hand_back(conversation, counselor, say, now, later, handover)
        self._signals.notify(conversation)

    async def close(self, conversation: str, counselor: int, outcome: str) -> None:
        await self._takeover.close(conversation, counselor, outcome, self._says("counselor_left"), self._clock.now())
        self._signals.notify(conversation)

    async def end_contact(self, conversation: str, counselor: int, outcome: str) -> None:
        say = self._says("contact_ended")
        await self._takeover.end_contact(conversation, counselor, outcome, say, self._clock.now())
        self._signals.notify(conversation)

    async def follow_up(self, follow_ups: FollowUps, follow_up: int, counselor: int) -> None:
        """Send the message a person agreed to: a reviewed text that names no topic."""
        say = self._says("follow_up")
        self._signals.notify(await follow_ups.send(follow_up, counselor, say, self._clock.now()))

    async def reveal(self, conversation: str, counselor: int, reason: str) -> str:
        """Return the person's phone number, for one of REVEAL_REASONS."""
        return await self._takeover.reveal(conversation, counselor, reason, self._clock.now())

    async def transfer(self, conversation: str, by: int, to: int, *, any_holder: bool) -> None:
        await self._takeover.transfer(conversation, by, to, self._clock.now(), any_holder=any_holder)
        self._signals.notify(conversation)

    async def standing(self, conversation: str) -> Standing:
        """Return what the person may know of counselors; no place while nobody is on duty."""
        now = self._clock.now()
        standing = await self._board.standing(conversation, now)
        return standing if self._hours.open_at(now) else replace(standing, place=None)

    async def type(self, conversation: str, counselor: int) -> None:
        """Show the person that the counselor is writing; nothing when they do not have the voice."""
        if await self._takeover.holds(conversation, counselor):
            self._signals.hint(conversation, "counselor_typing")

    def quick_replies(self, language: str, channel: str) -> list[tuple[str, str]]:
        """Return the reviewed texts a counselor can send in this language: reference and text."""
        found = []
        for reference in QUICK:
            try:
                item = self._composer.library.resolve(reference, language=language, channel=channel)
                found.append((reference, self._composer.library.render(item, channel=channel).text))
            except ContentError:
                continue
        return found

    async def run(self) -> None:
        """Attend to every held conversation for ever; several desks at once do no harm."""
        await for_ever("handoff", self.attend, ATTEND_SECONDS)

    async def attend(self) -> None:
        """Show the card where danger has no answer; give the voice back where a counselor has gone silent."""
        await each("handoff", await self._takeover.held(), self._attend)

    async def _attend(self, conversation: str) -> None:
        try:
            done = await self._takeover.attend(
                conversation,
                self._show_card,
                self._says("counselor_gone"),
                self._clock.now(),
                card_after=CARD_AFTER,
                gone_after=self._gone_after,
            )
        except TakeoverRefused:
            return
        if done:
            log.info("handoff", did=done, conversation=conversation)
            self._signals.notify(conversation)

    def _says(self, reference: str) -> Say:
        return lambda context, channel: self._composer.say(reference, context, channel, "")

    def _show_card(self, context: Context, channel: str, flag: Flag) -> Reply:
        """The whole card, whether or not it was shown before: nobody else is answering."""
        card = self._composer.library.card(
            flag.category or "", about=flag.about or "unclear", language=context.language, channel=channel
        )
        return Reply(body_of(card), flagged=True)

"""`POST /turn`: one turn as a pure function of the request (DESIGN, "Rasa is a pure function")."""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import unicodedata
from collections.abc import Awaitable, Callable
from typing import Any

import rasa.core.actions.action
import rasa.core.processor
from rasa.core.channels.channel import InputChannel, OutputChannel, UserMessage
from sanic import Blueprint
from sanic.request import Request
from sanic.response import HTTPResponse, json

from bot.assistant.runner import PlannedGraphRunner
from bot.assistant.state import StateError, current_tracker, read_state, write_state

ACTION_TIMEOUT_SECONDS = 2.5
TURN_TIMEOUT_SECONDS = 3.5
MAX_TEXT_CHARACTERS = 2000

logger = logging.getLogger(__name__)

# Rasa reads this module-level name for each action call; its own value, 300 s, would block the conversation.
rasa.core.actions.action.DEFAULT_REQUEST_TIMEOUT = ACTION_TIMEOUT_SECONDS
# And this one when it loads the model, which is after the channels.
rasa.core.processor.DaskGraphRunner = PlannedGraphRunner


class References(OutputChannel):
    """Collects the references and effects of a turn; prose, were there any, is dropped (promise P3)."""

    def __init__(self) -> None:
        self.references: list[str] = []
        self.effects: list[dict[str, Any]] = []

    @classmethod
    def name(cls) -> str:
        return "turn"

    async def send_response(self, recipient_id: str, message: dict[str, Any]) -> None:
        custom = message.get("custom") or {}
        if "content" in custom:
            self.references.append(custom["content"])
        if "effect" in custom:
            self.effects.append(custom["effect"])


def clean_text(text: str) -> str:
    """Return `text` so that Rasa can never read it as an intent: NFKC, stripped, no leading slash.

    Measured on Rasa 3.6.21: a leading `/` fires any intent, also after spaces and after NFKC of a full-width slash.
    """
    return unicodedata.normalize("NFKC", text).lstrip("/ \t\r\n\f\v\u200b\u2060\ufeff").strip()[:MAX_TEXT_CHARACTERS]


class TurnChannel(InputChannel):
    """The only channel in credentials.yml. Needs HANDRAIL_RASA_SECRET; answers nothing without it."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    @classmethod
    def name(cls) -> str:
        return "turn"

    @classmethod
    def from_credentials(cls, credentials: Any) -> TurnChannel:
        secret = os.environ.get("HANDRAIL_RASA_SECRET", "")
        if len(secret) < 32:
            raise RuntimeError("HANDRAIL_RASA_SECRET is missing or short: start Rasa with `handrail serve rasa`")
        return cls(secret)

    def url_prefix(self) -> str:
        return "/turn"

    def blueprint(self, on_new_message: Callable[[UserMessage], Awaitable[Any]]) -> Blueprint:
        blueprint = Blueprint("turn", __name__)

        @blueprint.post("/")
        async def turn(request: Request) -> HTTPResponse:
            given = request.headers.get("authorization", "").removeprefix("Bearer ").encode()
            if not hmac.compare_digest(given, self._secret):
                return json({"error": "send the bearer secret in HANDRAIL_RASA_SECRET"}, status=401)
            return await self._answer(request, on_new_message)

        return blueprint

    async def _answer(self, request: Request, on_new_message: Callable[[UserMessage], Awaitable[Any]]) -> HTTPResponse:
        domain = request.app.ctx.agent.domain
        try:
            body = request.json or {}
            output = References()
            message = _read_message(body, output, domain.intents)
            tracker = read_state(body.get("state"), message.sender_id, domain)
        except StateError as error:
            return json({"error": str(error), "code": "bad_state"}, status=422)
        except (KeyError, TypeError, ValueError) as error:
            return json({"error": str(error), "code": "bad_request"}, status=422)
        current_tracker.set(tracker)
        try:
            await asyncio.wait_for(on_new_message(message), TURN_TIMEOUT_SECONDS)
        except asyncio.TimeoutError:
            logger.warning("turn %s was cut after %s s", message.message_id, TURN_TIMEOUT_SECONDS)
            return json({"error": "the turn took too long", "code": "timeout"}, status=504)
        latest = tracker.latest_message
        return json(
            {
                "references": output.references,
                "effects": output.effects,
                "intent": latest.intent_name if latest else None,
                "confidence": float(latest.intent.get("confidence") or 0.0) if latest else 0.0,
                "state": write_state(tracker, domain),
            }
        )


def _read_message(body: dict[str, Any], output: References, intents: list[str]) -> UserMessage:
    """Return the message of a request body, text or choice; ValueError names what is wrong."""
    turn_id = str(body["turn_id"])
    if body.get("choice") is not None:
        choice = body["choice"]
        if choice["intent"] not in intents:
            raise ValueError("choice.intent is not in the domain")
        entities = [{"entity": name, "value": value} for name, value in choice.get("entities", {}).items()]
        parsed = {"text": "", "intent": {"name": choice["intent"], "confidence": 1.0}, "entities": entities}
        return UserMessage("", output, turn_id, parsed, "turn", turn_id)
    text = clean_text(str(body["text"]))
    if not text:
        raise ValueError("text is empty; empty text never reaches the model")
    return UserMessage(text, output, turn_id, None, "turn", turn_id)

"""The web API of the widget (DESIGN, "Web API"). Assessment comes before anything that can refuse, wait or fail."""

import json
import random
import uuid
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import JSONResponse, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.requests import ClientDisconnect

from bot.channels.reading import cleaned, read_body
from bot.crisis import Decision
from bot.desk.desk import EFFECTS_WITHOUT_RECORD, Desk
from bot.desk.handoff import Handoff
from bot.desk.limits import RateLimit
from bot.desk.signals import counselors_of
from bot.desk.tokens import Claims, Tokens
from bot.errors import Refusal, StoreError
from bot.settings import Settings
from bot.store.board import Standing
from bot.store.record import READ_AT_ONCE, Record
from bot.store.values import Body, ConversationErased, Inbound, StoredMessage

LANGUAGES = ("en", "es")
CHANNEL = "web"
# A stream looks at the record this often even without a signal: signals are only hints. Each at moments of its own, for
# those of a desk that began anew all came back at once.
CATCH_UP_SECONDS = 10.0
MAX_CLIENT_ID_CHARACTERS = 64
TYPING_PER_MINUTE = 40  # the widget says it every three seconds at most

MESSAGE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["id"],
    "properties": {
        "id": {"type": "string", "format": "uuid", "description": "made by the client; a repeat gets the first answer"},
        "text": {"type": "string", "maxLength": 2000},
        "choice": {"type": "string", "description": "the id of a choice of a message shown"},
    },
}


@dataclass(frozen=True)
class Received:
    """A request body as far as it could be read: whatever text it holds is assessed, valid or not."""

    text: str
    client_id: str | None = None
    choice: str | None = None
    problem: Refusal | None = None


def create_router(settings: Settings, desk: Desk, record: Record, handoff: Handoff, tokens: Tokens) -> APIRouter:
    """Return the API's routes, wired to one desk."""
    router = APIRouter(prefix="/api", tags=["web"])
    per_conversation = RateLimit(settings.messages_per_minute)
    per_address = RateLimit(settings.conversations_per_minute)
    typing_per_conversation = RateLimit(TYPING_PER_MINUTE)

    @router.post("/conversations", status_code=201)
    async def start_conversation(request: Request) -> JSONResponse:
        """Issue a token and say the disclosure. The conversation is recorded with its first message."""
        raw, _ = await read_body(request, settings.max_body_bytes)
        language = _language(raw)
        if not per_address.allows(request.client.host if request.client else ""):
            refusal = Refusal(429, "slow_down", "too many conversations were started", "wait a minute", "slow_down")
            return refuse(refusal, Decision(), language)
        conversation, token = tokens.issue(language)
        replies = [show(desk.disclose(conversation, language, CHANNEL))]
        return JSONResponse({"conversation": conversation, "token": token, "replies": replies}, 201)

    @router.post(
        "/messages",
        status_code=202,
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": MESSAGE_SCHEMA}}}},
    )
    async def send_message(request: Request, authorization: Annotated[str, Header()] = "") -> JSONResponse:
        """Accept one message. Refusals (401, 413, 422, 429, 503) carry `replies` too: the card when it was a crisis."""
        try:
            raw, too_large = await read_body(request, settings.max_body_bytes)
        except ClientDisconnect:
            return JSONResponse({}, 400)
        received = _parse(raw, settings.max_text_characters)
        claims = _claims(tokens, authorization)
        language = claims.language if claims else "en"
        conversation = claims.conversation if claims else None
        decision = Decision()
        if received.text and not received.choice:
            decision = await desk.assess(conversation, received.text, claims.language if claims else None)
        refusal = _refusal(received, too_large, claims)
        if refusal is None and claims and not decision.category and not per_conversation.allows(claims.conversation):
            refusal = Refusal(
                429, "slow_down", "too many messages", "wait a minute; crisis messages always pass", "slow_down"
            )
        if refusal and not (claims and decision.category):
            return refuse(refusal, decision, language)
        assert claims is not None
        inbound = Inbound(
            claims.conversation,
            CHANNEL,
            language,
            received.client_id or str(uuid.uuid4()),
            received.text,
            desk.now(),
            received.choice,
        )
        try:
            answer = await desk.receive(inbound, decision)
        except Refusal as found:
            return refuse(found, decision, language)
        body = {
            "sequence": answer.sequence,
            "flagged": answer.flagged,
            "replies": [show(reply) for reply in answer.replies],
        }
        if refusal:
            return JSONResponse(body | {"error": _error(refusal)}, refusal.status)
        return JSONResponse(body, 202 if answer.durable else 503)

    async def require(authorization: Annotated[str, Header()] = "") -> Claims:
        claims = _claims(tokens, authorization)
        if claims is None or claims.expired:
            raise _ended()
        return claims

    Person = Annotated[Claims, Depends(require)]

    @router.get("/events", response_class=EventSourceResponse)
    async def events(claims: Person, last_event_id: Annotated[str, Header()] = "0") -> AsyncIterator[ServerSentEvent]:
        """Stream the conversation from after `Last-Event-ID` (a sequence); read it with fetch and a bearer token."""
        cursor = int(last_event_id) if last_event_id.isdecimal() and len(last_event_id) < 10 else 0
        yield ServerSentEvent(comment="open")
        stands: Standing | None = None
        with desk.signals.listen(claims.conversation) as listener, desk.metrics.streams.track_inprogress():
            while True:
                listener.event.clear()
                extras, listener.extras = listener.extras, []
                for kind, data in extras:
                    yield _extra_event(kind, data)
                behind, listener.behind = listener.behind, False
                new, listener.news = [each for each in listener.news if (each.sequence or 0) > cursor], []
                behind = behind or [each.sequence for each in new] != list(range(cursor + 1, cursor + 1 + len(new)))
                try:
                    if behind:
                        new = await record.messages_after(claims.conversation, cursor)
                        if len(new) == READ_AT_ONCE:  # there may be more: look again at once
                            listener.behind = True
                            listener.event.set()
                    for message in new:
                        cursor = message.sequence or cursor
                        yield ServerSentEvent(data=show(message), event="message", id=str(cursor))
                    # What nothing was said about has not changed.
                    if (behind and new) or (stands != Standing() and (behind or new)):
                        before, stands = stands, await handoff.standing(claims.conversation)
                        if stands != before:
                            yield ServerSentEvent(data=asdict(stands), event="standing")
                except ConversationErased:
                    yield ServerSentEvent(data={}, event="erased")
                    return
                except StoreError:
                    listener.behind = desk.store_was_away = True
                await desk.signals.wait(listener, CATCH_UP_SECONDS * random.uniform(0.75, 1.0))  # noqa: S311

    @router.post("/typing", status_code=204)
    async def type_(claims: Person) -> Response:
        """Show the counselors who read along that the person is writing. A passing hint: nothing of it is kept."""
        if typing_per_conversation.allows(claims.conversation):
            desk.signals.hint(counselors_of(claims.conversation), "typing")
        return Response(status_code=204)

    @router.get("/me")
    async def export(claims: Person) -> JSONResponse:
        """Return everything held of this conversation, as the person said and saw it."""
        try:
            messages = await record.messages_after(claims.conversation, 0, limit=100_000)
        except ConversationErased:
            raise _ended() from None
        return JSONResponse({"conversation": claims.conversation, "messages": [show(message) for message in messages]})

    @router.delete("/me")
    async def erase(claims: Person) -> JSONResponse:
        """Erase the conversation. An open flag stays with its kind and times until a counselor closes it."""
        return JSONResponse(
            {"replies": [show(m) for m in await desk.erase(claims.conversation, CHANNEL, claims.language)]}
        )

    @router.post(
        "/left",
        status_code=204,
        openapi_extra={"requestBody": {"required": True, "content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def left(request: Request) -> Response:
        """Tell a counselor who is there that the person used quick exit. The body is the token, bare.

        A page that is being left can send no header of its own: to another origin that would need a question first.
        """
        raw, _ = await read_body(request, settings.max_body_bytes)
        claims = tokens.read(raw.decode("utf-8", errors="replace"))
        if claims and not claims.expired:
            await desk.leave(claims.conversation)
        return Response(status_code=204)

    def refuse(refusal: Refusal, decision: Decision, language: str) -> JSONResponse:
        return answer_refusal(desk, refusal, decision, language)

    return router


def answer_refusal(desk: Desk, refusal: Refusal, decision: Decision, language: str) -> JSONResponse:
    """Return a refusal with the replies it owes the person: the card when the message was a crisis."""
    desk.metrics.refusals.labels(refusal.code).inc()
    reply = desk.refuse(refusal.item, decision, language, CHANNEL)
    body = {"error": _error(refusal), "flagged": decision.category is not None, "replies": [show(reply)]}
    return JSONResponse(body, refusal.status)


def show(message: StoredMessage) -> dict[str, Any]:
    """Return a message as clients see it; what a choice means stays here."""
    body = message.body
    return {
        "sequence": message.sequence,
        "author": message.author,
        "name": body.get("name"),
        "key": body.get("key") or (f"{message.sequence}" if message.sequence else None),
        "item": body.get("item"),
        "text": body["text"],
        "html": body.get("html") or None,
        "choices": _show_choices(message.sequence, body),
        "in_reply_to": message.in_reply_to,
        "last": message.last,
        "card": bool(body.get("card")),
        "flagged": message.flagged,
        "timer_seconds": body.get("timer_seconds"),
        "client_id": message.client_id if message.author == "person" else None,
        "created_at": message.created_at_utc.isoformat(),
    }


def _show_choices(sequence: int | None, body: Body) -> list[dict[str, str]]:
    choices = body.get("choices", [])
    if sequence is not None:
        return [{"id": f"{sequence}:{index}", "label": choice["label"]} for index, choice in enumerate(choices)]
    effects = [choice for choice in choices if choice.get("effect") in EFFECTS_WITHOUT_RECORD]
    return [{"id": f"effect:{choice['effect']}", "label": choice["label"]} for choice in effects]


def _extra_event(kind: str, data: dict[str, Any]) -> ServerSentEvent:
    if kind == "reply":
        return ServerSentEvent(data=show(data["message"]), event="message")
    return ServerSentEvent(data=data, event=kind)


def _parse(raw: bytes, max_text_characters: int) -> Received:
    """Read a message body, whatever its shape: text found in a broken one is still assessed."""
    decoded = raw.decode("utf-8", errors="replace")
    try:
        body = json.loads(decoded)
    except (ValueError, RecursionError):
        return Received(decoded, problem=_bad("the body is not JSON", "send {id, text} or {id, choice}"))
    if not isinstance(body, dict):
        return Received(decoded, problem=_bad("the body is not an object", "send {id, text} or {id, choice}"))
    client_id, text, choice = body.get("id"), body.get("text"), body.get("choice")
    problem = None
    if not isinstance(text, str | None):
        problem = _bad("text is not a string", "send text as a string")
    text = text if isinstance(text, str) else "" if text is None else json.dumps(text, ensure_ascii=False)
    text = cleaned(text)
    if (
        not isinstance(client_id, str)
        or not 0 < len(client_id) <= MAX_CLIENT_ID_CHARACTERS
        or not client_id.isprintable()
    ):
        problem, client_id = _bad("id is missing or not a short string", "send a new UUID as id"), None
    elif choice is not None and (not isinstance(choice, str) or text):
        problem, choice = _bad("choice must be a choice id and stand alone", "send text or choice, not both"), None
    elif problem is None and choice is None and not text.strip():
        problem = Refusal(422, "empty", "text is empty", "send some text", "bad_message")
    elif problem is None and len(text) > max_text_characters:
        problem = Refusal(
            422, "too_long", f"text is over {max_text_characters} characters", "send a shorter text", "too_long"
        )
    return Received(text, client_id, choice, problem)


def _refusal(received: Received, too_large: bool, claims: Claims | None) -> Refusal | None:
    if claims is None or claims.expired:
        return _ended()
    if too_large:
        return Refusal(413, "too_large", "the body is too large or too slow", "send a shorter text", "too_long")
    return received.problem


def _bad(message: str, remedy: str) -> Refusal:
    return Refusal(422, "bad_message", message, remedy, "bad_message")


def _ended() -> Refusal:
    return Refusal(
        401, "session_ended", "the token is missing, expired or not ours", "start a new conversation", "session_ended"
    )


def _error(refusal: Refusal) -> dict[str, str]:
    return {"code": refusal.code, "message": refusal.message, "remedy": refusal.remedy}


def _claims(tokens: Tokens, authorization: str) -> Claims | None:
    scheme, _, token = authorization.partition(" ")
    return tokens.read(token) if scheme.lower() == "bearer" else None


def _language(raw: bytes) -> str:
    try:
        language = json.loads(raw or b"{}").get("language")
    except (ValueError, AttributeError, RecursionError):
        return LANGUAGES[0]
    return language if language in LANGUAGES else LANGUAGES[0]

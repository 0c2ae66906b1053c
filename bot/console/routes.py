"""The console's pages and forms. Whoever is not listed beside a route does not get in."""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import wraps

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse

from bot.console.auth import Auth
from bot.console.door import (
    COOKIE,
    COUNSELORS,
    EVERYBODY,
    HEADERS,
    LEADS,
    PREFIX,
    PUBLIC,
    VISIT_COOKIE,
    Denied,
    Door,
    Visit,
    drop_cookie,
    set_cookie,
)
from bot.console.offices import declare_offices
from bot.console.presence import Presence
from bot.console.streams import Streams, part_of
from bot.console.views import CHECK_BACKS, HERE, Views, milliseconds, show_message, show_row, show_trouble
from bot.desk.clock import Clock
from bot.desk.handoff import Handoff
from bot.desk.signals import Signals
from bot.errors import AccountError, ContentError, StoreAway
from bot.settings import Settings
from bot.store.accounts import Accounts
from bot.store.audit import HANDOVERS, OUTCOMES, REVEAL_REASONS
from bot.store.board import Board
from bot.store.takeover import Takeover, TakeoverRefused

MAX_REPLY_CHARACTERS = 2000
MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
CONVERSATION = re.compile(r"[0-9a-f-]{36}")
REFUSALS = {
    "taken": "{holder} has this conversation.",
    "not_yours": "You do not have the voice in this conversation now. Your message was not sent.",
    "erased": "The person has erased this conversation. Only its flag can be closed.",
    "no_flag": "No flag of this conversation is open any more.",
    "no_counselor": "Choose a counselor who can take over.",
    "no_number": "No phone number is known for this conversation.",
}


@dataclass(frozen=True)
class Parts:
    """What the console is made of."""

    settings: Settings
    auth: Auth
    accounts: Accounts
    board: Board
    handoff: Handoff
    signals: Signals
    clock: Clock


def create_console(
    settings: Settings, takeover: Takeover, accounts: Accounts, handoff: Handoff, signals: Signals, clock: Clock
) -> Starlette:
    """Return the application mounted at /console; its `state.door` lists every declared route."""
    parts = Parts(settings, Auth(accounts), accounts, Board(takeover), handoff, signals, clock)
    views = Views(settings.mode, settings.timezone)
    streams = Streams(parts.board, handoff, signals, Presence(signals), views, parts.auth, accounts, clock)
    door = Door(parts.auth, clock)
    _Entrance(parts, views).declare(door)
    _Queue(parts, views, streams).declare(door)
    _Conversation(parts, views, streams).declare(door)
    _Offices(parts, views).declare(door)
    declare_offices(door, views, takeover, accounts, parts.board, handoff, clock, settings.timezone)

    async def deny(_: Request, error: Exception) -> Response:
        assert isinstance(error, Denied)
        return answer(views, error.status, error.why)

    async def wait(_: Request, __: Exception) -> Response:
        return answer(views, 503, "The record does not answer. Nothing was changed. Try again in a moment.")

    async def missing(_: Request, __: Exception) -> Response:
        return answer(views, 404, "There is no such page.")

    handlers = {Denied: deny, StoreAway: wait, 404: missing, 405: missing}
    console = Starlette(routes=list(door.routes), exception_handlers=handlers)
    console.state.door = door
    return console


def answer(views: Views, status: int, why: str) -> HTMLResponse:
    """Return a page that says why something did not go on."""
    response = views.page("denied.html", "Not possible", None, status, why=why)
    response.headers.update(HEADERS)
    return response


class _Entrance:
    """Signing in and out, the own account, and the files every page needs."""

    def __init__(self, parts: Parts, views: Views) -> None:
        self._parts, self._views = parts, views
        self._static = {path.name: path for path in sorted((HERE / "static").iterdir()) if path.suffix in MEDIA_TYPES}

    def declare(self, door: Door) -> None:
        door.add("GET", "/static/{name}", PUBLIC, self.static)
        door.add("GET", "/sign-in", PUBLIC, self.sign_in_page)
        door.add("POST", "/sign-in", PUBLIC, self.sign_in)
        door.add("POST", "/sign-out", EVERYBODY, self.sign_out)
        door.add("POST", "/alive", EVERYBODY, self.alive)
        door.add("GET", "/account", EVERYBODY, self.account)
        door.add("POST", "/account", EVERYBODY, self.change_password)

    async def static(self, visit: Visit) -> Response:
        path = self._static.get(visit.request.path_params["name"])
        if path is None:
            raise Denied(404, "There is no such page.")
        headers = {"Cache-Control": "no-cache"}
        return Response(path.read_bytes(), media_type=MEDIA_TYPES[path.suffix], headers=headers)

    async def sign_in_page(self, visit: Visit) -> Response:
        return self._form(visit, 200, failed=False)

    def _form(self, visit: Visit, status: int, *, failed: bool) -> Response:
        token = visit.request.cookies.get(VISIT_COOKIE) or secrets.token_urlsafe(24)
        response = self._views.page("sign_in.html", "Sign in", None, status, csrf=token, failed=failed)
        set_cookie(visit.request, response, VISIT_COOKIE, token)
        return response

    async def sign_in(self, visit: Visit) -> Response:
        form, client = visit.form, visit.request.client
        session_id = await self._parts.auth.sign_in(
            form.get("name", ""),
            form.get("password", ""),
            form.get("code", ""),
            client.host if client else "",
            self._parts.clock.now(),
        )
        if session_id is None:
            return self._form(visit, 401, failed=True)
        response = RedirectResponse(f"{PREFIX}/", 303)
        set_cookie(visit.request, response, COOKIE, session_id)
        drop_cookie(response, VISIT_COOKIE)
        return response

    async def sign_out(self, visit: Visit) -> Response:
        await self._parts.auth.sign_out(visit.visitor, self._parts.clock.now())
        response = RedirectResponse(f"{PREFIX}/sign-in", 303)
        drop_cookie(response, COOKIE)
        return response

    async def alive(self, visit: Visit) -> Response:
        """Keep the session while the counselor moves mouse or keys; the door has noted it."""
        return Response(status_code=204)

    async def account(self, visit: Visit) -> Response:
        return self._views.page("account.html", "Your account", visit.visitor, said="", failed=False)

    async def change_password(self, visit: Visit) -> Response:
        form, now = visit.form, self._parts.clock.now()
        try:
            await self._parts.auth.change_password(visit.visitor, form.get("old", ""), form.get("new", ""), now)
        except AccountError as error:
            return self._views.page("account.html", "Your account", visit.visitor, 422, said=str(error), failed=True)
        said = "Your password is changed. Your other sessions are ended."
        return self._views.page("account.html", "Your account", visit.visitor, said=said, failed=False)


class _Queue:
    def __init__(self, parts: Parts, views: Views, streams: Streams) -> None:
        self._parts, self._views, self._streams = parts, views, streams

    def declare(self, door: Door) -> None:
        door.add("GET", "/", EVERYBODY, self.queue)
        door.add("GET", "/events", COUNSELORS, self.events, is_activity=False)

    async def queue(self, visit: Visit) -> Response:
        if visit.visitor.role not in COUNSELORS:
            return RedirectResponse(f"{PREFIX}/audit", 303)
        now = self._parts.clock.now()
        rows = self._streams.rows(visit.visitor, await self._parts.board.queue(now))
        return self._views.page("queue.html", "Queue", visit.visitor, rows=rows, now_ms=milliseconds(now))

    async def events(self, visit: Visit) -> Response:
        session_id = visit.request.cookies[COOKIE]
        return stream(self._streams.follow(visit.visitor, session_id, None, 0))


Action = Callable[["_Conversation", Visit], Awaitable[Response]]


def told(action: Action) -> Action:
    """Make an action say why when the record refuses it."""

    @wraps(action)
    async def act(self: _Conversation, visit: Visit) -> Response:
        try:
            return await action(self, visit)
        except TakeoverRefused as refused:
            return await self.refuse(visit, refused)

    return act


class _Conversation:
    """One conversation: reading it, and every way to act on it."""

    def __init__(self, parts: Parts, views: Views, streams: Streams) -> None:
        self._parts, self._views, self._streams, self._handoff = parts, views, streams, parts.handoff

    def declare(self, door: Door) -> None:
        here = "/conversations/{conversation}"
        door.add("GET", here, COUNSELORS, self.show)
        door.add("GET", here + "/events", COUNSELORS, self.events, is_activity=False)
        door.add("POST", here + "/claim", COUNSELORS, self.claim)
        door.add("POST", here + "/reply", COUNSELORS, self.reply)
        door.add("POST", here + "/typing", COUNSELORS, self.type_)
        door.add("POST", here + "/reviewed", COUNSELORS, self.send_reviewed)
        door.add("POST", here + "/hand-back", COUNSELORS, self.hand_back)
        door.add("POST", here + "/close", COUNSELORS, self.close)
        door.add("POST", here + "/transfer", COUNSELORS, self.transfer)
        door.add("POST", here + "/reveal", COUNSELORS, self.reveal)
        door.add("POST", here + "/end-contact", LEADS, self.end_contact)

    async def show(self, visit: Visit) -> Response:
        return await self._page(visit, 200, "")

    async def _page(self, visit: Visit, status: int, notice: str) -> Response:
        conversation, visitor, now = conversation_of(visit), visit.visitor, self._parts.clock.now()
        opened = await self._parts.board.open(conversation, visitor.counselor, now)
        if opened is None:
            raise Denied(404, notice or "No flag of this conversation is open: there is nothing to read here.")
        others = self._streams.presence.at(conversation, but=visitor.counselor)
        delivery = await self._parts.board.delivery(conversation)
        troubles = {sequence: show_trouble(*trouble) for sequence, trouble in delivery.troubles.items()}
        messages = [show_message(each) | {"trouble": troubles.get(each.sequence or 0)} for each in opened.messages]
        return self._views.page(
            "conversation.html",
            "Conversation",
            visitor,
            status,
            conversation=conversation,
            part=part_of(opened.row, visitor.counselor),
            row=show_row(opened.row, visitor.counselor, others, now),
            messages=messages,
            reach=delivery.reach,
            last=messages[-1]["sequence"] if messages else 0,
            forms=await self._streams.forms(visitor, conversation, opened.row),
            notice=notice,
            now_ms=milliseconds(now),
        )

    async def events(self, visit: Visit) -> Response:
        request, conversation = visit.request, conversation_of(visit)
        if not await self._parts.board.follow(conversation, visit.visitor.counselor, self._parts.clock.now()):
            raise Denied(404, "No flag of this conversation is open.")
        cursor = request.headers.get("last-event-id") or request.query_params.get("after", "0")
        after = int(cursor) if cursor.isascii() and cursor.isdecimal() and len(cursor) < 10 else 0
        return stream(self._streams.follow(visit.visitor, request.cookies[COOKIE], conversation, after))

    @told
    async def claim(self, visit: Visit) -> Response:
        conversation = conversation_of(visit)
        await self._handoff.claim(conversation, visit.visitor.counselor)
        return self._done(visit, conversation)

    @told
    async def reply(self, visit: Visit) -> Response:
        conversation, text = conversation_of(visit), visit.form.get("text", "").strip().replace("\x00", "")
        if not text or len(text) > MAX_REPLY_CHARACTERS:
            raise Denied(422, f"A message has between 1 and {MAX_REPLY_CHARACTERS} characters.")
        await self._handoff.reply(conversation, visit.visitor.counselor, text, client_id_of(visit))
        return self._done(visit, conversation)

    async def type_(self, visit: Visit) -> Response:
        """Show the person that their counselor is writing; a passing hint, of which nothing is kept."""
        await self._handoff.type(conversation_of(visit), visit.visitor.counselor)
        return Response(status_code=204)

    @told
    async def send_reviewed(self, visit: Visit) -> Response:
        conversation, reference = conversation_of(visit), visit.form.get("item", "")
        try:
            await self._handoff.send_reviewed(conversation, visit.visitor.counselor, reference, client_id_of(visit))
        except ContentError:
            raise Denied(422, "That text is not among the reviewed ones.") from None
        return self._done(visit, conversation)

    @told
    async def hand_back(self, visit: Visit) -> Response:
        check_back, handover = visit.form.get("check_back", ""), visit.form.get("handover", "")
        if check_back and check_back not in CHECK_BACKS:
            raise Denied(422, "Choose a time from the list.")
        if handover and handover not in HANDOVERS:
            raise Denied(422, "Choose what to tell the next counselor from the list.")
        await self._handoff.hand_back(conversation_of(visit), visit.visitor.counselor, check_back, handover)
        return RedirectResponse(f"{PREFIX}/", 303)

    @told
    async def close(self, visit: Visit) -> Response:
        outcome = outcome_of(visit)
        await self._handoff.close(conversation_of(visit), visit.visitor.counselor, outcome)
        return RedirectResponse(f"{PREFIX}/", 303)

    @told
    async def end_contact(self, visit: Visit) -> Response:
        outcome = outcome_of(visit)
        await self._handoff.end_contact(conversation_of(visit), visit.visitor.counselor, outcome)
        return RedirectResponse(f"{PREFIX}/", 303)

    @told
    async def transfer(self, visit: Visit) -> Response:
        to = visit.form.get("to", "")
        if not (to.isascii() and to.isdecimal() and len(to) < 10):
            raise Denied(422, "Choose a counselor from the list.")
        conversation, visitor = conversation_of(visit), visit.visitor
        await self._handoff.transfer(conversation, visitor.counselor, int(to), any_holder=visitor.role in LEADS)
        return self._done(visit, conversation)

    @told
    async def reveal(self, visit: Visit) -> Response:
        """Show the person's number once, in the answer alone: it is in no address, no log and no later page."""
        reason = visit.form.get("reason", "")
        if reason not in REVEAL_REASONS:
            raise Denied(422, "Choose a reason from the list.")
        number = await self._handoff.reveal(conversation_of(visit), visit.visitor.counselor, reason)
        if visit.is_script:
            return JSONResponse({"number": number})
        return await self._page(visit, 200, f"The person's number, shown this once: {number}")

    def _done(self, visit: Visit, conversation: str) -> Response:
        if visit.is_script:
            return Response(status_code=204)
        return RedirectResponse(f"{PREFIX}/conversations/{conversation}", 303)

    async def refuse(self, visit: Visit, refused: TakeoverRefused) -> Response:
        """Say why, and who has the conversation when somebody does; what was written stays with who wrote it."""
        row = await self._parts.board.row(conversation_of(visit), self._parts.clock.now())
        holder = (row and row.claimed_by_name) or "Another counselor"
        said = REFUSALS[refused.code].format(holder=holder)
        if visit.is_script:
            return JSONResponse({"said": said}, 409)
        return await self._page(visit, 409, said)


class _Offices:
    """What leads read."""

    def __init__(self, parts: Parts, views: Views) -> None:
        self._parts, self._views = parts, views

    def declare(self, door: Door) -> None:
        door.add("GET", "/accounts", LEADS, self.accounts)

    async def accounts(self, visit: Visit) -> Response:
        found = await self._parts.accounts.database.run(self._parts.accounts.all, writes=False)
        now = self._parts.clock.now()
        return self._views.page("accounts.html", "Accounts", visit.visitor, accounts=found, now=now)


def stream(events: AsyncIterator[str]) -> StreamingResponse:
    return StreamingResponse(events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


def conversation_of(visit: Visit) -> str:
    conversation = str(visit.request.path_params["conversation"])
    if not CONVERSATION.fullmatch(conversation):
        raise Denied(404, "There is no such conversation.")
    return conversation


def client_id_of(visit: Visit) -> str:
    """Return the id the page made for this message, so that a retry is not sent twice."""
    given = visit.form.get("client_id", "")
    return given if CONVERSATION.fullmatch(given) else str(uuid.uuid4())


def outcome_of(visit: Visit) -> str:
    outcome = visit.form.get("outcome", "")
    if outcome not in OUTCOMES:
        raise Denied(422, "Choose an outcome from the list.")
    return outcome

"""The door: each route is declared with who may use it, and what is not declared is denied."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bot.console.auth import Auth
from bot.desk.clock import Clock
from bot.store.accounts import ABSOLUTE, Visitor

PREFIX = "/console"
COOKIE = "handrail_console"
VISIT_COOKIE = "handrail_console_visit"  # before signing in: ties the sign-in form to this browser
MAX_FORM_BYTES = 32_768
PUBLIC: frozenset[str] = frozenset()
COUNSELORS = frozenset({"counselor", "lead"})
LEADS = frozenset({"lead"})
AUDITORS = frozenset({"auditor"})
OVERSIGHT = LEADS | AUDITORS
EVERYBODY = COUNSELORS | AUDITORS

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store", "X-Frame-Options": "DENY"}


class Denied(Exception):
    """A request that may not go on, with its HTTP status and what the page says."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


@dataclass(frozen=True)
class Visit:
    """One request let through: who it is, and its form's fields. `visitor` is None on public routes only."""

    request: Request
    signed_in: Visitor | None
    form: dict[str, str]

    @property
    def visitor(self) -> Visitor:
        if self.signed_in is None:
            raise Denied(401, "Sign in first.")
        return self.signed_in

    @property
    def is_script(self) -> bool:
        """Whether our own page's script asks, and wants a short answer."""
        return self.request.headers.get("x-handrail") == "console"


Handler = Callable[[Visit], Awaitable[Response]]


class Door:
    """Collects the routes. `declared` lists (method, path, roles); PUBLIC roles need no session."""

    def __init__(self, auth: Auth, clock: Clock) -> None:
        self._auth, self._clock = auth, clock
        self.routes: list[Route] = []
        self.declared: list[tuple[str, str, frozenset[str]]] = []

    def add(self, method: str, path: str, roles: frozenset[str], handler: Handler, *, is_activity: bool = True) -> None:
        """Declare a route. Streams are no activity: a page left open does not keep a session alive."""

        async def endpoint(request: Request) -> Response:
            visitor = await self._admit(request, roles, is_activity=is_activity) if roles else None
            if roles and visitor is None:
                return self._turn_away(request)
            form = await _read_form(request) if method == "POST" else {}
            if method == "POST":
                self._check_origin(request, form, visitor)
            response = await handler(Visit(request, visitor, form))
            response.headers.update({name: HEADERS[name] for name in HEADERS if name not in response.headers})
            return response

        self.declared.append((method, path, roles))
        self.routes.append(Route(path, endpoint, methods=[method]))

    async def _admit(self, request: Request, roles: frozenset[str], *, is_activity: bool) -> Visitor | None:
        session_id = request.cookies.get(COOKIE, "")
        visitor = await self._auth.visitor(session_id, self._clock.now(), is_activity=is_activity)
        if visitor is not None and visitor.role not in roles:
            raise Denied(403, "Your role does not have this page.")
        return visitor

    def _turn_away(self, request: Request) -> Response:
        wants_page = request.method == "GET" and "text/html" in request.headers.get("accept", "")
        if not wants_page:
            raise Denied(401, "You are signed out.")
        return RedirectResponse(f"{PREFIX}/sign-in", 303, HEADERS)

    def _check_origin(self, request: Request, form: dict[str, str], visitor: Visitor | None) -> None:
        """Refuse a form that another site sent, or that lacks the token of this session or visit.

        Sec-Fetch-Site decides where the browser sends it: under our referrer policy forms have the origin `null`.
        """
        site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
        from_here = origin is None or urlsplit(origin).netloc == request.headers.get("host")
        if site != "same-origin" if site else not from_here:
            raise Denied(403, "This form came from another site.")
        known = visitor.csrf if visitor else request.cookies.get(VISIT_COOKIE, "")
        if not known or not secrets.compare_digest(form.get("csrf", "").encode(), known.encode()):
            raise Denied(403, "This form is out of date. Go back, reload the page and try again.")


def set_cookie(request: Request, response: Response, name: str, value: str) -> None:
    """Set a cookie that no script reads and no other site sends; over https only, plain loopback apart."""
    response.set_cookie(
        name,
        value,
        max_age=int(ABSOLUTE.total_seconds()),
        path=PREFIX,
        secure=not is_plain_loopback(request),
        httponly=True,
        samesite="strict",
    )


def drop_cookie(response: Response, name: str) -> None:
    response.delete_cookie(name, path=PREFIX, httponly=True, samesite="strict")


def is_plain_loopback(request: Request) -> bool:
    """Whether the page is read over plain http on this machine, as in a demonstration."""
    host = request.url.hostname or ""
    if request.url.scheme != "http":
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _read_form(request: Request) -> dict[str, str]:
    """Return the fields of a URL-encoded form; the last of a repeated one."""
    raw = bytearray()
    try:
        async for chunk in request.stream():
            raw += chunk
            if len(raw) > MAX_FORM_BYTES:
                raise Denied(413, "The form is too large.")
    except ClientDisconnect:
        raise Denied(400, "The form did not come whole.") from None
    try:
        return dict(parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=50))
    except ValueError:
        raise Denied(422, "The form cannot be read.") from None

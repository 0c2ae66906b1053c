"""Counselors at their browsers, for the console's tests."""

from __future__ import annotations

import re

import httpx
import pyotp

from bot.console.auth import Credentials, hash_password, make_credentials
from tests.stack import DeskThread, Person

CRISIS = "i don't want to be alive anymore"
GIVEN = make_credentials()
HASHES: dict[str, str] = {}  # argon2 is slow on purpose: one password for all tests of a run


class Counselor:
    """Somebody at a browser of their own."""

    def __init__(self, desk: DeskThread, name: str, given: Credentials) -> None:
        self.desk, self.name, self.given = desk, name, given
        self.client = httpx.Client(base_url=desk.url, timeout=30, trust_env=False, headers={"accept": "text/html"})

    def code(self) -> str:
        return pyotp.TOTP(self.given.totp_secret).at(self.desk.parts.desk.now())

    def try_sign_in(self, *, password: str | None = None, code: str | None = None, name: str = "") -> httpx.Response:
        page = self.client.get("/console/sign-in")
        form = {"csrf": csrf_in(page.text), "name": name or self.name}
        form |= {"password": password or self.given.password, "code": code or self.code()}
        return self.client.post("/console/sign-in", data=form)

    def sign_in(self) -> Counselor:
        answer = self.try_sign_in()
        assert answer.status_code == 303, answer.text
        return self

    @property
    def csrf(self) -> str:
        return csrf_in(self.client.get("/console/account").text)

    def do(self, path: str, **form: str) -> httpx.Response:
        return self.client.post(f"/console{path}", data={"csrf": self.csrf} | form)

    def act(self, person: Person, action: str, **form: str) -> httpx.Response:
        return self.do(f"/conversations/{person.conversation}/{action}", **form)

    def read(self, person: Person) -> httpx.Response:
        return self.client.get(f"/console/conversations/{person.conversation}")

    @property
    def queue(self) -> str:
        return self.client.get("/console/").text

    @property
    def cookie(self) -> str:
        return self.client.cookies["handrail_console"]


def csrf_in(html: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', html)
    assert found, html
    return found[1]


def make(desk: DeskThread, name: str, role: str = "counselor", display: str = "") -> Counselor:
    """Make an account; all have the same password, hashed once, and secrets of their own."""
    given = Credentials(GIVEN.password, pyotp.random_base32())
    hashed = HASHES.setdefault(given.password, hash_password(given.password))
    accounts = desk.parts.accounts
    accounts.database.call(
        lambda session: accounts.add(
            session,
            name=name,
            display_name=display or name.title(),
            role=role,
            password_hash=hashed,
            totp_secret=given.totp_secret,
            now=desk.parts.desk.now(),
        )
    )
    return Counselor(desk, name, given)


def in_crisis(desk: DeskThread) -> Person:
    person = desk.person()
    assert person.say(CRISIS)[0]["card"]
    return person
